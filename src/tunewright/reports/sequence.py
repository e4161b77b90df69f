"""The section of a sequence: the matrix of scores as a table, a heat map and lines, and what is made of it."""

from collections.abc import Mapping
from html import escape
from typing import Any

from tunewright.reports.figures import Figure, axis, figure
from tunewright.reports.formats import estimate_text, interval, metric_name, metric_value, scaled
from tunewright.reports.styles import OKABE_ITO, SYMBOLS

MEASURES = (
    ("average", "average accuracy", "the mean over tasks after the last stage"),
    (
        "backward",
        "backward transfer",
        "what earlier tasks gained since the end of their own stage; below 0: forgotten",
    ),
    ("forward", "forward transfer", "what a task had gained before its own stage, against the untuned model"),
    ("forgetting", "forgetting", "how far earlier tasks fell below their best; above 0: forgotten"),
)
UNTUNED = "untuned"


def sequence_view(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` as sequence.json has it: a table, figures, measures and sentences."""
    tasks, metrics = value["tasks"], value["metrics"]
    stages = [UNTUNED, *(f"{number}. {name}" for number, name in enumerate(tasks, 1))]
    rows = [
        {
            "stage": stage,
            "cells": [
                {"text": metric_value(m, one["value"]), "small": interval(m, one), "own": at == number - 1}
                for at, (m, one) in enumerate(zip(metrics, line))
            ],
        }
        for number, (stage, line) in enumerate(zip(stages, value["matrix"]))
    ]
    measures = [
        {
            "name": name,
            "what": what,
            "text": metric_value("accuracy", value[key]["value"], key in ("backward", "forward")),
            "small": interval("accuracy", value[key], key in ("backward", "forward")),
        }
        for key, name, what in MEASURES
        if value[key] is not None
    ]
    return {
        "tasks": tasks,
        "metrics": [metric_name(name) for name in metrics],
        "counts": value["rows"],
        "split": value["split"],
        "rows": rows,
        "measures": measures,
        "sentences": _sentences(value),
        "figures": [_heat_map(value, stages), _lines(value, stages)],
    }


def _sentences(value: Mapping[str, Any]) -> list[str]:
    back = value["backward"]
    if back is None:
        return []
    said = f"Backward transfer {estimate_text('accuracy', back, signed=True)}: "
    if back["low"] is None or back["low"] <= 0 <= back["high"]:
        return [said + "these rows cannot tell whether later stages changed earlier tasks."]
    word = "worse" if back["value"] < 0 else "better"
    return [said + f"later stages made earlier tasks {word}."]


def _heat_map(value: Mapping[str, Any], stages: list[str]) -> Figure:
    """Scores by colour, a row a stage from the top, the numbers in the cells."""
    metrics = value["metrics"]
    numbers = [[one["value"] for one in line] for line in value["matrix"]]
    fractions = all(0 <= x <= 1 for line in numbers for x in line if x is not None)
    return figure(
        "Scores R[i, j] after each stage (row) on each task (column); darker is higher",
        [
            {
                "type": "heatmap",
                "x": [escape(name) for name in value["tasks"]],
                "y": [escape(stage) for stage in stages],
                "z": numbers,
                "text": [[metric_value(m, x) for m, x in zip(metrics, line)] for line in numbers],
                "texttemplate": "%{text}",
                "hovertemplate": "after %{y}: %{x} %{text}<extra></extra>",
                "colorscale": [[0, "#F2F6FA"], [1, OKABE_ITO[0]]],
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
                **({"zmin": 0, "zmax": 1} if fractions else {}),
            }
        ],
        90 + 42 * len(stages),
        hovermode="closest",
        xaxis=axis("", showgrid=False, side="top"),
        yaxis=axis("", showgrid=False, autorange="reversed"),
    )


def _lines(value: Mapping[str, Any], stages: list[str]) -> Figure:
    """A line a task over the stages; its own stage has a large mark."""
    traces = []
    for at, (name, metric) in enumerate(zip(value["tasks"], value["metrics"])):
        scores = [line[at]["value"] for line in value["matrix"]]
        color = OKABE_ITO[at % len(OKABE_ITO)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escape(name),
                "x": [escape(stage) for stage in stages],
                "y": [None if score is None else scaled(metric, score) for score in scores],
                "line": {"color": color, "width": 2},
                "marker": {
                    "color": color,
                    "symbol": SYMBOLS[at % len(SYMBOLS)],
                    "size": [14 if number == at + 1 else 7 for number in range(len(stages))],
                },
                "text": [
                    escape(f"{name}: {metric_name(metric)} {estimate_text(metric, line[at])}")
                    for line in value["matrix"]
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return figure(
        "Each task over the stages; the large mark is its own stage",
        traces,
        360,
        showlegend=True,
        legend={"orientation": "h", "y": -0.25},
        hovermode="closest",
        xaxis=axis("after stage", type="category"),
        yaxis=axis("score", nticks=7),
    )
