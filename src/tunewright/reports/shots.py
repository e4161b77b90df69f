"""The few-shot curve: each method's score against how many training rows it had, with intervals."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from tunewright.reports.data import Row, TaskData
from tunewright.reports.figures import Figure, axis, axis_title, figure, measured, whiskers
from tunewright.reports.formats import estimate_text, scaled
from tunewright.reports.styles import Style

_APART = 0.012  # of the axis: points of one size stand beside each other


def shots_figures(tasks: Sequence[TaskData], styles: Mapping[str, Style]) -> list[Figure]:
    """A figure for each task that stands there with several numbers of shots; none in other studies."""
    by_task: dict[str, list[TaskData]] = {}
    for task in tasks:
        if "shots_of" in task:
            by_task.setdefault(str(task["shots_of"][0]), []).append(task)
    return [_figure(name, group, styles) for name, group in by_task.items() if len(group) > 1]


def _figure(name: str, group: Sequence[TaskData], styles: Mapping[str, Style]) -> Figure:
    """Training rows on a log scale; a line for each label of the tables, in the order of the first."""
    group = sorted(group, key=lambda task: task["train_rows"])
    metric, higher = group[0]["metric"], group[0]["higher_is_better"]
    places = [math.log2(task["train_rows"]) for task in group]
    width = max(places[-1] - places[0], 1.0)
    labels = list(dict.fromkeys(row["label"] for task in group for row in measured(task["table"], metric)))
    traces = []
    for i, label in enumerate(labels):
        style, shift = styles[label], (i - (len(labels) - 1) / 2) * _APART * width
        known: list[tuple[float, TaskData, Row]] = [
            (place + shift, task, row)
            for place, task in zip(places, group)
            for row in measured(task["table"], metric)
            if row["label"] == label
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [x for x, _, _ in known],
                "y": [scaled(metric, row["metrics"][metric]["value"] or 0.0) for _, _, row in known],
                "error_y": whiskers(metric, [row for _, _, row in known], style.color),
                "line": {"color": style.color, "width": 2, "dash": style.dash},
                "marker": {"color": style.color, "symbol": style.symbol, "size": 8},
                "name": escape(label),
                "legendgroup": label,
                "text": [
                    escape(f"{label}, {_shots(task)}: {estimate_text(metric, row['metrics'][metric])}")
                    for _, task, row in known
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return figure(
        f"{name}: score by training rows, with 95 % intervals",
        traces,
        420,
        hovermode="closest",
        xaxis=axis("training rows (log scale)", tickvals=places, ticktext=[_tick(task) for task in group]),
        yaxis=axis(axis_title(metric, higher), nticks=7),
    )


def _shots(task: TaskData) -> str:
    shots = task["shots_of"][1]
    return "all rows" if shots is None else f"{shots} a class"


def _tick(task: TaskData) -> str:
    return f"{task['train_rows']:,}<br>{_shots(task)}"
