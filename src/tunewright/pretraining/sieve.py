"""A corpus read once beforehand: what its filters drop, and which document of those alike stays."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tunewright.pretraining.filters import FiltersBlock, NearDuplicates, broken_rule
from tunewright.pretraining.sources import Source

SURVEYED = 10_000  # documents of each source that are counted where the corpus is streamed
FIND = 0.75  # of the similarity wanted: where documents are looked at more closely
SHOWN, SHOWN_CHARACTERS = 10, 200
_WORD = re.compile(r"\w+")


def key_of(text: str) -> int:
    """The first 64 bits of a text's SHA-256: what a document is known by."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@dataclass
class Sieve:
    """What a corpus's filters let through. `told` is what they dropped and why, for people."""

    limits: dict[str, Any] = field(default_factory=dict)
    near: set[int] = field(default_factory=set)  # near-duplicates of a document that stays
    owners: dict[int, int] = field(default_factory=dict)  # a text that stands in several places: the source it stays in
    told: dict[str, Any] | None = None

    def through(self, texts: Iterable[str], source: int) -> Iterator[str]:
        """One reading of source number `source`, less what is dropped."""
        if self.told is None:
            yield from texts
            return
        seen: set[int] = set()
        for text in texts:
            if broken_rule(text, self.limits) is not None:
                continue
            if self.owners or self.near:
                key = key_of(text)
                if key in self.near or key in seen or self.owners.get(key, source) != source:
                    continue
                if key in self.owners:
                    seen.add(key)
            yield text


_made: dict[str, Sieve] = {}  # by the corpus block: stages, splits and epochs ask for the same one


def sieve_of(filters: FiltersBlock | None, names: Sequence[str], sources: Sequence[Source], streaming: bool,
             key: str) -> Sieve:  # fmt: skip
    """The sieve of a corpus; without filters it lets all through. `key` says which corpus it is.

    The sources are read once, in their own order (streamed ones: their first 10,000 documents, to be counted).
    """
    if filters is None:
        return Sieve()
    if key not in _made:
        _made.clear()
        _made[key] = _survey(filters, names, sources, SURVEYED if streaming else None)
    return _made[key]


def _survey(filters: FiltersBlock, names: Sequence[str], sources: Sequence[Source], most: int | None) -> Sieve:
    sieve = Sieve(filters.limits())
    alike = Alike(filters.near_duplicates) if filters.near_duplicates is not None else None
    first: dict[int, int] = {}
    counts, rows = Counter[str](), []
    examples: dict[str, list[str]] = {}
    pairs: list[dict[str, Any]] = []
    for number, (name, source) in enumerate(zip(names, sources)):
        dropped, documents = Counter[str](), 0
        for text in islice(source.read(("corpus-survey", number)), most):
            documents += 1
            rule = broken_rule(text, sieve.limits)
            if rule is None and alike is not None:
                key = key_of(text)
                if key in first:
                    rule = "duplicates"
                    sieve.owners[key] = first[key]
                else:
                    first[key] = number
                    found = alike.add(text)
                    if found is not None:
                        rule = "near_duplicates"
                        sieve.near.add(key)
                        if len(pairs) < SHOWN:
                            pairs.append({"source": name, "similarity": round(found[1], 3),
                                          "kept": found[0], "dropped": _start(text)})  # fmt: skip
            if rule is not None:
                dropped[rule] += 1
                if rule != "near_duplicates" and len(shown := examples.setdefault(rule, [])) < SHOWN:
                    shown.append(_start(text))
        rows.append({"source": name, "documents": documents, "dropped": dict(dropped)})
        counts += Counter({"documents": documents, "dropped": dropped.total()})
    sieve.told = {
        "documents": counts["documents"],
        "kept": counts["documents"] - counts["dropped"],
        "limits": {name: list(v) if isinstance(v, tuple) else v for name, v in sieve.limits.items()},
        "sources": rows,
        "near_duplicates": pairs,
        "examples": examples,
        "of_the_first": most,
    }
    return sieve


def _start(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


class Alike:
    """Documents known so far, found again by what they share (Broder 1997; LSH by datasketch)."""

    def __init__(self, block: NearDuplicates) -> None:
        from datasketch import MinHashLSH

        self.block = block
        # At its own threshold LSH misses half of the pairs; what it finds here is checked by the hashes themselves.
        self.index = MinHashLSH(threshold=FIND * block.threshold, num_perm=block.permutations)
        self.known: dict[str, tuple[Any, str]] = {}

    def add(self, text: str) -> tuple[str, float] | None:
        """The start of the most similar known document and its estimated similarity, where it reaches the threshold.

        Else None, and the text is known from now on. A near-duplicate of a dropped document is compared with those
        that stay only.
        """
        from datasketch import MinHash

        hashes = MinHash(num_perm=self.block.permutations)
        hashes.update_batch([shingle.encode() for shingle in sorted(shingles(text, self.block.words))])
        likely = [(hashes.jaccard(self.known[name][0]), self.known[name][1]) for name in self.index.query(hashes)]
        best = max(likely, default=(0.0, ""))
        if best[0] >= self.block.threshold:
            return best[1], best[0]
        name = str(len(self.known))
        self.index.insert(name, hashes)
        self.known[name] = (hashes, _start(text))
        return None


def shingles(text: str, words: int) -> set[str]:
    """All runs of `words` words, lower case, without punctuation; of a shorter text the whole."""
    found = [word.lower() for word in _WORD.findall(text)] or [text]
    return {" ".join(found[i : i + words]) for i in range(max(1, len(found) - words + 1))}
