"""What questions are drawn from: the sentences of a window of documents, each asked about once an epoch."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from tunewright.errors import InputError
from tunewright.pretraining.ppt.sentences import Document
from tunewright.seeds import numpy_random

Random = np.random.Generator


@dataclass(frozen=True)
class Deal:
    """The place of one question in an epoch: all its random choices depend on these and its anchor alone."""

    seed: int
    epoch: int
    index: int
    name: str

    def random(self) -> Random:
        """The question's own random numbers."""
        return numpy_random("ppt-question", self.name, self.seed, self.epoch, self.index)

    def dealt(self, classes: int) -> int:
        """Its class: of `classes` questions in a row, from a multiple of that number on, each has another."""
        block, place = divmod(self.index, classes)
        order = numpy_random("ppt-deal", self.name, self.seed, self.epoch, block).permutation(classes)
        return int(order[place])

    def part(self, parts: int, name: str) -> "Deal":
        """The place among the questions of one kind, where `dealt(parts)` says which kind a question is of."""
        return Deal(self.seed, self.epoch, self.index // parts, f"{self.name}/{name}")


class Window:
    """Documents held at one time."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents

    def anchors(self) -> list["Anchor"]:
        """Every sentence that can be asked about."""
        found = (
            Anchor(self, d, i) for d, document in enumerate(self.documents) for i in range(len(document.sentences))
        )
        return [anchor for anchor in found if anchor.askable()]

    def elsewhere(self, own: int, count: int, random: Random) -> list[str]:
        """`count` different sentences of documents other than `own`, as many documents as there are.

        None of them stands in `own` too. Raises InputError where there are fewer.
        """
        found = dict.fromkeys(self.documents[own].sentences)  # in the order found, without doubles
        wanted = len(found) + count
        order = [int(d) for d in random.permutation(len(self.documents)) if d != own]
        starts = random.random(len(self.documents))
        depth = 0
        while len(found) < wanted:
            open_ = [d for d in order if depth < len(self.documents[d].sentences)]
            if not open_:
                raise InputError(
                    f"corpus: {len(self.documents)} long enough documents (of this side of corpus.holdout) are too "
                    f"few: a question wants {count} different sentences of others"
                )
            for d in open_:
                sentences = self.documents[d].sentences
                found[sentences[(int(starts[d] * len(sentences)) + depth) % len(sentences)]] = None
                if len(found) == wanted:
                    break
            depth += 1
        return list(found)[wanted - count :]


@dataclass(frozen=True, eq=False)
class Anchor:
    """Sentence `at` of document `own` of a window."""

    window: Window
    own: int
    at: int

    @property
    def document(self) -> Document:
        """The anchor's document."""
        return self.window.documents[self.own]

    @property
    def text(self) -> str:
        """The sentence."""
        return self.document.sentences[self.at]

    @property
    def following(self) -> str | None:
        """The sentence right behind it."""
        return self._beside(1)

    def neighbours(self) -> list[str]:
        """The sentences right before and right behind it."""
        return [text for text in (self._beside(-1), self._beside(1)) if text is not None]

    def distant(self, order: Iterable[int]) -> Iterator[str]:
        """The sentences of its document at least two places away, in the order given.

        Repetitions, also of the anchor and its neighbours, are left out.
        """
        document = self.document
        here, known = document.positions[self.at], {self.text, *self.neighbours()}
        for i in order:
            text = document.sentences[i]
            if abs(document.positions[i] - here) >= 2 and text not in known:
                known.add(text)
                yield text

    def some_distant(self, count: int, random: Random) -> list[str]:
        """At most `count` of them, drawn."""
        order = (int(i) for i in random.permutation(len(self.document.sentences)))
        return list(islice(self.distant(order), count))

    def askable(self) -> bool:
        """Whether every form of question can be asked about it: one follows it, another stands further off."""
        return self.following is not None and any(self.distant(range(len(self.document.sentences))))

    def elsewhere(self, count: int, random: Random) -> list[str]:
        """Sentences of other documents."""
        return self.window.elsewhere(self.own, count, random)

    def _beside(self, step: int) -> str | None:
        document, other = self.document, self.at + step
        if not 0 <= other < len(document.sentences):
            return None
        text = document.sentences[other]
        return text if abs(document.positions[other] - document.positions[self.at]) == 1 and text != self.text else None


class Seen:
    """Texts known by 64 bits of their hash: 8 bytes each, however many."""

    def __init__(self) -> None:
        self._hashes = np.empty(0, dtype=np.uint64)

    def first_time(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether it comes for the first time; from then on it is known."""
        hashes = np.array([_hash(text) for text in texts], dtype=np.uint64)
        new, first = np.unique(hashes, return_index=True)
        fresh = ~np.isin(new, self._hashes, assume_unique=True)
        self._hashes = np.union1d(self._hashes, new)
        chosen = set(first[fresh].tolist())
        return [i in chosen for i in range(len(texts))]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def shuffled_anchors(parts: Iterable[list[Document]], seed: int, epoch: int) -> Iterator[Anchor]:
    """The anchors of an epoch, window by window, in an order drawn from (seed, epoch, window).

    No two have the same text, so no question comes twice in an epoch.
    """
    seen = Seen()
    for number, documents in enumerate(parts):
        anchors = Window(documents).anchors()
        fresh = [a for a, first in zip(anchors, seen.first_time([a.text for a in anchors])) if first]
        for i in numpy_random("ppt-anchors", seed, epoch, number).permutation(len(fresh)):
            yield fresh[i]
