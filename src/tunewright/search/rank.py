"""Candidates ranked on rows: all on a few, the better half on twice as many, until few are left for all rows."""

import math
from collections.abc import Sequence
from typing import Any

from tunewright.endpoints.faults import Ended
from tunewright.errors import InputError
from tunewright.search.board import Board, Place
from tunewright.search.gather import Entry
from tunewright.search.journal import Journal
from tunewright.search.scorer import RowScore, Scorer, mean

FEWEST = 16  # rows of the first round, where there are as many


def rounds(candidates: int, rows: int, keep: int) -> list[int]:
    """How many rows have been read at the end of each round (successive halving; Jamieson & Talwalkar 2016).

    The number doubles up to all rows; there are as many rounds as leave `keep` candidates for the last one and at least
    16 rows for the first.
    """
    halvings = 0
    while math.ceil(candidates / 2 ** (halvings + 1)) >= keep and rows // 2 ** (halvings + 1) >= FEWEST:
        halvings += 1
    return [math.ceil(rows / 2 ** (halvings - i)) for i in range(halvings + 1)]


def work(candidates: int, rows: int, keep: int) -> int:
    """How many times a candidate is scored in all rounds."""
    total = 0
    for _ in rounds(candidates, rows, keep):
        total, candidates = total + candidates, math.ceil(candidates / 2)
    return total


def standing(entry: Entry) -> tuple[int, float, float, int]:
    """What the board is sorted by, best first: rows read, score, likelihood of the right answer, the earlier one."""
    score, likelihood = mean([s.score for s in entry.scores]), mean([s.likelihood for s in entry.scores])
    return -len(entry.scores), -score, -likelihood, entry.number


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that could be asked, best first; those that read more rows stand before the others."""
    return sorted((e for e in entries if e.refused is None and e.scores), key=standing)


def race(entries: Sequence[Entry], scorer: Scorer, keep: int, journal: Journal, board: Board) -> list[Entry]:
    """Score the entries in rounds; the ranking. What the journal holds is not scored again.

    Raises InputError where no candidate can be asked.
    """
    known = {(line["candidate"], line["rows"][0]): line for line in journal.lines}
    alive, start, done = list(entries), 0, 0
    for end in rounds(len(entries), len(scorer.rows), keep):
        for entry in alive:
            line = known.get((entry.number, start))
            if line is None:
                line = _scored(entry, scorer, start, end)
                journal.add(line)
            done += 1
            entry.refused = line.get("refused")
            if entry.refused is None:
                scores = [RowScore(*pair) for pair in zip(line["score"], line["likelihood"])]
                scorer.remember(entry.prompts, start, scores)
                entry.scores += scores
            board.update(done, [_place(e) for e in ranked(entries)[:keep]])
        alive = [entry for entry in alive if entry.refused is None]
        if not alive:
            raise InputError(f"no candidate can be asked: {entries[0].refused}")
        if end < len(scorer.rows):
            best = sorted(alive, key=standing)[: math.ceil(len(alive) / 2)]
            alive = sorted(best, key=lambda entry: entry.number)
        start = end
    return ranked(entries)


def _scored(entry: Entry, scorer: Scorer, start: int, end: int) -> dict[str, Any]:
    """A line of the journal."""
    line: dict[str, Any] = {"candidate": entry.number, "rows": [start, end], "how": entry.candidate.how}
    line["jinja"] = entry.candidate.jinja
    try:
        scores = scorer.score(entry.template, entry.prompts, start, end)
    except Ended:  # not this candidate's fault
        raise
    except InputError as error:
        return line | {"refused": str(error)}
    return line | {"score": [s.score for s in scores], "likelihood": [s.likelihood for s in scores]}


def _place(entry: Entry) -> Place:
    score = mean([s.score for s in entry.scores])
    return Place(score, len(entry.scores), entry.candidate.how, entry.candidate.jinja)
