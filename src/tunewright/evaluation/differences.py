"""Is one way of tuning better than another? Differences over training seeds, paired by test row and by seed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.evaluation.intervals import Bounds, Interval, interval_of_mean, wilson
from tunewright.evaluation.metrics import Metric
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.variance import mean_layout, two_way

FRACTION: Bounds = (0.0, 1.0)
# With fewer seeds an interval is allowed but marked (the run part then has at most 3 degrees of freedom).
ENOUGH_SEEDS = 5


@dataclass(frozen=True)
class Difference:
    """First method minus second, with its 95 % interval and two-sided p; None where the data cannot tell.

    `df` are the degrees of freedom of Student's t with the same 5 % critical value. `runs_known` is False with one
    seed: the interval then knows nothing of how training runs spread. `note` says in words what limits the result.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    df: float | None
    seeds: int
    rows: int
    runs_known: bool
    note: str

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object, never with NaN."""
        return asdict(self)


def difference(first: npt.ArrayLike, second: npt.ArrayLike) -> Difference:
    """The mean of `first − second`, both `[seeds, rows]` scores of the same rows and seeds (`Metric.row_scores`).

    The interval on row and run variance of `variance.py`. Where all pairs differ by the same amount there is no
    spread to go by: fractions get the exact bound on the share of rows that could still differ otherwise
    (Clopper–Pearson for 0 of R rows), other scores no interval. Raises ValueError when the shapes differ.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ValueError(f"two tables [seeds, rows] of one shape wanted, found {a.shape} and {b.shape}")
    seeds, rows = a.shape
    known = seeds > 1
    note = _note(seeds, rows)
    if rows < 2:
        return Difference(float((a - b).mean()), None, None, None, None, seeds, rows, known, note)
    layout = two_way(a - b)
    value = float(layout.mean)
    variance, critical = (float(part) for part in layout.widest())
    if variance > 0:
        half = critical * variance**0.5
        df = layout.degrees_of_freedom()
        return Difference(value, value - half, value + half, layout.tail(), df, seeds, rows, known, note)
    note = " ".join(part for part in (note, "All pairs differ by the same amount: no spread to go by.") if part)
    if min(a.min(), b.min()) < 0 or max(a.max(), b.max()) > 1:
        return Difference(value, None, None, None, None, seeds, rows, known, note)
    share = 1 - 0.025 ** (1 / rows)
    low, high = max(-1.0, value - (1 + value) * share), min(1.0, value + (1 - value) * share)
    p = 1.0 if value == 0 else min(1.0, 2.0 ** (1 - rows))
    return Difference(value, low, high, p, None, seeds, rows, known, note)


def mean_difference(pairs: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> Difference:
    """The mean over tasks of `first − second`, each pair as in `difference`, the same seeds in all of them.

    Its interval takes the tasks' rows as independent draws, and a seed's run as the same one in all tasks
    (`mean_layout`). `rows` are those of the task with the fewest. Where no pair of any task differs otherwise than the
    others, the tasks' own intervals are added as squares. Raises ValueError without a pair or for unequal seeds.
    """
    singles = [difference(a, b) for a, b in pairs]
    if len(singles) == 1:
        return singles[0]
    if not singles or len({one.seeds for one in singles}) > 1:
        raise ValueError(f"pairs of the same seeds wanted, found {[one.seeds for one in singles]} seeds")
    seeds, rows = singles[0].seeds, min(one.rows for one in singles)
    value, note = float(np.mean([one.value for one in singles])), _note(seeds, rows)
    if rows < 2:
        return Difference(value, None, None, None, None, seeds, rows, seeds > 1, note)
    layout = mean_layout([np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64) for a, b in pairs])
    variance, critical = (float(part) for part in layout.widest())
    if variance > 0:
        half, df = critical * variance**0.5, layout.degrees_of_freedom()
        return Difference(value, value - half, value + half, layout.tail(), df, seeds, rows, seeds > 1, note)
    arms = [
        (one.value - one.low, one.high - one.value) for one in singles if one.low is not None and one.high is not None
    ]
    if len(arms) < len(singles):
        return Difference(value, None, None, None, None, seeds, rows, seeds > 1, note)
    below, above = (float(np.linalg.norm(side)) / len(singles) for side in zip(*arms))
    p = 1.0 if value == 0 else None
    return Difference(value, value - below, value + above, p, None, seeds, rows, seeds > 1, note)


def _note(seeds: int, rows: int) -> str:
    if rows < 2:
        return "One test row: nothing can be said about other rows."
    if seeds == 1:
        return (
            "One run of each: the interval is about other test rows only; how far training runs spread is unknown, "
            "and another seed may turn the result."
        )
    if seeds < ENOUGH_SEEDS:
        return f"Only {seeds} seeds: how far runs spread is known roughly, and the interval is wide for it."
    return ""


def mean_interval(scores: npt.ArrayLike, bounds: Bounds = FRACTION) -> Interval:
    """The mean of one method's scores `[seeds, rows]` with an interval over rows and runs, as for differences.

    Between finite bounds it is Wilson's interval at the effective number of rows `p(1−p)/variance`, which stays
    inside the bounds and covers near them better than t intervals. (It still falls short where few rows were drawn
    and nearly all are right: 89 % instead of 95 % in a simulation with 10 seeds, 30 rows, a share of 0.95.)
    One seed: rows only, as for a single run.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"a table [seeds, rows] wanted, found shape {table.shape}")
    seeds, rows = table.shape
    if rows < 2:
        return Interval(float(table.mean()), None, None)
    if seeds == 1:
        return interval_of_mean(table[0], bounds)
    layout = two_way(table)
    value = float(layout.mean)
    variance, critical = (float(part) for part in layout.widest())
    low, high = bounds
    if not np.isfinite(high - low):
        half = critical * variance**0.5
        return Interval(value, max(low, value - half), min(high, value + half)) if half else Interval(value, None, None)
    width = high - low
    share = min(1.0, max(0.0, (value - low) / width))
    effective = share * (1 - share) * width**2 / variance if variance > 0 and 0 < share < 1 else float(rows)
    from_low, from_high = wilson(share, effective, critical)
    return Interval(value, low + width * from_low, low + width * from_high)


def mean_interval_corpus(metric: Metric, runs: Sequence[Sequence[Prediction]]) -> Interval:
    """Any metric's mean over runs (the same rows in the same order) with its interval over rows and runs.

    A metric made of all rows together enters by its jackknife pseudo-values, one per row.
    """
    if len(runs) == 1:
        return metric.interval(runs[0])
    return mean_interval(np.stack([metric.row_scores(run) for run in runs]), metric.bounds)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's adjusted p values (1979) in the order given; a p that is None stays None and is not counted."""
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = largest
    return adjusted
