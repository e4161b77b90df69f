"""Single sentences with pseudo labels in five ways (Gu et al. 2022, section 3.1.3 and appendix), kept in a file."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunewright.console import progress, say
from tunewright.errors import InputError
from tunewright.files import write_text
from tunewright.pretraining.ppt.draw import Deal
from tunewright.pretraining.ppt.forms import SENTENCE_WORDS, label
from tunewright.pretraining.ppt.recipe import LabellerBlock
from tunewright.pretraining.ppt.sentences import MIN_WORDS, split_sentences
from tunewright.pretraining.pseudo_labels import Labeller
from tunewright.runs.probabilities import CHUNK, Probabilities
from tunewright.seeds import numpy_random
from tunewright.tasks.task import Row

Side = Literal["train", "heldout"]
WAYS = range(len(SENTENCE_WORDS))


@dataclass(frozen=True)
class Pool:
    """Sentences by their word, worst first."""

    by_word: tuple[tuple[str, ...], ...]

    def rows(self, seed: int, epoch: int) -> Iterator[Row]:
        """As many sentences of each word as there are of the rarest, words in turn, drawn anew each epoch."""
        rarest = min(map(len, self.by_word))
        orders = [numpy_random("ppt-pool", seed, epoch, w).permutation(len(self.by_word[w])) for w in WAYS]
        for k in range(rarest * len(WAYS)):
            word = Deal(seed, epoch, k, "single-sentence").dealt(len(WAYS))
            yield self._row(word, orders[word][k // len(WAYS)])

    def all_rows(self, seed: int) -> Iterator[Row]:
        """All sentences, words in turn as long as they last: the first so many are as balanced as can be."""
        orders = [numpy_random("ppt-pool", seed, w).permutation(len(self.by_word[w])) for w in WAYS]
        places = sorted((i, word) for word in WAYS for i in range(len(self.by_word[word])))
        return (self._row(word, orders[word][i]) for i, word in places)

    def _row(self, word: int, at: int) -> Row:
        return {"text": self.by_word[word][at], "label": label(SENTENCE_WORDS, word)}

    def told(self) -> str:
        """How many sentences each word has."""
        return ", ".join(f"{word} {len(texts)}" for word, texts in zip(SENTENCE_WORDS, self.by_word))


def load_labeller(block: LabellerBlock) -> tuple[Labeller, list[int]]:
    """The run, and the places of its labels from worst to best.

    Raises InputError where it has neither two nor five labels, or `order` does not name them.
    """
    labeller = Labeller.load(Path(block.run))
    _ = labeller.field  # says so where there are several
    labels = labeller.labels
    if len(labels) not in (2, len(SENTENCE_WORDS)):
        raise InputError(
            f"labeller {block.run}: it tells {len(labels)} labels apart ({', '.join(labels)}); two or five wanted"
        )
    if block.order is not None and sorted(block.order) != sorted(labels):
        raise InputError(f"labeller.order: {', '.join(block.order)} are not its labels {', '.join(labels)}")
    return labeller, [labels.index(name) for name in block.order or labels]


def word_of(probabilities: Probabilities | None, order: Sequence[int], block: LabellerBlock) -> int | None:
    """Which of the five words a sentence gets, None where the labeller is not sure.

    Two labels: the band that the better one's probability lies in; between the bands a sentence is dropped. Five: the
    likeliest, above its threshold.
    """
    if probabilities is None:
        return None
    ordered = [probabilities[i] for i in order]
    if len(ordered) == 2:
        return next((word for word, (low, high) in enumerate(block.bands) if low <= ordered[1] <= high), None)
    best = max(WAYS, key=ordered.__getitem__)
    return best if ordered[best] > block.thresholds[best] else None


def sentences_of(texts: Iterable[str], language: str, most: int) -> list[str]:
    """The first `most` different sentences of at least five words."""
    found: dict[str, None] = {}
    for text in texts:
        found |= dict.fromkeys(s for s in split_sentences(text, language) if len(s.split()) >= MIN_WORDS)
        if len(found) >= most:
            break
    return list(found)[:most]


def labelled_pools(
    block: LabellerBlock, labeller: Labeller, order: Sequence[int], sentences: dict[Side, list[str]], file: Path
) -> dict[Side, Pool]:
    """Label the sentences into `file` (a line each, probabilities from worst to best), or read what stands there.

    Stopped and started again, it goes on with the sentences that are left. Raises InputError where a word has no
    training sentence, or nothing is held out.
    """
    wanted = [(side, text) for side, texts in sentences.items() for text in texts]
    if not file.is_file():
        _label(block, labeller, order, wanted, file)
    found: dict[Side, list[list[str]]] = {side: [[] for _ in WAYS] for side in sentences}
    for row in _read(file):
        if row["label"] is not None:
            found[row["split"]][SENTENCE_WORDS.index(row["label"])].append(row["text"])
    pools = {side: Pool(tuple(tuple(texts) for texts in by_word)) for side, by_word in found.items()}
    for side, pool in pools.items():
        say(f"pseudo labels, {side}: {pool.told()}; of {len(sentences[side])} sentences")
    if not any(pools["heldout"].by_word):
        raise InputError(f"labeller {block.run}: it is sure of none of {len(sentences['heldout'])} held-out sentences")
    missing = [word for word, texts in zip(SENTENCE_WORDS, pools["train"].by_word) if not texts]
    if missing:
        raise InputError(
            f"labeller {block.run}: of {len(sentences['train'])} sentences none is {missing[0]} "
            f"({pools['train'].told()}): change its bands or thresholds, or give it more sentences"
        )
    return pools


def _label(
    block: LabellerBlock, labeller: Labeller, order: Sequence[int], wanted: Sequence[tuple[Side, str]], file: Path
) -> None:
    """Append chunk after chunk to a file beside `file`, which is renamed when whole."""
    part = file.with_suffix(".part.jsonl")
    done = _whole_chunks(part)
    with progress("labelling", len(wanted)) as bar, open(part, "a", encoding="utf-8") as out:
        bar.advance(done)
        said = labeller.ask_texts([text for _, text in wanted[done:]], bar)
        for at, ((side, text), probabilities) in enumerate(zip(wanted[done:], said), done + 1):
            word = word_of(probabilities, order, block)
            row = {
                "split": side,
                "text": text,
                "label": None if word is None else SENTENCE_WORDS[word],
                "probabilities": None if probabilities is None else [probabilities[i] for i in order],
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            if at % CHUNK == 0:
                out.flush()
    part.replace(file)


def _whole_chunks(part: Path) -> int:
    """Cut a file left by an interrupted labelling to whole chunks, so that the rest is asked in the same batches."""
    if not part.is_file():
        return 0
    lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    kept = len(whole) // CHUNK * CHUNK
    write_text(part, "".join(whole[:kept]))
    return kept


def _read(file: Path) -> Iterator[dict[str, Any]]:
    with open(file, encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)
