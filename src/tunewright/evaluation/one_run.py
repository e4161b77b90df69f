"""Two single runs on the same rows: what can be said of these two models, not of the methods behind them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tunewright.seeds import numpy_random

NOTE = "One run of each: this compares these two models on other test rows, not the methods over training runs."


@dataclass(frozen=True)
class OneRunDifference:
    """Share right of the first minus the second; `only_first` rows only the first had right, and the reverse."""

    value: float
    low: float
    high: float
    p: float
    only_first: int
    only_second: int
    rows: int
    note: str = NOTE

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object."""
        return asdict(self)


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> OneRunDifference:
    """McNemar's exact two-sided test (1947) and a paired percentile bootstrap over rows (10,000 resamples, seeded).

    Where no row differs the bootstrap has no spread; the interval is then the exact bound on the share of rows that
    could differ. Raises ValueError when the lengths differ or there is no row.
    """
    from scipy import stats

    a, b = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"two sequences of one length wanted, found {a.size} and {b.size}")
    n, only_a, only_b = a.size, int((a & ~b).sum()), int((b & ~a).sum())
    p = min(1.0, 2 * float(stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    if only_a + only_b == 0:
        bound = 1 - 0.025 ** (1 / n)
        return OneRunDifference(0.0, -bound, bound, p, 0, 0, n)
    counts = np.array([only_a, only_b, n - only_a - only_b])
    drawn = numpy_random("mcnemar", n, only_a, only_b).multinomial(n, counts / n, size=10_000)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [0.025, 0.975])
    return OneRunDifference((only_a - only_b) / n, float(low), float(high), p, only_a, only_b, n)
