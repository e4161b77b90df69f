"""Quality against what it costs: trained parameters, seconds. Log scale, with a place at the left for zero."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Literal

from tunewright.reports.data import Row, TaskData
from tunewright.reports.figures import Figure, axis, axis_title, figure, measured, point, whiskers
from tunewright.reports.formats import count, estimate_text, metric_name, scaled, seconds
from tunewright.reports.styles import Style

TIME_TICKS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 360000)
# Points nearer than this share of the axis are moved apart by it, so that whiskers do not cover each other.
APART = 0.03


def cost_figure(
    rows: Sequence[Row],
    task: TaskData,
    styles: Mapping[str, Style],
    cost: Literal["trained_parameters", "train_seconds"],
) -> Figure | None:
    """A dot and whisker for each method that has the metric and the cost; None when no method costs more than zero."""
    metric = task["metric"]
    known = [(row, float(value)) for row in measured(rows, metric) if (value := _cost(row, cost)) is not None]
    positive = [value for _, value in known if value > 0]
    if not positive or len(known) < 2:
        return None
    low, high = math.log10(min(positive)), math.log10(max(positive))
    span = max(high - low, 1.0)
    has_zero = len(positive) < len(known)
    zero = low - max(span * 0.22, 0.5)
    wanted = [math.log10(value) if value > 0 else zero for _, value in known]
    places = spread(wanted, span * APART)
    show: Callable[[float | None], str] = count if cost == "trained_parameters" else seconds
    title = "trained parameters" if cost == "trained_parameters" else "training time"
    traces = [
        _dot(row, place, f"{show(value)}{' parameters' if show is count else ''}", metric, styles[row["label"]])
        for (row, value), place in zip(known, places)
    ]
    ticks = [math.log10(t) for t in TIME_TICKS] if show is seconds else [float(k) for k in range(13)]
    ticks = [t for t in ticks if low - 0.6 < t < high + 0.6] or [low]
    ticks = ticks[:: -(-len(ticks) // 5)]
    values, texts = list(ticks), [show(10**t).replace(".0 ", " ") for t in ticks]
    shapes = []
    if has_zero:
        values, texts = [zero, *values], ["0", *texts]
        gap = (zero + low) / 2
        line = {"color": "var(--line)", "width": 2}
        shapes.append(
            {"type": "line", "x0": gap, "x1": gap, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
        )
    left, right = min(places), max(places)
    return figure(
        f"Quality against {title}",
        traces,
        340,
        hovermode="closest",
        # The logarithm is taken here, since a log axis has no place for zero.
        xaxis=axis(
            f"{title} (log scale)",
            tickvals=values,
            ticktext=texts,
            range=[left - span * 0.09, right + span * 0.09],
            tickangle=0,
        ),
        yaxis=axis(axis_title(metric, task["higher_is_better"]), nticks=7),
        shapes=shapes,
    )


def spread(places: Sequence[float], apart: float) -> list[float]:
    """The places, with those nearer than `apart` to their neighbour moved to be `apart`, around their common middle."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[int]] = []
    for i in order:
        if groups and places[i] - places[groups[-1][-1]] < apart:
            groups[-1].append(i)
        else:
            groups.append([i])
    moved = list(places)
    for group in groups:
        middle = sum(places[i] for i in group) / len(group)
        for rank, i in enumerate(group):
            moved[i] = middle + (rank - (len(group) - 1) / 2) * apart
    return moved


def _cost(row: Row, name: Literal["trained_parameters", "train_seconds"]) -> float | None:
    return None if row["cost"] is None else row["cost"][name]


def _dot(row: Row, place: float, cost: str, metric: str, style: Style) -> dict[str, Any]:
    estimate = row["metrics"][metric]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [place],
        "y": [scaled(metric, estimate["value"] or 0.0)],
        "error_y": whiskers(metric, [row], style.color),
        "marker": point(style),
        "name": escape(row["label"]),
        "legendgroup": row["label"],
        "text": [f"<b>{escape(row['label'])}</b><br>{metric_name(metric)} {estimate_text(metric, estimate)}<br>{cost}"],
        "hovertemplate": "%{text}<extra></extra>",
    }
