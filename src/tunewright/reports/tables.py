"""The table of quality and cost, and the sentences a task begins with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tunewright.reports import formats
from tunewright.reports.data import Difference, Estimate, Pair, Row, TaskData
from tunewright.reports.figures import measured
from tunewright.reports.macro import MEAN_METRIC

COSTS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("trained_parameters", "trained parameters", formats.count),
    ("artifact_bytes", "size to ship", formats.size),
    ("peak_memory_bytes", "peak memory", formats.size),
    ("train_seconds", "training time", formats.seconds),
    ("examples_per_second", "examples/s", formats.rate),
    ("prompt_tokens_added", "tokens added", formats.whole),
)


class Cell(NamedTuple):
    """A cell: `sort` orders the column (None: unknown, at the end); `bar` is a length in per cent."""

    text: str
    sort: float | None = None
    small: str = ""
    title: str = ""
    best: bool = False
    bar: float | None = None


def best_first(task: TaskData) -> list[Row]:
    """The rows by the primary metric, best on top; those without a value (all trials failed) at the end."""
    metric, sign = task["metric"], 1 if task["higher_is_better"] else -1

    def key(row: Row) -> tuple[bool, float]:
        value = row["metrics"][metric]["value"] if metric in row["metrics"] else None
        return (value is not None, sign * (value or 0.0))

    return sorted(task["table"], key=key, reverse=True)


def quality_table(task: TaskData) -> dict[str, Any]:
    """Columns and rows for the template. A column in which no row has a value is left out."""
    rows = best_first(task)
    names = list(dict.fromkeys([task["metric"], *(name for row in rows for name in row["metrics"])]))
    metrics = [name for name in names if measured(rows, name)]
    has_difference = any(row["difference"] and row["difference"]["value"] is not None for row in rows)
    has_spread = any(row.get("spread") is not None for row in rows)
    costs = [c for c in COSTS if any(_costs(row).get(c[0]) is not None for row in rows)]
    columns = [
        {"name": formats.metric_name(m), "down": _higher(task, m), "primary": m == task["metric"]} for m in metrics
    ]
    if has_difference:
        columns.append({"name": "vs zero-shot", "down": task["higher_is_better"], "primary": False})
    if has_spread:
        columns.append({"name": "spread over seeds", "down": False, "primary": False})
    columns += [{"name": name, "down": key == "examples_per_second", "primary": False} for key, name, _ in costs]
    best = {m: _best(rows, m, _higher(task, m)) for m in metrics}
    longest = {m: max(abs(r["metrics"][m]["value"] or 0.0) for r in measured(rows, m)) or 1.0 for m in metrics}
    table = []
    for row in rows:
        cells = [_metric_cell(row, m, best[m], longest[m] if m == task["metric"] else None) for m in metrics]
        if has_difference:
            cells.append(_difference_cell(task["metric"], row["difference"]))
        if has_spread:
            cells.append(_spread_cell(task["metric"], row.get("spread")))
        cells += [_cost_cell(row, key, show) for key, _, show in costs]
        table.append({"row": row, "cells": cells})
    return {"columns": columns, "rows": table}


def headline(task: TaskData) -> list[dict[str, str]]:
    """What the table says in one or two sentences, each {"mark": good | warn | plain, "text"}."""
    metric, higher = task["metric"], task["higher_is_better"]
    rows = measured(best_first(task), metric)
    tuned = [r for r in rows if r["kind"] == "tuned"]
    baselines = [r for r in rows if r["kind"] == "baseline"]
    if not tuned:
        return []
    top = tuned[0]
    lead = "Highest" if higher else "Lowest"
    text = f"{lead + ' tuned method: ' if len(tuned) > 1 else ''}{top['label']}, {_named(metric, top)}"
    mark = "plain"
    difference = top["difference"]
    if difference and difference["value"] is not None:
        change = formats.estimate_text(metric, difference, signed=True)
        clear = clearly_better(difference, higher)
        mark = "good" if clear else "warn"
        text += f"; against zero-shot {change}" + ("." if clear else ", which is not a clear gain.")
    else:
        text += "."
    sentences = [{"mark": mark, "text": text}]
    if baselines:
        rival = baselines[0]
        beaten = any(_beats(t, rival, task) for t in tuned)
        name = f"the best baseline, {rival['label']} ({_named(metric, rival)})"
        if beaten:
            sentences.append({"mark": "good", "text": f"Clearly better than {name}."})
        else:
            sentences.append({"mark": "warn", "text": f"No tuned method is clearly better than {name}."})
    return sentences


def clearly_better(difference: Difference, higher_is_better: bool) -> bool:
    """Whether a difference is in the good direction and not explained by chance.

    By Holm's p below 0.05 where there is one, else by an interval that leaves out zero.
    """
    value, low, high = difference["value"], difference["low"], difference["high"]
    if value is None or (value > 0) != higher_is_better:
        return False
    if difference["p_holm"] is not None:
        return difference["p_holm"] < 0.05
    return low is not None and high is not None and (low > 0 or high < 0)


def pair_rows(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """The comparisons of tuned methods in words, the decided ones first."""
    words = {"a better": "{a} is better", "b better": "{b} is better"}
    return [
        {
            "a": pair["a"],
            "b": pair["b"],
            "metric": formats.metric_name(pair["metric"]),
            "difference": formats.metric_value(pair["metric"], pair["value"], signed=True),
            "interval": formats.interval(pair["metric"], pair, signed=True),
            "p": formats.p_value(pair["p_holm"]).removeprefix("p ").removeprefix("= "),
            "verdict": words[pair["verdict"]].format(a=pair["a"], b=pair["b"])
            if pair["verdict"] in words
            else "can't tell",
            "decided": "yes" if pair["verdict"] in words else "",
        }
        for pair in sorted(pairs, key=lambda p: p["verdict"] == "can't tell")
    ]


def _beats(tuned: Row, rival: Row, task: TaskData) -> bool:
    """By the paired comparison where the study made one, else by intervals that do not touch."""
    for pair in task["pairs"]:
        if pair["metric"] == task["metric"] and {pair["a"], pair["b"]} == {tuned["label"], rival["label"]}:
            return pair["verdict"] == ("a better" if pair["a"] == tuned["label"] else "b better")
    mine, its = tuned["metrics"][task["metric"]], rival["metrics"][task["metric"]]
    ends = (mine["low"], its["high"]) if task["higher_is_better"] else (its["low"], mine["high"])
    return ends[0] is not None and ends[1] is not None and ends[0] > ends[1]


def _named(metric: str, row: Row) -> str:
    return f"{formats.metric_name(metric)} {formats.estimate_text(metric, row['metrics'][metric])}"


def _higher(task: TaskData, metric: str) -> bool:
    return task["higher_is_better"] if metric == task["metric"] else metric not in formats.LOWER_IS_BETTER


def _best(rows: Sequence[Row], metric: str, higher: bool) -> str:
    """The best value as shown, so that all that look equal are bold."""
    values: list[float] = [v for r in measured(rows, metric) if (v := r["metrics"][metric]["value"]) is not None]
    return formats.metric_value(metric, max(values) if higher else min(values))


def _metric_cell(row: Row, metric: str, best: str, longest: float | None) -> Cell:
    estimate: Estimate | None = row["metrics"].get(metric)
    if estimate is None or estimate["value"] is None:
        return Cell(formats.NOTHING)
    text = formats.metric_value(metric, estimate["value"])
    bar = None
    if longest is not None:
        # Shares are drawn on 0-100, other numbers against the largest in the column.
        full = longest if metric in formats.UNSCALED_DIGITS else 1.0
        bar = round(100 * min(max(estimate["value"] / full, 0.0), 1.0), 1)
    return Cell(text, estimate["value"], formats.interval(metric, estimate), best=text == best, bar=bar)


def mean_cell(mean: Estimate | None) -> Cell:
    """A mean over tasks, a fraction."""
    if mean is None:
        return Cell(formats.NOTHING)
    text = formats.metric_value(MEAN_METRIC, mean["value"])
    return Cell(text, mean["value"], formats.interval(MEAN_METRIC, mean))


def _difference_cell(metric: str, difference: Difference | None) -> Cell:
    if difference is None or difference["value"] is None:
        return Cell(formats.NOTHING)
    p = difference["p"] if difference["p_holm"] is None else difference["p_holm"]
    parts = [formats.interval(metric, difference, signed=True), formats.p_value(p)]
    text = formats.metric_value(metric, difference["value"], signed=True)
    return Cell(text, difference["value"], ", ".join(part for part in parts if part))


def _spread_cell(metric: str, spread: float | None) -> Cell:
    """The standard deviation over seeds, in the metric's own units."""
    return Cell(formats.NOTHING) if spread is None else Cell(formats.metric_value(metric, spread), spread)


def _cost_cell(row: Row, key: str, show: Callable[[float | None], str]) -> Cell:
    cost = _costs(row)
    value = cost.get(key)
    if value is None:
        return Cell(formats.NOTHING)
    small = formats.share(value, cost.get("total_parameters")) if key == "trained_parameters" and value else ""
    return Cell(show(value), value, small, title=formats.whole(value) if value >= 1000 else "")


def _costs(row: Row) -> Mapping[str, Any]:
    return row["cost"] or {}
