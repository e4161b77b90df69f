"""Intervals at 95 % for the score of one run: they speak of other test rows, not of other training runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewright.evaluation.corpus_metrics import Floats, Kinds
from tunewright.seeds import numpy_random

Bounds = tuple[float, float]
RESAMPLES = 1000
# Pseudo-values take K² steps, and with so many rows the correction they give is below 1/1000 of the width.
_MOST_KINDS = 5000


@dataclass(frozen=True)
class Interval:
    """A value with its interval at 95 %. `low` and `high` are None where the rows cannot tell (one row only, say)."""

    value: float
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        """`{"value", "low", "high"}`, never with NaN."""
        return {"value": self.value, "low": self.low, "high": self.high}


def wilson(share: float, n: float, critical: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share seen in `n` rows; `n` may be an effective number."""
    square = critical**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = critical / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    # At 0 and 1 the formula gives the bound itself up to rounding.
    low = 0.0 if share == 0 else max(0.0, middle - half)
    high = 1.0 if share == 1 else min(1.0, middle + half)
    return low, high


def interval_of_mean(scores: Sequence[float] | Floats, bounds: Bounds) -> Interval:
    """The mean of per-row scores `[n]`: Wilson for 0/1 scores, else a t interval cut at `bounds`.

    All scores equal: Wilson where both bounds are finite (as if each row were right or wrong: wide rather than of
    width zero), else no interval.
    """
    from scipy import stats

    rows = np.asarray(scores, dtype=np.float64)
    low, high = bounds
    value, n = float(rows.mean()), len(rows)
    if n < 2:
        return Interval(value, None, None)
    constant = bool(np.ptp(rows) <= 1e-12 * max(1.0, abs(value)))
    if bounds == (0.0, 1.0) and (constant or bool(np.isin(rows, (0.0, 1.0)).all())):
        return Interval(value, *wilson(min(1.0, max(0.0, value)), n))
    if constant:
        return Interval(value, None, None)
    half = float(stats.t.ppf(0.975, n - 1) * rows.std(ddof=1) / math.sqrt(n))
    return Interval(value, max(low, value - half), min(high, value + half))


def _acceleration(pull: Floats) -> float:
    """BCa's correction for skew, from how far each row pulls the value."""
    squares = float((pull**2).sum())
    return float((pull**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0


def interval_of_kinds(kinds: Kinds, bounds: Bounds) -> Interval:
    """A corpus metric: BCa bootstrap over rows (Efron 1987), 1,000 seeded resamples.

    No spread among the resamples (every row right): Wilson for fractions, else no interval.
    """
    from scipy import stats

    value, n = kinds.value(), len(kinds.of_row)
    if n < 2:
        return Interval(value, None, None)
    seen = np.sort(kinds.resampled(numpy_random("interval", n), RESAMPLES))
    if seen[-1] - seen[0] <= 1e-12:
        return Interval(value, *wilson(value, n)) if bounds == (0.0, 1.0) else Interval(value, None, None)
    # Where the value stands among the resamples, ties counted half, kept off the ends.
    below = (np.sum(seen < value) + np.sum(seen <= value)) / (2 * RESAMPLES)
    bias = float(stats.norm.ppf(min(max(below, 0.5 / RESAMPLES), 1 - 0.5 / RESAMPLES)))
    skew = _acceleration(kinds.pseudo_values() - value) if len(kinds.counts) <= _MOST_KINDS else 0.0
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        moved = bias + (bias + z) / max(1e-6, 1 - skew * (bias + z))
        ends.append(float(np.quantile(seen, stats.norm.cdf(moved))))
    return Interval(value, min(ends[0], value), max(ends[1], value))
