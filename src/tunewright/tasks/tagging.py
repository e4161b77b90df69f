"""Tagging as generation: entities written as text, and text read back as IOB2 tags."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

NONE = "none"


def tags_to_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """The entities of IOB2 `tags` in order: `Paris: location; Ada Lovelace: person`, or `none`.

    An `I-` tag that continues nothing starts an entity, as the CoNLL scorer reads it. Line breaks and runs of blanks in
    the tokens are written as one blank.
    """
    found = [(" ".join(" ".join(tokens[start:end]).split()), kind) for start, end, kind in spans(tags)]
    return "; ".join(f"{words}: {kind}" for words, kind in found) or NONE


@dataclass(frozen=True)
class ReadBack:
    """Tags read from a text, one a token, and what of the text was no entity of these tokens.

    `unknown_type`: pieces of a type that the task has not. `not_there`: words that stand nowhere (any more).
    `malformed`: pieces that are no `words: type`; of an output cut short, its last one.
    """

    tags: list[str]
    unknown_type: int = 0
    not_there: int = 0
    malformed: int = 0


def text_to_tags(tokens: Sequence[str], text: str, types: Collection[str]) -> ReadBack:
    """IOB2 tags for `tokens` from a text in the form of `tags_to_text`.

    Each entity takes the next place of its words, from left to right, that no other entity has taken; one named out
    of order is looked for from the start. Upper and lower case count only where both spellings stand there. Types are
    read in any case, with `-`, `_` or a space between their words. A new line ends an entity as `;` does.
    """
    names = {_plain(kind): kind for kind in types}
    exact = [" ".join(token.split()) for token in tokens]
    folded = [token.casefold() for token in exact]
    tags = ["O"] * len(tokens)
    after = unknown = absent = 0
    entities, malformed = _entities(text)
    for pieces, written in entities:
        kind = names.get(_plain(written))
        if kind is None:
            unknown += 1
            continue
        # Words may hold a semicolon, so all pieces are tried first; else the last one is the entity.
        for first in range(len(pieces)):
            words = " ".join(";".join(pieces[first:]).split())
            place = (
                _find(exact, tags, words, after)
                or _find(exact, tags, words, 0)
                or _find(folded, tags, words.casefold(), after)
                or _find(folded, tags, words.casefold(), 0)
            )
            if place is not None:
                break
        if place is None:
            absent += 1
            continue
        malformed += sum(_says_something(piece) for piece in pieces[:first])
        start, end = place
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        after = end
    return ReadBack(tags, unknown, absent, malformed)


def repaired(tags: Sequence[str]) -> list[str]:
    """Tags of a head as IOB2: an `I-` that continues no entity of its type begins one, as the CoNLL scorer and seqeval
    (its default mode) read it. Labels without `B-` and `I-` (parts of speech, say) stay as they are.
    """
    found = list(tags)
    for start, _, kind in spans(tags):
        found[start] = f"B-{kind}"
    return found


def entities(tokens: Sequence[str], tags: Sequence[str]) -> list[dict[str, Any]]:
    """Each entity as {text, type, start, end}: the tokens from `start` to before `end`."""
    return [
        {"text": " ".join(tokens[start:end]), "type": kind, "start": start, "end": end}
        for start, end, kind in spans(tags)
    ]


def spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, end, type) of each entity; `end` is exclusive."""
    found: list[tuple[int, int, str]] = []
    for index, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix == "I" and found and found[-1][1:] == (index, kind):
            found[-1] = (found[-1][0], index + 1, kind)
        elif prefix in ("B", "I") and kind:
            found.append((index, index + 1, kind))
    return found


def _entities(text: str) -> tuple[list[tuple[list[str], str]], int]:
    """(pieces, type) of each entity, and the pieces that belong to none.

    A piece without a colon belongs to the next one, for words may hold a semicolon.
    """
    found: list[tuple[list[str], str]] = []
    malformed = 0
    for line in text.splitlines():
        pieces: list[str] = []
        for part in line.split(";"):
            words, colon, kind = part.rpartition(":")
            if colon and kind.strip():
                found.append(([*pieces, words], kind.strip()))
                pieces = []
            else:
                pieces.append(part)
        malformed += sum(_says_something(piece) for piece in pieces)
    return found, malformed


def _says_something(piece: str) -> bool:
    return bool(piece.strip()) and piece.strip(" .").casefold() != NONE


def _plain(kind: str) -> str:
    return " ".join(kind.casefold().replace("-", " ").replace("_", " ").split())


def _find(tokens: Sequence[str], tags: Sequence[str], words: str, start: int) -> tuple[int, int] | None:
    if not words:
        return None
    for first in range(start, len(tokens)):
        if not tokens[first]:  # inside an entity an empty token is passed over; none begins with it
            continue
        joined = ""
        for last in range(first, len(tokens)):
            if tags[last] != "O":
                break
            joined = f"{joined} {tokens[last]}" if joined and tokens[last] else joined + tokens[last]
            if joined == words:
                return first, last + 1
            if len(joined) > len(words):
                break
    return None
