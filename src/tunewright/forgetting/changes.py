"""What a model forgot: each task before and after on the same rows, with paired intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tunewright.evaluation.differences import difference, holm
from tunewright.evaluation.intervals import Interval, interval_of_mean
from tunewright.evaluation.macro import macro_average
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.one_run import mcnemar
from tunewright.evaluation.texts import exponential
from tunewright.forgetting.battery import Item
from tunewright.forgetting.measure import Measured

Verdict = Literal["lost", "gained", "can't tell", "no answer changed"]
PERPLEXITY = "perplexity"
ENDLESS = (-math.inf, math.inf)


@dataclass(frozen=True)
class Change:
    """One task before and after. `change` is after minus before in the metric's unit; of a text it is the factor of the
    perplexity. `gain` is the change where more is better, else its negative: below 0 means forgotten.

    `tuned`: the task that was tuned on, which is no part of what was forgotten.
    """

    task: str
    cluster: str | None
    metric: str
    rows: int
    before: Interval
    after: Interval
    change: Interval
    p: float | None
    verdict: Verdict
    tuned: bool = False
    p_holm: float | None = None

    @property
    def text(self) -> bool:
        """Raw text."""
        return self.metric == PERPLEXITY

    @property
    def gain(self) -> float:
        """Above 0: better after."""
        if self.text:
            return -math.log(self.change.value)
        return self.change.value if metric(self.metric).higher_is_better else -self.change.value

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "task": self.task, "cluster": self.cluster, "metric": self.metric, "rows": self.rows, "tuned": self.tuned,
            "before": self.before.to_json(), "after": self.after.to_json(), "change": self.change.to_json(),
            "p": self.p, "p_holm": self.p_holm, "verdict": self.verdict,
        }  # fmt: skip


def changes(
    items: Sequence[Item], before: Mapping[str, Measured], after: Mapping[str, Measured], tuned: Sequence[str]
) -> list[Change]:
    """The change of every item, with Holm's correction over all that were not tuned on.

    One run of each: shares of right answers get McNemar's exact test and a paired bootstrap over rows, other scores a
    paired t interval over rows. Both speak of other rows, not of other training runs. A verdict other than "can't tell"
    wants p below 0.05 after the correction.
    """
    found = [_change(item, before[item.name], after[item.name], item.name in tuned) for item in items]
    corrected = iter(holm([one.p for one in found if not one.tuned]))
    found = [one if one.tuned else replace(one, p_holm=next(corrected)) for one in found]
    return [replace(one, verdict=_verdict(one)) for one in found]


def _change(item: Item, before: Measured, after: Measured, tuned: bool) -> Change:
    task = item.task
    if item.text:
        losses = [np.asarray(one.losses) for one in (before, after)]
        rise = losses[1] - losses[0]
        of_rise = interval_of_mean(rise, ENDLESS)
        kinds = [exponential(interval_of_mean(one, (0.0, math.inf))) for one in losses]
        return Change(
            task.name, task.cluster, PERPLEXITY, len(rise), kinds[0], kinds[1], exponential(of_rise),
            difference(losses[1][None], losses[0][None]).p, _same(bool(np.array_equal(losses[0], losses[1]))), tuned,
        )  # fmt: skip
    name = task.metrics[0]
    measure = metric(name)
    then, now = _paired(before, after)
    same = all(a.prediction == b.prediction for a, b in zip(then, now))
    values = [measure.interval(list(side)) for side in (then, now)]
    if name == "accuracy":
        right = [[p.prediction == p.target for p in side] for side in (now, then)]
        test = mcnemar(*right)
        change = Interval(test.value, test.low, test.high)
        p: float | None = test.p
    else:
        scores = [measure.row_scores(side)[None] for side in (now, then)]
        found = difference(*scores)
        change, p = Interval(found.value, found.low, found.high), found.p
    return Change(
        task.name, task.cluster, name, len(then), values[0], values[1], change, 1.0 if same else p, _same(same), tuned
    )


def _paired(before: Measured, after: Measured) -> tuple[list[Any], list[Any]]:
    """The predictions of rows that both have, in order: a row whose template is skipped is skipped on both sides."""
    later = {p.id: p for p in after.predictions}
    pairs = [(p, later[p.id]) for p in before.predictions if p.id in later]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _same(same: bool) -> Verdict:
    return "no answer changed" if same else "can't tell"


def _verdict(one: Change) -> Verdict:
    p = one.p if one.tuned else one.p_holm
    if one.verdict == "no answer changed" or p is None or p >= 0.05:
        return one.verdict
    return "gained" if one.gain > 0 else "lost"


def mean_change(found: Sequence[Change]) -> tuple[Interval, int] | None:
    """Backward transfer (Lopez-Paz & Ranzato 2017): the mean of after − before over the tasks not tuned on whose metric
    is a fraction of which more is better, and how many these are. Below 0: forgotten. None without such a task.

    Its interval takes the tasks' rows as independent draws.
    """
    scores = [
        (one.metric, one.change)
        for one in found
        if not one.tuned and not one.text
        and metric(one.metric).unit == "fraction" and metric(one.metric).higher_is_better
    ]  # fmt: skip
    mean = macro_average(scores)
    return None if mean is None else (mean, len(scores))


def mean_score(items: Sequence[Item], measured: Mapping[str, Measured]) -> float:
    """The mean over the tasks of metrics that are fractions of which more is better; raw text has no part in it.

    Raises ValueError without such a task.
    """
    values = []
    for item in items:
        if not item.text:
            measure = metric(item.task.metrics[0])
            if measure.unit == "fraction" and measure.higher_is_better:
                values.append(measure.corpus(list(measured[item.name].predictions)))
    if not values:
        raise ValueError("no task of the battery has a score that is a fraction")
    return float(np.mean(values))
