"""The forgetting section of a study's report: methods against each other, what they gained and what they forgot."""

from collections.abc import Mapping
from html import escape
from typing import Any

from tunewright.reports.figures import Figure, axis, figure, point
from tunewright.reports.forgetting import PERPLEXITY, change_text
from tunewright.reports.formats import (
    LOWER_IS_BETTER,
    NOTHING,
    estimate_text,
    interval,
    metric_name,
    metric_value,
    p_value,
    scaled,
)
from tunewright.reports.macro import MEAN_METRIC
from tunewright.reports.styles import Style

MARKS = {"lost": "failed", "gained": "name", "can't tell": "quiet"}
SIGNS = {"lost": "▼ lost", "gained": "▲ gained", "can't tell": "? can't tell"}
PAIRS = {"a forgets less": "{a} forgets less", "b forgets less": "{b} forgets less"}


def study_view(value: Mapping[str, Any], styles: Mapping[str, Style] | None = None) -> dict[str, Any]:
    """`value` as `over_seeds` gives it: a table of methods, one of tasks × methods, pairs of methods.

    With `styles` the figure too.
    """
    columns, methods = value["columns"], value["methods"]
    texts = [one for one in columns if one["metric"] == PERPLEXITY]
    asked = [one for one in columns if one["metric"] != PERPLEXITY]
    return {
        "task": value["task"],
        "battery": value["battery"],
        "split": value["split"],
        "of": len(value["mean_tasks"]),
        "texts": [one["task"] for one in texts],
        "methods": [
            {
                "label": one["label"],
                "seeds": one["seeds"],
                "gain": _gain(one["gain"]),
                "mean": _change(MEAN_METRIC, one["mean"]),
                "texts": [_change(PERPLEXITY, one["changes"].get(text["task"])) for text in texts],
            }
            for one in methods
        ],
        "tasks": [
            {
                "task": column["task"],
                "small": ", ".join(part for part in (metric_name(column["metric"]), column["cluster"]) if part),
                "tuned": column["tuned"],
                "rows": column["rows"],
                "before": _before(column),
                "cells": [_change(column["metric"], one["changes"].get(column["task"])) for one in methods],
            }
            for column in (*asked, *texts)
        ],
        "pairs": [_pair(pair) for pair in sorted(value["pairs"], key=lambda one: one["verdict"] == "can't tell")],
        "sentences": study_sentences(value),
        "figure": gain_figure(value, styles) if styles is not None else None,
        "missing": value["missing"],
        "note": value["note"],
    }


def study_sentences(value: Mapping[str, Any]) -> list[str]:
    """What the means and the pairs of methods say."""
    known = [one for one in value["methods"] if one["mean"] is not None]
    if not known:
        return []
    name, count = value["task"], len(value["mean_tasks"])
    over = f"{count} other task{'s' * (count > 1)}"
    said = []
    for word, text in (("lost", "forgot on"), ("gained", "became better on")):
        mine = [f"{o['label']} ({estimate_text(MEAN_METRIC, o['mean'], signed=True)})" for o in known
                if o["mean"]["verdict"] == word]  # fmt: skip
        if mine:
            said.append(f"{name}: {', '.join(mine)} {text} {over}.")
    unknown = [one["label"] for one in known if one["mean"]["verdict"] == "can't tell"]
    if unknown:
        said.append(f"{name}: whether {', '.join(unknown)} forgot on {over}, the rows and seeds cannot tell.")
    for pair in value["pairs"]:
        if pair["verdict"] in PAIRS:
            words = PAIRS[pair["verdict"]].format(a=pair["a"], b=pair["b"])
            apart = estimate_text(MEAN_METRIC, pair, signed=True)
            said.append(f"{name}: {words} ({pair['a']} − {pair['b']}: {apart}).")
    return said


def gain_figure(value: Mapping[str, Any], styles: Mapping[str, Style]) -> Figure | None:
    """The gain on the own task (up) against the mean change of the battery (left of the line: forgotten).

    A point a method, with both intervals. Without a mean: None.
    """
    traces = []
    for one in value["methods"]:
        gain, mean = one["gain"], one["mean"]
        if gain is None or mean is None:
            continue
        style, label = styles[one["label"]], one["label"]
        told = (
            f"gain {estimate_text(gain['metric'], gain, signed=True)}",
            f"battery {estimate_text(MEAN_METRIC, mean, signed=True)}",
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [scaled(MEAN_METRIC, mean["value"])],
                "y": [scaled(gain["metric"], gain["value"])],
                "error_x": _whiskers(MEAN_METRIC, mean, style.color),
                "error_y": _whiskers(gain["metric"], gain, style.color),
                "marker": point(style),
                "name": escape(label),
                "legendgroup": label,
                "text": [f"<b>{escape(label)}</b><br>{'<br>'.join(told)}"],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    if not traces:
        return None
    metric = next(one["gain"]["metric"] for one in value["methods"] if one["gain"] is not None)
    line = {"color": "var(--text)", "width": 1, "dash": "dot"}
    return figure(
        "Gain on the task tuned on, against the change on other tasks; 95 % intervals. Up and to the right is better"
        if metric not in LOWER_IS_BETTER
        else "Change on the task tuned on (down is better), against the change on other tasks; 95 % intervals",
        traces,
        380,
        hovermode="closest",
        xaxis=axis(f"mean change of {len(value['mean_tasks'])} other tasks, points of 100", nticks=7),
        yaxis=axis(f"{metric_name(metric)}, after − before", nticks=7),
        shapes=[
            {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"},
            {"type": "line", "y0": 0, "y1": 0, "xref": "paper", "x0": 0, "x1": 1, "line": line, "layer": "below"},
        ],
    )


def _whiskers(metric: str, one: Mapping[str, Any], color: str) -> dict[str, Any]:
    known = one["low"] is not None and one["high"] is not None
    up, down = (one["high"] - one["value"], one["value"] - one["low"]) if known else (0.0, 0.0)
    return {
        "type": "data", "symmetric": False, "array": [scaled(metric, up)], "arrayminus": [scaled(metric, down)],
        "color": color, "thickness": 2, "width": 5,
    }  # fmt: skip


def _gain(gain: Mapping[str, Any] | None) -> dict[str, str]:
    if gain is None:
        return {"text": NOTHING, "small": ""}
    small = ", ".join(
        part for part in (interval(gain["metric"], gain, True), metric_name(gain["metric"])) if part
    )  # fmt: skip
    return {"text": metric_value(gain["metric"], gain["value"], True), "small": small}


def _change(metric: str, one: Mapping[str, Any] | None) -> dict[str, str]:
    """A cell: the change with its interval, what it means, and its p."""
    if one is None or one["value"] is None:
        return {"text": NOTHING, "small": "", "verdict": "", "mark": "quiet"}
    text, _, between = change_text({"metric": metric, "change": one}).partition(" ")
    small = ", ".join(part for part in (between, p_value(one["p_holm"])) if part)
    return {"text": text, "small": small, "verdict": SIGNS[one["verdict"]], "mark": MARKS[one["verdict"]]}


def _before(column: Mapping[str, Any]) -> str:
    before = column["before"]
    if before is None or before["value"] is None:
        return NOTHING
    return (
        f"{before['value']:.4g}" if column["metric"] == PERPLEXITY else metric_value(column["metric"], before["value"])
    )


def _pair(pair: Mapping[str, Any]) -> dict[str, str]:
    decided = pair["verdict"] in PAIRS
    return {
        "compared": f"{pair['a']} − {pair['b']}",
        "difference": metric_value(MEAN_METRIC, pair["value"], True),
        "interval": interval(MEAN_METRIC, pair, True),
        "p": p_value(pair["p_holm"]).removeprefix("p ").removeprefix("= ") or NOTHING,
        "verdict": PAIRS[pair["verdict"]].format(a=pair["a"], b=pair["b"]) if decided else "can't tell",
        "decided": "yes" if decided else "",
    }
