"""From candidates for each label to the best mappings, by accuracy on rows: all products, or a bounded search."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ALL = 1_000_000  # so many products are all tried
WORK = 2_000_000_000  # else so many numbers are looked at in a step of the search, about


@dataclass(frozen=True)
class Mapping:
    """`words[c]`: the columns that stand for label c. `accuracy`, mean `likelihood` of the right label: on rows."""

    words: tuple[tuple[int, ...], ...]
    accuracy: float
    likelihood: float


@dataclass(frozen=True)
class Partial:
    """Mappings of the first few labels: P of them over R rows."""

    chosen: Ints  # [P, labels so far] columns
    best: Floats  # [P, R] highest score of a chosen word
    whole: Floats  # [P, R] log Σ exp of the chosen words' scores
    own: Floats  # [P, R] score of the row's own label, -inf where that has no word yet


def best_mappings(
    scores: Floats, candidates: Sequence[Sequence[int]], gold: Ints, most: int, *, width: int | None = None
) -> tuple[list[Mapping], bool]:
    """The `most` best mappings of one word a label, best first, and whether none better can exist.

    `scores` [R, W]: log probability of each word in each row; `candidates[c]`: the columns label c may have; `gold`
    [R]. Ranked by rows right, then by the mean log probability of the right label among the labels. Labels get their
    words one after the other; a partial mapping is given up when the rows it has wrong already leave it below the
    `most` best complete ones of a first, narrow search, and of the others the best `width` are kept. Up to a million
    products all are tried (`width` none). No word stands for two labels.
    """
    products = math.prod(len(found) for found in candidates)
    if width is None and products <= ALL:
        found, _ = _search(scores, candidates, gold, most, products, 0)
        return found, True
    if width is None:
        widest = max(len(found) for found in candidates)
        width = max(most, min(10_000, WORK // (widest * len(gold) * len(candidates))))
    first, whole = _search(scores, candidates, gold, most, most, 0)
    if whole:
        return first, True
    floor = round(first[-1].accuracy * len(gold)) if len(first) == most else 0
    return _search(scores, candidates, gold, most, width, floor)


def _search(
    scores: Floats, candidates: Sequence[Sequence[int]], gold: Ints, most: int, width: int, floor: int
) -> tuple[list[Mapping], bool]:
    """One pass over the labels. True: nothing was given up but what `floor` rules out."""
    rows = len(gold)
    nothing = np.full((1, rows), -np.inf)
    state = Partial(np.zeros((1, 0), np.int64), nothing, nothing, nothing)
    whole = True
    for label, columns in enumerate(candidates):
        last = label == len(candidates) - 1
        known = gold <= label  # rows whose label has a word now
        right, likelihood = _extended(scores, state, columns, gold == label, known)
        left = int(rows - known.sum())  # rows that may still come out right
        parents, words = np.nonzero(right + left >= floor)
        order = np.lexsort((words, parents, -likelihood[parents, words], -right[parents, words]))
        parents, words = parents[order], words[order]
        keep = most if last else width
        whole &= last or len(parents) <= keep
        parents, words = parents[:keep], words[:keep]
        if last:
            chosen = np.column_stack((state.chosen[parents], np.asarray(columns)[words]))
            pairs = zip(chosen.tolist(), right[parents, words].tolist(), likelihood[parents, words].tolist())
            return [Mapping(tuple((w,) for w in row), r / rows, p / rows) for row, r, p in pairs], whole
        state = _taken(scores, state, parents, np.asarray(columns)[words], gold == label)
    raise ValueError("no labels")


def _extended(
    scores: Floats, state: Partial, columns: Sequence[int], mine: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[Ints, Floats]:
    """Rows right, and the sum of the right label's log probabilities, of each partial with each word: [P, K]."""
    right = np.full((len(state.chosen), len(columns)), -(10**9), np.int64)
    likelihood = np.full(right.shape, -np.inf)
    best, whole, own = (part[:, known] for part in (state.best, state.whole, state.own))  # [P, rows known]
    for k, column in enumerate(columns):
        word = scores[known, column]  # [rows known]
        its = np.where(mine[known], word, own)  # [P, rows known]
        free = ~(state.chosen == column).any(1)
        right[free, k] = (its >= np.maximum(best, word)).sum(1)[free]
        likelihood[free, k] = (its - np.logaddexp(whole, word)).sum(1)[free]
    return right, likelihood


def _taken(scores: Floats, state: Partial, parents: Ints, columns: Ints, mine: NDArray[np.bool_]) -> Partial:
    """The partial mappings `parents`, each with one more word."""
    word = scores[:, columns].T  # [P, R]
    return Partial(
        np.column_stack((state.chosen[parents], columns)),
        np.maximum(state.best[parents], word),
        np.logaddexp(state.whole[parents], word),
        np.where(mine, word, state.own[parents]),
    )


def measured(scores: Floats, words: Sequence[Sequence[int]], gold: Ints) -> tuple[NDArray[np.bool_], Floats]:
    """Which rows a mapping has right [R], and the right label's log probability among the labels [R].

    A label's probability is the sum of its words'.
    """
    labels = np.stack([np.logaddexp.reduce(scores[:, list(own)], axis=1) for own in words], 1)  # [R, labels]
    its = labels[np.arange(len(gold)), gold]
    return labels.argmax(1) == gold, its - np.logaddexp.reduce(labels, axis=1)


def extended(
    scores: Floats, mapping: Mapping, candidates: Sequence[Sequence[int]], gold: Ints, per_label: int
) -> Mapping:
    """The mapping with `per_label` words a label: in turn each label gets the word that helps most (or harms least).

    A label whose candidates are used up has fewer.
    """
    words = [list(own) for own in mapping.words]
    labels = np.stack([np.logaddexp.reduce(scores[:, own], axis=1) for own in words], 1)  # [R, labels]
    rows = np.arange(len(gold))
    for _ in range(per_label - 1):
        for label, columns in enumerate(candidates):
            used = {w for own in words for w in own}
            free = [column for column in columns if column not in used]
            if not free:
                continue
            its = np.logaddexp(labels[:, [label]], scores[:, free])  # [R, K]
            others = np.delete(labels, label, 1)  # [R, labels - 1]
            highest = others.max(1)
            mine = gold == label
            own = np.where(mine[:, None], its, labels[rows, gold][:, None])  # [R, K]
            right = (own >= np.maximum(highest[:, None], its)).sum(0)
            all_ = np.logaddexp(np.logaddexp.reduce(others, axis=1)[:, None], its)
            best = int(np.lexsort((-(own - all_).sum(0), -right))[0])
            words[label].append(free[best])
            labels[:, label] = its[:, best]
    right_rows, likelihood = measured(scores, words, gold)
    return Mapping(tuple(map(tuple, words)), float(right_rows.mean()), float(likelihood.mean()))


def as_columns(mapping: Mapping, names: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """The mapping in words: label → its words."""
    return {label: [names[w] for w in own] for label, own in zip(labels, mapping.words)}
