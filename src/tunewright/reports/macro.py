"""The mean over a report's tasks, for each method that has a value on all of them."""

from collections.abc import Sequence

from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.macro import macro_average
from tunewright.reports.data import Estimate, TaskData
from tunewright.reports.formats import estimate_text

MEAN_METRIC = "accuracy"  # whose scale (a fraction, shown times 100) the mean has


def macro_means(tasks: Sequence[TaskData]) -> dict[str, Estimate]:
    """By label: the mean of the tasks' primary metrics, where these are fractions of which more is better."""
    found: dict[str, Estimate] = {}
    for label in dict.fromkeys(row["label"] for task in tasks for row in task["table"]):
        scores = []
        for task in tasks:
            of_label = [row["metrics"].get(task["metric"]) for row in task["table"] if row["label"] == label]
            for estimate in of_label:
                if estimate is not None and estimate["value"] is not None:
                    interval = Interval(estimate["value"], estimate["low"], estimate["high"])
                    scores.append((task["metric"], interval))
        mean = macro_average(scores) if len(scores) == len(tasks) else None
        if mean is not None:
            found[label] = {"value": mean.value, "low": mean.low, "high": mean.high}
    return found


def macro_sentences(tasks: Sequence[TaskData]) -> list[str]:
    """The means in one sentence; none for a single task."""
    means = macro_means(tasks) if len(tasks) > 1 else {}
    kinds = {row["label"]: row["kind"] for task in tasks for row in task["table"]}
    shown = [f"{label} {estimate_text(MEAN_METRIC, means[label])}" for label in means if kinds[label] != "baseline"]
    return [f"Mean over {len(tasks)} tasks: {', '.join(shown)}."] if shown else []
