"""The figure of `tunewright sensitivity`: a strip of points for each way of asking, soft prompts among them."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tunewright.reports.figures import Figure, axis, axis_title, figure
from tunewright.reports.formats import estimate_text, scaled
from tunewright.reports.styles import OKABE_ITO, SYMBOLS

_SPREAD = 0.28  # points lie within this of their strip's middle
_LETTERS = 240  # of a template's text in its hover


def spread_figure(value: Mapping[str, Any]) -> Figure:
    """`value` as sensitivity.json has it. Strips from top to bottom in the order of the groups, soft prompts last."""
    groups, soft, metric = value["groups"], value["soft"], value["metric"]
    labels = [group["label"] for group in groups] + ([soft["label"]] if soft else [])
    traces: list[dict[str, Any]] = []
    for number, group in enumerate(groups):
        cells = [c for c in value["cells"] if c["group"] == group["label"] and c["test"]["metrics"]]
        points = [(_score(c["test"], metric), _about(c, value)) for c in cells]
        traces += _strip(number, group["label"], metric, points, group["mean"])
        test = group["picked"]["test"]
        if test is not None:
            name = escape(group["picked"]["template"])
            at = next(i for i, c in enumerate(cells) if _same(c, group["picked"]))
            ring = {"size": 17, "symbol": "circle-open", "color": "var(--text)", "line": {"width": 2}}
            traces.append(_marks([test["value"]], [_y(number, at)], metric, ring, [f"picked on validation: {name}"]))
    if soft:
        points = [(s["metrics"][metric], f"seed {s['seed']}") for s in soft["seeds"]]
        traces += _strip(len(groups), soft["label"], metric, points, soft["mean"])
    ticks = list(range(len(labels)))
    return figure(
        "Test scores: one point a template, one strip a way of asking",
        traces,
        90 + 62 * len(labels),
        xaxis=axis(axis_title(metric, value["higher_is_better"])),
        yaxis=axis(
            "",
            tickvals=ticks,
            ticktext=[escape(one) for one in labels],
            range=[len(labels) - 0.5, -0.5],
            showgrid=False,
        ),
        hovermode="closest",
    )


def _strip(
    number: int, label: str, metric: str, points: Sequence[tuple[Mapping[str, Any], str]], mean: float
) -> list[dict[str, Any]]:
    color = OKABE_ITO[number % len(OKABE_ITO)]
    mark = {"size": 9, "color": color, "symbol": SYMBOLS[number % len(SYMBOLS)], "opacity": 0.8}
    texts = [f"<b>{estimate_text(metric, one)}</b><br>{about}" for one, about in points]
    ys = [_y(number, i) for i in range(len(points))]
    line = {"size": 40, "symbol": "line-ns-open", "color": "var(--text)", "line": {"width": 2}}
    return [
        _marks([mean], [number], metric, line, [f"{escape(label)}: mean"]),
        _marks([one["value"] for one, _ in points], ys, metric, mark, texts),
    ]


def _marks(
    values: Sequence[float], ys: Sequence[float], metric: str, mark: dict[str, Any], texts: Sequence[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [scaled(metric, one) for one in values],
        "y": list(ys),
        "marker": mark,
        "text": list(texts),
        "hovertemplate": "%{text}<extra></extra>",
    }


def _y(strip: int, point: int) -> float:
    """Steps of the golden ratio: neighbours in the list lie far apart."""
    return strip + _SPREAD * (2 * ((point * 0.6180339887) % 1) - 1)


def _score(split: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = split["metrics"][metric]
    return found


def _same(cell: Mapping[str, Any], place: Mapping[str, Any]) -> bool:
    return bool(cell["template"] == place["template"] and cell["order"] == place["order"])


def _about(cell: Mapping[str, Any], value: Mapping[str, Any]) -> str:
    """The template's name, its order of examples, its text."""
    text = value["templates"][cell["template"]]["jinja"]
    short = text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
    lines = [part for line in short.split("\n") for part in textwrap.wrap(line, 70) or [""]]
    name = cell["template"] + (f", order {cell['order']}" if cell["order"] else "")
    return "<br>".join(escape(line) for line in [name, *lines])
