"""Documents as sentences (Gu et al. 2022, section 4.1): split by sentencex, whose rules need no data."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sentencex

MIN_SENTENCES, MIN_WORDS = 5, 5
WINDOW = 2000  # documents held at a time; half as many more at the end of an epoch


@dataclass(frozen=True, slots=True)
class Document:
    """The sentences of at least five words, and where each stands among all sentences of its document.

    The authors throw a document away for one short sentence; here the short sentence goes, and what stood on either
    side of it is not adjacent for that.
    """

    sentences: tuple[str, ...]
    positions: tuple[int, ...]


def split_sentences(text: str, language: str = "en") -> list[str]:
    """The sentences of a text, white space made single blanks.

    The end of a line ends a sentence (a heading, the turn of a chat), except in paragraphs wrapped at a fixed width.
    """
    pieces = [piece for paragraph in _paragraphs(text) for piece in _unwrapped(paragraph)]
    found = (" ".join(part.split()) for piece in pieces for part in sentencex.segment(language, piece))
    return [sentence for sentence in found if sentence]


def read_document(text: str, language: str = "en") -> Document:
    """A text's sentences without the short ones; it may be left with fewer than `MIN_SENTENCES`."""
    found = [(at, s) for at, s in enumerate(split_sentences(text, language)) if len(s.split()) >= MIN_WORDS]
    return Document(tuple(sentence for _, sentence in found), tuple(at for at, _ in found))


def windows(
    texts: Iterable[str], language: str = "en", size: int = WINDOW, counts: Counter[str] | None = None
) -> Iterator[list[Document]]:
    """The documents that are long enough, `size` at a time, in order.

    The last window has between half and one and a half times as many, so that none is too small to draw other
    documents from. Counts `documents` and those `too short`.
    """
    counts = Counter() if counts is None else counts
    held: list[Document] = []
    for text in texts:
        document = read_document(text, language)
        counts["documents"] += 1
        if len(document.sentences) < MIN_SENTENCES:
            counts["too short"] += 1
            continue
        held.append(document)
        if len(held) == size + size // 2:
            yield held[:size]
            held = held[size:]
    if held:
        yield held


def _paragraphs(text: str) -> Iterator[list[str]]:
    """The lines between blank lines."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line.strip())
        elif lines:
            yield lines
            lines = []


def _unwrapped(lines: list[str]) -> list[str]:
    """A paragraph's lines as one text where all but the last are nearly equally long, as an editor wraps them."""
    lengths = [len(line) for line in lines[:-1]]
    wrapped = bool(lengths) and 55 <= max(lengths) <= 100 and min(lengths) >= 0.75 * max(lengths)
    return [" ".join(lines)] if wrapped and len(lines[-1]) <= max(lengths) else lines
