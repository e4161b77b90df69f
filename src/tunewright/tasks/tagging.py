"""Tagging as generation: entities written as text, and text read back as IOB2 tags."""

from collections.abc import Collection, Sequence

NONE = "none"


def tags_to_text(tokens: Sequence[str], tags: Sequence[str]) -> str:
    """The entities of IOB2 `tags` in order: `Paris: location; Ada Lovelace: person`, or `none`.

    An `I-` tag that continues nothing starts an entity, as the CoNLL scorer reads it.
    """
    return "; ".join(f"{' '.join(tokens[start:end])}: {kind}" for start, end, kind in spans(tags)) or NONE


def text_to_tags(tokens: Sequence[str], text: str, types: Collection[str]) -> list[str]:
    """IOB2 tags for `tokens` from a text in the form of `tags_to_text`.

    Each entity takes the next place of its words, from left to right, that no other entity has taken; one named out
    of order is looked for from the start. Unknown types and words that are not there are passed over.
    """
    tags = ["O"] * len(tokens)
    after = 0
    for words, kind in _entities(text):
        if kind not in types:
            continue
        place = _find(tokens, tags, words, after) or _find(tokens, tags, words, 0)
        if place is None:
            continue
        start, end = place
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        after = end
    return tags


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


def _entities(text: str) -> list[tuple[str, str]]:
    """(words, type) pairs; a piece without a colon belongs to the next one, for words may hold a semicolon."""
    entities = []
    piece = ""
    for part in text.split(";"):
        piece += part
        words, colon, kind = piece.rpartition(":")
        if colon:
            entities.append((" ".join(words.split()), kind.strip()))
            piece = ""
        else:
            piece += ";"
    return entities


def _find(tokens: Sequence[str], tags: Sequence[str], words: str, start: int) -> tuple[int, int] | None:
    for first in range(start, len(tokens)):
        joined = ""
        for last in range(first, len(tokens)):
            if tags[last] != "O":
                break
            joined = f"{joined} {tokens[last]}" if last > first else tokens[last]
            if joined == words:
                return first, last + 1
            if len(joined) > len(words):
                break
    return None
