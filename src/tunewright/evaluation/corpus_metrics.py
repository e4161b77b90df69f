"""Metrics that are no mean over rows, as functions of row weights, so that resampling them is one matrix product.

Rows that count alike (the same gold and predicted label, say) are one *kind* of row: a test set is its kinds and
how often each occurs. A metric is then computed for many weightings at once, `[B, K]` weights giving `[B]` values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.errors import InputError
from tunewright.evaluation.predictions import Prediction

Floats = npt.NDArray[np.float64]
# Weights of about 32 MB at a time, however many rows and resamples.
_CELLS = 4_000_000


@dataclass(frozen=True)
class Kinds:
    """The kinds of rows of one test set: their number, which row is which, and the metric of weights over kinds."""

    counts: Floats  # [K]
    of_row: npt.NDArray[np.intp]  # [n]
    value_of: Callable[[Floats], Floats]  # [B, K] -> [B]

    def value(self) -> float:
        """The metric of the rows as they are."""
        return float(self.value_of(self.counts[None, :])[0])

    def resampled(self, random: np.random.Generator, times: int) -> Floats:
        """The metric of `times` samples of n rows drawn with replacement, `[times]`."""
        n = len(self.of_row)
        shares = self.counts / n
        step = max(1, _CELLS // len(shares))
        parts = [self.value_of(_draw(random, n, shares, min(step, times - start))) for start in range(0, times, step)]
        return np.concatenate(parts)

    def pseudo_values(self) -> Floats:
        """Jackknife pseudo-values, `[n]`: one number per row whose mean is the metric and whose spread is the
        metric's own (Efron & Tibshirani 1993, ch. 11); for a mean over rows they are the rows' scores.

        Takes K² steps for K kinds: long only where tens of thousands of rows are each their own kind.
        They are moved by a constant, so that their mean is the metric itself and not its bias-corrected estimate.
        """
        n, kinds = len(self.of_row), len(self.counts)
        whole = self.value()
        if n == 1:
            return np.array([whole])
        without = np.empty(kinds)
        step = max(1, _CELLS // kinds)
        for start in range(0, kinds, step):
            stop = min(start + step, kinds)
            weights = np.repeat(self.counts[None, :], stop - start, axis=0)  # [b, K]
            weights[np.arange(stop - start), np.arange(start, stop)] -= 1
            without[start:stop] = self.value_of(weights)
        pseudo = (n * whole - (n - 1) * without)[self.of_row]
        return np.asarray(pseudo - pseudo.mean() + whole)


def _draw(random: np.random.Generator, n: int, shares: Floats, times: int) -> Floats:
    kinds = len(shares)
    if kinds == n:  # every row its own kind: counting drawn indices is faster than a multinomial of n parts
        drawn = random.integers(0, n, size=(times, n)) + np.arange(times)[:, None] * n
        return np.bincount(drawn.ravel(), minlength=times * n).reshape(times, n).astype(np.float64)
    return random.multinomial(n, shares, size=times).astype(np.float64)


def _kinds(
    columns: Sequence[npt.ArrayLike], value_of: Callable[[npt.NDArray[Any]], Callable[[Floats], Floats]]
) -> Kinds:
    table = np.stack([np.asarray(column) for column in columns], axis=1)  # [n, columns]
    unique, of_row, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    return Kinds(counts.astype(np.float64), of_row.ravel(), value_of(unique))


def _ratio(above: Floats, below: Floats) -> Floats:
    """above / below, and 0 where there is nothing to divide by."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def macro_f1(predictions: Sequence[Prediction]) -> Kinds:
    """F1 of every label that occurs among the targets or the predictions, averaged (as scikit-learn does)."""
    labels = {
        label: i for i, label in enumerate(sorted({str(x) for p in predictions for x in (p.target, p.prediction)}))
    }

    def value_of(kinds: npt.NDArray[Any]) -> Callable[[Floats], Floats]:
        gold = np.eye(len(labels))[kinds[:, 0]]  # [K, labels]
        said = np.eye(len(labels))[kinds[:, 1]]

        def values(weights: Floats) -> Floats:
            either = weights @ (gold + said)  # [B, labels]: 2 tp + fp + fn
            f1 = _ratio(2 * (weights @ (gold * said)), either)
            return np.asarray(_ratio(f1.sum(axis=1), (either > 0).sum(axis=1).astype(np.float64)))

        return values

    gold = [labels[str(p.target)] for p in predictions]
    return _kinds([gold, [labels[str(p.prediction)] for p in predictions]], value_of)


def entity_f1(predictions: Sequence[Prediction]) -> Kinds:
    """Micro F1 of whole entities (type and both ends right), read from IOB2 tags as the CoNLL script reads them.

    With no entity among targets and predictions it is 0, as in seqeval.
    """
    from seqeval.metrics.sequence_labeling import get_entities

    columns: list[list[int]] = [[], [], []]
    for p in predictions:
        if p.gold_tags is None or p.predicted_tags is None or len(p.gold_tags) != len(p.predicted_tags):
            raise InputError(f"row {p.id}: entity-f1 wants as many predicted_tags as gold_tags")
        gold, said = set(get_entities(list(p.gold_tags))), set(get_entities(list(p.predicted_tags)))
        for column, count in zip(columns, (len(gold & said), len(gold), len(said)), strict=True):
            column.append(count)

    def value_of(kinds: npt.NDArray[Any]) -> Callable[[Floats], Floats]:
        def values(weights: Floats) -> Floats:
            right, gold, said = (weights @ kinds).T  # [B] each
            return _ratio(2 * right, gold + said)

        return values

    return _kinds(columns, value_of)


def pearson(predictions: Sequence[Prediction]) -> Kinds:
    """Pearson's correlation of prediction and target; 0 where one of them is constant (it then orders nothing)."""

    def value_of(kinds: npt.NDArray[Any]) -> Callable[[Floats], Floats]:
        x, y = (kinds - kinds.mean(axis=0)).T  # moved to the middle, or the sums below lose digits
        powers = np.stack([x, y, x * x, y * y, x * y], axis=1)  # [K, 5]

        def values(weights: Floats) -> Floats:
            sums = weights @ powers / weights.sum(axis=1, keepdims=True)  # [B, 5]
            x, y, xx, yy, xy = sums.T
            return _correlation(xx - x * x, yy - y * y, xy - x * y, powers[:, 2].mean(), powers[:, 3].mean())

        return values

    return _kinds(_numbers(predictions), value_of)


def spearman(predictions: Sequence[Prediction]) -> Kinds:
    """Pearson's correlation of the ranks (ties share their mean rank), ranked anew in every resample."""

    def value_of(kinds: npt.NDArray[Any]) -> Callable[[Floats], Floats]:
        rank_x, rank_y = _ranker(kinds[:, 0]), _ranker(kinds[:, 1])

        def values(weights: Floats) -> Floats:
            x, y = rank_x(weights), rank_y(weights)  # [B, K], of mean 0
            total = weights.sum(axis=1)
            xx, yy, xy = (np.einsum("bk,bk,bk->b", weights, *pair) / total for pair in ((x, x), (y, y), (x, y)))
            return _correlation(xx, yy, xy, 1.0, 1.0)

        return values

    return _kinds(_numbers(predictions), value_of)


def _numbers(predictions: Sequence[Prediction]) -> tuple[Floats, Floats]:
    for p in predictions:
        number_of(p, p.prediction), number_of(p, p.target)
    return np.array([float(p.prediction) for p in predictions]), np.array([float(p.target) for p in predictions])


def number_of(prediction: Prediction, value: str | float) -> float:
    """`value` as a finite number; InputError names the row."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise InputError(f"row {prediction.id}: a number wanted, found {value!r}")
    return number


def _ranker(values: Floats) -> Callable[[Floats], Floats]:
    """A function from weights `[B, K]` to the kinds' mid-ranks `[B, K]`, less their mean, in each weighted sample."""
    _, place = np.unique(values, return_inverse=True)  # equal values share a place
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(place.max() + 1))

    def ranks(weights: Floats) -> Floats:
        there = np.add.reduceat(weights[:, order], starts, axis=1)  # [B, places]
        middle = np.cumsum(there, axis=1) - there / 2
        return np.asarray((middle - weights.sum(axis=1, keepdims=True) / 2)[:, place])  # [B, K]

    return ranks


def _correlation(xx: Floats, yy: Floats, xy: Floats, usual_xx: float, usual_yy: float) -> Floats:
    """Covariances over the root of the variances; a variance of rounding errors, next to the usual one, is none."""
    spread = (xx > 1e-13 * usual_xx) & (yy > 1e-13 * usual_yy)
    return np.asarray(np.clip(_ratio(xy, np.where(spread, np.sqrt(np.abs(xx * yy)), 0.0)), -1.0, 1.0))
