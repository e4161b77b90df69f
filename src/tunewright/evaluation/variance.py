"""How sure the mean of a table [seeds, rows] is: both other rows and other training runs could have come.

A score of run s on row r is taken as mean + run effect + row effect + rest, crossed and without replication. With
the mean squares of that two-way layout, `E[MS_runs] = rest + R·runs`, `E[MS_rows] = rest + S·rows`, the variance of
the mean is `runs/S + rows/R + rest/(S·R) = (MS_runs + MS_rows − MS_rest) / (S·R)`.

Two departures from the textbook, because 3 to 5 runs say little about their spread:

- The critical value is Cochran's (Cochran & Cox 1957, §4.14): the mean of the t values at S−1 and R−1 degrees of
  freedom, weighted by the two parts of the variance, `MS_runs` and `max(MS_rows − MS_rest, 0)`. In simulations with
  3 seeds the usual Welch–Satterthwaite degrees of freedom call up to 7–8 % of equal methods different at the 5 %
  level: a run part that came out small by chance is taken for one that is known well. Cochran's stays at 5 % or
  under, within the simulation's error (tests/evaluation/test_variance_simulation.py).
- Three runs may come out equal by chance. So the interval is never narrower than the one from rows alone, which is
  right where runs do not spread and too narrow everywhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewright.evaluation.corpus_metrics import Floats


@dataclass(frozen=True)
class TwoWay:
    """The means and mean squares of tables `[..., S, R]`; all arrays have the leading shape."""

    seeds: int
    rows: int
    mean: Floats
    ms_runs: Floats
    ms_rows: Floats
    ms_rest: Floats

    def widest(self, level: float = 0.05) -> tuple[Floats, Floats]:
        """Variance of the mean and two-sided critical value at `level`: of rows and runs, or of rows alone where
        that is wider. The interval is mean ± critical · √variance."""
        (both, both_critical), (alone, alone_critical) = self._rows_and_runs(level), self._rows_alone(level)
        wider = both_critical * np.sqrt(both) >= alone_critical * np.sqrt(alone)
        return np.where(wider, both, alone), np.where(wider, both_critical, alone_critical)

    def tail(self) -> float:
        """The two-sided p value of "the mean is 0" (one table, variance above 0): the level at which the interval
        just touches 0."""
        from scipy import optimize

        def outside(log_level: float) -> float:
            variance, critical = self.widest(float(np.exp(log_level)))
            return float(critical * np.sqrt(variance)) - abs(float(self.mean))

        # A p value below 1e-100 is 0 for every purpose, and t's inverse ends not far below.
        lowest = float(np.log(1e-100))
        if outside(lowest) <= 0:
            return 0.0
        return float(np.exp(optimize.brentq(outside, lowest, 0.0, xtol=1e-12))) if self.mean != 0 else 1.0

    def degrees_of_freedom(self) -> float:
        """The degrees of freedom at which Student's t has this 5 % critical value (one table)."""
        return equivalent_df(float(self.widest()[1]), self.seeds, self.rows)

    def _rows_and_runs(self, level: float) -> tuple[Floats, Floats]:
        from scipy import stats

        runs_part = self.ms_runs / (self.seeds * self.rows)
        rows_part = np.maximum(self.ms_rows - self.ms_rest, 0.0) / (self.seeds * self.rows)
        variance = np.asarray(runs_part + rows_part)
        of_runs = float(stats.t.isf(level / 2, self.seeds - 1)) if self.seeds > 1 else 0.0
        of_rows = float(stats.t.isf(level / 2, self.rows - 1))
        share = np.divide(runs_part, variance, out=np.zeros_like(variance), where=variance > 0)
        return variance, np.asarray(share * of_runs + (1 - share) * of_rows)

    def _rows_alone(self, level: float) -> tuple[Floats, Floats]:
        from scipy import stats

        # Where rows have no effect of their own both mean squares estimate the same, and the larger is taken.
        variance = np.asarray(np.maximum(self.ms_rows, self.ms_rest) / (self.seeds * self.rows))
        return variance, np.full_like(variance, float(stats.t.isf(level / 2, self.rows - 1)))


def equivalent_df(critical: float, seeds: int, rows: int) -> float:
    """The degrees of freedom at which t's 5 % value is `critical`; it lies between those of the runs and the rows."""
    from scipy import optimize, stats

    ends = sorted({rows - 1, seeds - 1} - {0}) or [1]
    low, high = float(ends[0]), float(ends[-1])
    for df in (low, high):
        if abs(float(stats.t.ppf(0.975, df)) - critical) < 1e-9:
            return df
    if low == high:
        return low
    return float(optimize.brentq(lambda df: float(stats.t.ppf(0.975, df)) - critical, low, high))


def two_way(scores: npt.ArrayLike) -> TwoWay:
    """The two-way layout of `scores` `[..., S, R]` (S ≥ 1, R ≥ 2, finite numbers).

    With one seed the runs' mean square and the rest are 0: the variance is the rows' alone.
    Raises ValueError on other shapes or on NaN.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim < 2 or table.shape[-2] < 1 or table.shape[-1] < 2:
        raise ValueError(f"scores [..., seeds, rows] with at least two rows wanted, found shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("scores must be finite")
    seeds, rows = table.shape[-2:]
    mean = table.mean(axis=(-2, -1))
    of_run = table.mean(axis=-1) - mean[..., None]  # [..., S]
    of_row = table.mean(axis=-2) - mean[..., None]  # [..., R]
    ms_rows = seeds * (of_row**2).sum(axis=-1) / (rows - 1)
    if seeds == 1:
        nothing = np.zeros_like(ms_rows)
        runs, rest = nothing, nothing
    else:
        runs = rows * (of_run**2).sum(axis=-1) / (seeds - 1)
        left = table - mean[..., None, None] - of_run[..., :, None] - of_row[..., None, :]
        rest = (left**2).sum(axis=(-2, -1)) / ((seeds - 1) * (rows - 1))
    # Squared rounding errors of equal numbers count as 0.
    nothing_below = 1e-24 * np.maximum(np.abs(table).max(axis=(-2, -1)) ** 2, 1e-300)
    runs, ms_rows, rest = (np.where(ms > nothing_below, ms, 0.0) for ms in (runs, ms_rows, rest))
    return TwoWay(seeds, rows, np.asarray(mean), runs, ms_rows, rest)


def mean_layout(tables: Sequence[npt.ArrayLike]) -> TwoWay:
    """The layout of the mean over K tasks of their tables' means: `tables` are `[..., S, R_k]`, the same S runs in all.

    The runs are shared by the tasks, their rows are not. So the run part of the variance is that of each run's own mean
    over the tasks, divided by S, and the row part the sum of the tasks' row parts divided by K². Its critical value for
    rows is that of the task with the fewest. With one table it is `two_way` of it.
    Raises ValueError without a table, or where the runs differ in number.
    """
    layouts = [two_way(table) for table in tables]
    if not layouts or len({layout.seeds for layout in layouts}) > 1:
        raise ValueError(f"tables of the same runs wanted, found {[layout.seeds for layout in layouts]} runs")
    if len(layouts) == 1:
        return layouts[0]
    seeds, rows = layouts[0].seeds, min(layout.rows for layout in layouts)
    of_run = np.stack([np.asarray(table, dtype=np.float64).mean(axis=-1) for table in tables]).mean(axis=0)  # [..., S]
    mean = np.asarray(of_run.mean(axis=-1))
    unit = seeds * rows  # mean squares are variances of the mean times this
    runs = unit * of_run.var(axis=-1, ddof=1) / seeds if seeds > 1 else np.zeros_like(mean)
    share = 1 / len(layouts) ** 2
    own = share * sum(np.maximum(one.ms_rows - one.ms_rest, 0.0) / (seeds * one.rows) for one in layouts)
    alone = share * sum(np.maximum(one.ms_rows, one.ms_rest) / (seeds * one.rows) for one in layouts)
    nothing_below = 1e-24 * np.maximum(mean**2, 1e-300)
    runs = np.where(runs > unit * nothing_below, runs, 0.0)
    return TwoWay(seeds, rows, mean, runs, np.asarray(unit * alone), np.asarray(unit * (alone - own)))
