"""The mean over tasks of each one's primary metric."""

import math
from collections.abc import Sequence

from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import metric


def macro_average(scores: Sequence[tuple[str, Interval]]) -> Interval | None:
    """The mean of (metric, interval) over tasks; None unless all are fractions, of which more is better.

    Its interval adds the squares of the tasks' own arms (Zou and Donner 2008): the tasks' rows are independent draws.
    """
    if not scores or not all(averages(name) for name, _ in scores):
        return None
    return mean_of([interval for _, interval in scores])


def averages(name: str) -> bool:
    """Whether a metric's values may be averaged over tasks: a fraction, of which more is better."""
    return metric(name).unit == "fraction" and metric(name).higher_is_better


def mean_of(values: Sequence[Interval]) -> Interval:
    """The mean of independent values, with the interval of `macro_average`."""
    mean = sum(i.value for i in values) / len(values)
    known = [(i.low, i.high) for i in values if i.low is not None and i.high is not None]
    if len(known) < len(values):
        return Interval(mean, None, None)
    below = math.hypot(*(i.value - low for i, (low, _) in zip(values, known))) / len(values)
    above = math.hypot(*(high - i.value for i, (_, high) in zip(values, known))) / len(values)
    return Interval(mean, mean - below, mean + above)
