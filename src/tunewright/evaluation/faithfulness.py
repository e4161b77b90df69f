"""Is a summary true to its source? Names and numbers made up, dropped and kept; what words are new.

*Made up*: in the output, not in the source (the prompt that was read). *Dropped*: in the reference, not in the
output. A name stands in a text where its words do, one behind the other; a number where the same number does, however
it is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tunewright.evaluation.corpus_metrics import Floats, Kinds
from tunewright.evaluation.found_facts import (
    Fact,
    Kind,
    find_facts,
    keys,
    label_words,
    speakers,
    stands_in,
    words_of,
)
from tunewright.evaluation.predictions import Prediction

Mark = Literal["plain", "kept", "made-up"]


@dataclass(frozen=True)
class Reading:
    """An output beside its source and reference: [mark, text] pieces of the output in order, and what it dropped."""

    pieces: tuple[tuple[Mark, str], ...]
    dropped: tuple[str, ...]


def read_output(source: str, reference: str, output: str) -> Reading:
    """Each name and number of the output marked; names, numbers and speakers of the reference that are missing."""
    pieces: list[tuple[Mark, str]] = []
    at = 0
    for fact in _facts(output, source):
        if fact.start > at:
            pieces.append(("plain", output[at : fact.start]))
        pieces.append(("kept" if _supported(fact.kind, fact.key, source) else "made-up", output[fact.start : fact.end]))
        at = fact.end
    if at < len(output):
        pieces.append(("plain", output[at:]))
    wanted = _facts(reference, source)
    missing = [
        fact.text
        for kind in ("name", "number")
        for fact in wanted
        if fact.kind == kind and fact.key in keys(wanted, kind) and not _supported(kind, fact.key, output)
    ]
    missing += [name for name in _named_speakers(source, reference) if not _names_speaker(name, output)]
    return Reading(tuple(pieces), tuple(dict.fromkeys(missing)))


@lru_cache(maxsize=16384)
def _facts(text: str, source: str) -> tuple[Fact, ...]:
    return tuple(find_facts(text, source))


@lru_cache(maxsize=16384)
def _contents(text: str) -> tuple[tuple[str, ...], frozenset[tuple[str, ...]]]:
    """The words of a text, and its numbers."""
    return tuple(words_of(text)), frozenset(keys(find_facts(text), "number"))


def _supported(kind: Kind, key: tuple[str, ...], text: str) -> bool:
    words, numbers = _contents(text)
    return key in numbers if kind == "number" else stands_in(key, words)


def _named_speakers(source: str, reference: str) -> list[str]:
    """The source's speakers that the reference names."""
    return [label for label in speakers(source) if _names_speaker(label, reference)]


def _names_speaker(label: str, text: str) -> bool:
    return bool(set(label_words(label)) & set(_contents(text)[0]))


def _references(p: Prediction) -> tuple[str, ...]:
    return p.references or (str(p.target),)


def precision(kind: Kind) -> Callable[[Sequence[Prediction]], Kinds]:
    """Of the outputs' different names (numbers), the share that stands in the source; 1 where there are none."""

    def counts(p: Prediction) -> tuple[int, int]:
        said = keys(_facts(str(p.prediction), p.prompt), kind)
        return sum(_supported(kind, key, p.prompt) for key in said), len(said)

    return _share(counts)


def recall(kind: Kind) -> Callable[[Sequence[Prediction]], Kinds]:
    """Of the references' different names (numbers), the share that stands in the output; 1 where there are none.

    Of several references, the one of which most is kept.
    """

    def counts(p: Prediction) -> tuple[int, int]:
        found = []
        for reference in _references(p):
            wanted = keys(_facts(reference, p.prompt), kind)
            found.append((sum(_supported(kind, key, str(p.prediction)) for key in wanted), len(wanted)))
        return max(found, key=lambda one: (one[0] / one[1] if one[1] else 1.0, one[1]))

    return _share(counts)


def speakers_recall(predictions: Sequence[Prediction]) -> Kinds:
    """Of the source's speakers (`Name: text` lines) that the first reference names, the share that the output names."""

    def counts(p: Prediction) -> tuple[int, int]:
        wanted = _named_speakers(p.prompt, _references(p)[0])
        return sum(_names_speaker(name, str(p.prediction)) for name in wanted), len(wanted)

    return _share(counts)(predictions)


def novel_bigrams(predictions: Sequence[Prediction]) -> Kinds:
    """Of the outputs' pairs of neighbouring words, the share that the source has not (See et al. 2017, fig. 6)."""

    def counts(p: Prediction) -> tuple[int, int]:
        known = set(_pairs(p.prompt))
        said = _pairs(str(p.prediction))
        return sum(pair not in known for pair in said), len(said)

    return _share(counts, empty=0.0)(predictions)


def _pairs(text: str) -> list[tuple[str, str]]:
    words = _contents(text)[0]
    return list(pairwise(words))


def _share(
    counts: Callable[[Prediction], tuple[int, int]], empty: float = 1.0
) -> Callable[[Sequence[Prediction]], Kinds]:
    """Σ above / Σ below over all rows, from a row's (above, below); `empty` where nothing is below."""

    def made(predictions: Sequence[Prediction]) -> Kinds:
        table = np.array([counts(p) for p in predictions], dtype=np.float64)  # [n, 2]
        unique, of_row, count = np.unique(table, axis=0, return_inverse=True, return_counts=True)

        def values(weights: Floats) -> Floats:
            above, below = weights @ unique[:, 0], weights @ unique[:, 1]
            return np.divide(above, below, out=np.full_like(above, empty), where=below > 0)

        rows: npt.NDArray[Any] = of_row.ravel()
        return Kinds(count.astype(np.float64), rows, values)

    return made
