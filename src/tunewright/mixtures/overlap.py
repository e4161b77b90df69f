"""Do rows that are asked stand in the training rows? By runs of 13 words that both have (Brown et al. 2020, app. C).

Words are lower-cased, without punctuation. Only the asked rows' runs are kept, as 64-bit hashes; training rows stream
by.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from tunewright.tasks.task import Row, Rows

N = 13
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BATCH_WORDS = 200_000  # looked up at a time
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Found:
    """The first training row that shares words with an asked row: its member, its id, the words."""

    member: str
    row: str
    words: str


@dataclass
class Overlap:
    """What a task's asked rows have in common with the training rows.

    `rows`: how many were asked; `short`: those without any run of 13 words, of which nothing can be said; `found` by
    the asked row's id.
    """

    rows: int
    short: int = 0
    found: dict[str, Found] = field(default_factory=dict)

    def to_json(self, examples: int = 3) -> dict[str, Any]:
        """{"rows", "short", "overlapping", "share", "examples", "ids"}: `ids` of the asked rows that overlap."""
        shown = [{"id": row, **vars(found)} for row, found in list(self.found.items())[:examples]]
        count = len(self.found)
        return {
            "rows": self.rows, "short": self.short, "overlapping": count, "share": count / max(1, self.rows),
            "examples": shown, "ids": list(self.found),
        }  # fmt: skip


def texts_of(row: Row) -> Iterator[str]:
    """The texts of a row, field by field; a list of words or choices is one text."""
    for value in row.values():
        yield from _texts(value)


def find_overlap(asked: Mapping[str, Rows], training: Iterable[tuple[str, str, Row]]) -> dict[str, Overlap]:
    """The overlap of each task's asked rows with the training rows, (member, id, row) each.

    Memory: 12 bytes for every distinct run of 13 words in the asked rows, and of the training rows a batch of words.
    """
    result = {task: Overlap(len(rows)) for task, rows in asked.items()}
    owners: list[tuple[str, str]] = []
    keys: list[np.ndarray] = []
    of_owner: list[np.ndarray] = []
    for task, rows in asked.items():
        for name, row in zip(rows.ids, rows):
            runs = [_runs(_hashes(words)) for text in texts_of(row) if len(words := _words(text)) >= N]
            if not runs:
                result[task].short += 1
                continue
            mine = np.unique(np.concatenate(runs))
            keys.append(mine)
            of_owner.append(np.full(len(mine), len(owners), np.int32))
            owners.append((task, name))
    if not keys:
        return result
    known, owner = np.concatenate(keys), np.concatenate(of_owner)
    order = np.argsort(known, kind="stable")
    known, owner = known[order], owner[order]
    seen = np.zeros(len(known), bool)
    for stream, starts, sources in _batches(training):
        passing = _runs(_hashes(stream))
        text = np.searchsorted(starts, np.arange(len(stream)), side="right") - 1
        places = np.flatnonzero(text[: len(passing)] == text[N - 1 :])  # runs within one text
        left = np.searchsorted(known, passing[places])
        inside = left < len(known)
        left, places = left[inside], places[inside]
        hit = (known[left] == passing[places]) & ~seen[left]
        firsts, at = np.unique(left[hit], return_index=True)
        for first, place in zip(firsts.tolist(), places[hit][at].tolist()):
            end = int(np.searchsorted(known, known[first], side="right"))
            seen[first:end] = True
            found = Found(*sources[int(text[place])], " ".join(stream[place : place + N]))
            for number in owner[first:end].tolist():
                task, name = owners[number]
                result[task].found.setdefault(name, found)
    return result


def _batches(training: Iterable[tuple[str, str, Row]]) -> Iterator[tuple[list[str], list[int], list[tuple[str, str]]]]:
    """(words, where each text starts among them, whose text it is), texts of 13 words or more."""
    words: list[str] = []
    starts: list[int] = []
    sources: list[tuple[str, str]] = []
    for member, name, row in training:
        for text in texts_of(row):
            mine = _words(text)
            if len(mine) >= N:
                starts.append(len(words))
                sources.append((member, name))
                words += mine
        if len(words) >= _BATCH_WORDS:
            yield words, starts, sources
            words, starts, sources = [], [], []
    if words:
        yield words, starts, sources


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        if all(isinstance(part, str) for part in value):
            yield " ".join(value)
        else:
            for part in value:
                yield from _texts(part)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _hashes(words: list[str]) -> np.ndarray:
    """[words], 64 bits each."""
    return np.fromiter(map(_hash, words), np.uint64, len(words))


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _runs(hashes: np.ndarray) -> np.ndarray:
    """[words − 12]: one hash for each 13 words in a row."""
    found = np.zeros(len(hashes) - N + 1, np.uint64)
    for i in range(N):
        found = found * _BASE + hashes[i : len(hashes) - N + 1 + i]
    return found
