"""Tasks that were kept out of a mixture: each one's score, each cluster's mean, the mean of the clusters' means."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.macro import averages, mean_of
from tunewright.evaluation.predictions import Prediction
from tunewright.reports.collect import MethodRuns, task_data
from tunewright.reports.data import Estimate, HeldOutTask, Row, TaskData
from tunewright.reports.formats import estimate_text, metric_name
from tunewright.reports.macro import MEAN_METRIC


def held_out_task(
    said: Mapping[str, Any], name: str, cell: str, metrics: Sequence[str], entries: Sequence[MethodRuns]
) -> HeldOutTask | None:
    """What a table's task is among those held out; None where it is not. `said`: held-out.json.

    `clean`: the table of the rows that share no 13 words with the training rows, where some do.
    """
    one = next((asked for asked in said["asked"] if asked["name"] == name), None)
    if one is None:
        return None
    overlap = said.get("overlap", {}).get(one["task"])
    clean: list[Row] | None = None
    if overlap and overlap["ids"]:
        gone = set(overlap["ids"])
        runs = [MethodRuns(e.method, e.label, e.kind, _without(e.runs, gone), start=e.start) for e in entries]
        clean = task_data(name, metrics, runs, 0)["table"]
    shown = {key: value for key, value in overlap.items() if key != "ids"} if overlap else None
    return {
        "cell": cell, "task": one["task"], "cluster": one["cluster"], "exemplars": one["exemplars"],
        "overlap": shown, "clean": clean,
    }  # fmt: skip


def held_out_means(tasks: Sequence[TaskData]) -> list[dict[str, Any]]:
    """For each cell and number of exemplars: of each method the clusters' means and the mean of these.

    [{"cell", "exemplars", "methods": [{"label", "kind", "clusters": {CLUSTER: MEAN}, "macro": MEAN}], "without"}], a
    MEAN being {"score", "change"} (change: tuned minus untuned, paired by row; None for the untuned model). Tasks whose
    metric is no share of which more is better have no part in it and stand under `without`.
    """
    groups: dict[tuple[str, int], list[TaskData]] = {}
    for task in tasks:
        if "held_out" in task:
            groups.setdefault((task["held_out"]["cell"], task["held_out"]["exemplars"]), []).append(task)
    return [_group(cell, exemplars, mine) for (cell, exemplars), mine in groups.items()]


def held_out_sentences(means: Sequence[Mapping[str, Any]]) -> list[str]:
    """The macro averages in words, a sentence for each cell and number of exemplars."""
    found = []
    for group in means:
        said = [
            f"{one['label']} {estimate_text(MEAN_METRIC, one['macro']['score'])}"
            + (
                f" ({estimate_text(MEAN_METRIC, one['macro']['change'], signed=True)})"
                if one["macro"]["change"]
                else ""
            )
            for one in group["methods"]
            if one["macro"] is not None and one["kind"] != "baseline"
        ]
        if said:
            clusters = next(one["clusters"] for one in group["methods"] if one["macro"] is not None)
            where = f"{group['cell']}: " if group["cell"] else ""
            found.append(f"{where}held-out clusters ({', '.join(clusters)}), {way(group)}: {', '.join(said)}.")
    return found


def held_out_view(tasks: Sequence[TaskData], means: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The report's tables, one for each group of `means`: {"title", "labels", "clusters", "macro", "overlaps"}."""
    views = []
    for group in means:
        mine = [
            task for task in tasks
            if "held_out" in task
            and (task["held_out"]["cell"], task["held_out"]["exemplars"]) == (group["cell"], group["exemplars"])
        ]  # fmt: skip
        labels = [(one["label"], one["kind"]) for one in group["methods"] if one["kind"] != "baseline"]
        of_label = {one["label"]: one for one in group["methods"]}
        clusters = []
        for cluster in dict.fromkeys(task["held_out"]["cluster"] for task in mine):
            cells = [_mean_text(of_label[label]["clusters"].get(cluster)) for label, _ in labels]
            rows = [_task_row(task, labels) for task in mine if task["held_out"]["cluster"] == cluster]
            clusters.append({"name": cluster, "cells": cells, "tasks": rows})
        title = way(group) if not group["cell"] else f"{group['cell']}, {way(group)}"
        views.append(
            {
                "title": title,
                "labels": labels,
                "clusters": clusters,
                "macro": [_mean_text(of_label[label]["macro"]) for label, _ in labels],
                "without": group["without"],
            }
        )
    return views


def overlap_view(tasks: Sequence[TaskData]) -> list[dict[str, Any]]:
    """A row for each task and cell whose overlap was looked for."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for task in tasks:
        if "held_out" in task and (overlap := task["held_out"]["overlap"]) is not None:
            held = task["held_out"]
            found.setdefault((held["cell"], held["task"]), {"cell": held["cell"], "task": held["task"], **overlap})
    return list(found.values())


def way(group: Mapping[str, Any]) -> str:
    """`zero-shot`, `3 exemplars`."""
    count = group["exemplars"]
    return f"{count} exemplar{'s' * (count > 1)}" if count else "zero-shot"


def _without(runs: Mapping[int, list[Prediction]], gone: set[str]) -> dict[int, list[Prediction]]:
    return {seed: left for seed, found in runs.items() if (left := [p for p in found if p.id not in gone])}


def _group(cell: str, exemplars: int, tasks: Sequence[TaskData]) -> dict[str, Any]:
    counted = [task for task in tasks if averages(task["metric"])]
    clusters: dict[str, list[TaskData]] = {}
    for task in counted:
        clusters.setdefault(task["held_out"]["cluster"], []).append(task)
    methods = []
    for label, kind in {row["label"]: row["kind"] for task in tasks for row in task["table"]}.items():
        means = {cluster: _mean([_own(task, label) for task in mine]) for cluster, mine in clusters.items()}
        whole = [mean for mean in means.values() if mean is not None]
        macro = _mean(whole) if whole and len(whole) == len(means) else None
        known = {cluster: mean for cluster, mean in means.items() if mean is not None}
        methods.append({"label": label, "kind": kind, "clusters": known, "macro": macro})
    without = [f"{t['held_out']['task']} ({metric_name(t['metric'])})" for t in tasks if t not in counted]
    return {"cell": cell, "exemplars": exemplars, "methods": methods, "without": without}


Mean = dict[str, Estimate | None]


def _own(task: TaskData, label: str, rows: Sequence[Row] | None = None) -> Mean | None:
    """A method's score on a task and its difference to the untuned model's."""
    row = next((row for row in (task["table"] if rows is None else rows) if row["label"] == label), None)
    score = row["metrics"].get(task["metric"]) if row is not None else None
    if row is None or score is None or score["value"] is None:
        return None
    change = row["difference"]
    shown: Estimate | None = None
    if change is not None and change["value"] is not None:
        shown = {"value": change["value"], "low": change["low"], "high": change["high"]}
    return {"score": score, "change": shown}


def _mean(parts: Sequence[Mean | None]) -> Mean | None:
    """The mean of scores and of changes; None where one is not known."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    found: Mean = {}
    for key in ("score", "change"):
        values = [Interval(e["value"], e["low"], e["high"]) for p in known if (e := p[key]) and e["value"] is not None]
        mean = mean_of(values) if len(values) == len(known) else None
        found[key] = None if mean is None else {"value": mean.value, "low": mean.low, "high": mean.high}
    return found


def _task_row(task: TaskData, labels: Sequence[tuple[str, str]]) -> dict[str, Any]:
    held, metric = task["held_out"], task["metric"]
    cells = [_mean_text(_own(task, label), metric) for label, _ in labels]
    clean = held["clean"]
    return {
        "name": held["task"],
        "metric": metric_name(metric),
        "rows": task["test_rows"],
        "overlap": None if held["overlap"] is None else f"{100 * held['overlap']['share']:.1f} %",
        "cells": cells,
        "clean": clean and [_mean_text(_own(task, label, clean), metric) for label, _ in labels],
    }


def _mean_text(mean: Mapping[str, Any] | None, metric: str = MEAN_METRIC) -> tuple[str, str]:
    """(score, change) with their intervals; empty where unknown."""
    if mean is None:
        return "–", ""
    change = mean["change"]
    return estimate_text(metric, mean["score"]), estimate_text(metric, change, signed=True) if change else ""
