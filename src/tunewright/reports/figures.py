"""The figures as plotly's plain JSON: quality with intervals, and learning curves.

Written by hand, not through plotly's classes, which would cost a second of imports; the tests check them against those.
Labels are escaped, since plotly reads a little HTML in them. A colour `var(--name)` is filled in by the page's
script, so that figures follow the light or dark theme. Each figure is {"title", "height" in pixels, "data", "layout"}.
"""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tunewright.reports.data import Curve, Row, TaskData
from tunewright.reports.formats import estimate_text, metric_name, metric_value, scaled
from tunewright.reports.styles import Style

Figure = dict[str, Any]
MAX_POINTS = 300


def figure(title: str, data: list[dict[str, Any]], height: int, **layout: Any) -> Figure:
    """A figure with the report's look: transparent, 13 px text in the page's colour, no legend of its own."""
    base = {
        "autosize": True,
        "height": height,
        "margin": {"l": 8, "r": 14, "t": 24, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif",
            "size": 13,
            "color": "var(--text)",
        },
        "showlegend": False,
        "dragmode": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "var(--quiet)", "activecolor": "var(--text)"},
        "hoverlabel": {
            "bgcolor": "var(--panel)",
            "bordercolor": "var(--line)",
            "font": {"size": 13, "color": "var(--text)"},
            "align": "left",
        },
    }
    return {"title": title, "height": height, "data": data, "layout": base | layout}


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """An axis with a quiet grid that makes room for its own labels."""
    base = {
        "title": {"text": escape(title), "font": {"size": 13}, "standoff": 8},
        "automargin": True,
        "gridcolor": "var(--line)",
        "zeroline": False,
        "linecolor": "var(--line)",
        "tickcolor": "var(--line)",
        "fixedrange": True,
        "tickfont": {"size": 12},
    }
    return base | settings


def point(style: Style) -> dict[str, Any]:
    """The mark of one method."""
    return {"size": 10, "color": style.color, "symbol": style.symbol, "line": {"width": 1.5, "color": style.color}}


def whiskers(metric: str, rows: Sequence[Row], color: str) -> dict[str, Any]:
    """Error bars from the rows' intervals on `metric`; a row without an interval gets none."""
    up, down = [], []
    for row in rows:
        e = row["metrics"][metric]
        value, low, high = e["value"], e["low"], e["high"]
        if value is None or low is None or high is None:
            value = low = high = 0.0
        up.append(scaled(metric, high - value))
        down.append(scaled(metric, value - low))
    # thickness and cap width in pixels
    return {
        "type": "data",
        "symmetric": False,
        "array": up,
        "arrayminus": down,
        "color": color,
        "thickness": 2,
        "width": 5,
    }


def measured(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows that have a value for `metric`."""
    return [r for r in rows if metric in r["metrics"] and r["metrics"][metric]["value"] is not None]


def axis_title(metric: str, higher_is_better: bool) -> str:
    """`accuracy (higher is better)`."""
    return f"{metric_name(metric)} ({'higher' if higher_is_better else 'lower'} is better)"


def quality_figure(rows: Sequence[Row], task: TaskData, styles: Mapping[str, Style]) -> Figure | None:
    """A dot and its interval for each method in the order of `rows` (best on top), and a line at zero-shot.

    None with fewer than two measured methods.
    """
    metric = task["metric"]
    rows = measured(rows, metric)
    if len(rows) < 2:
        return None
    traces = []
    for row in rows:
        style = styles[row["label"]]
        estimate = row["metrics"][metric]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [scaled(metric, estimate["value"] or 0.0)],
                "y": [escape(row["label"])],
                "error_x": whiskers(metric, [row], style.color),
                "marker": point(style),
                "name": escape(row["label"]),
                "legendgroup": row["label"],
                "text": [escape(f"{metric_name(metric)} {estimate_text(metric, estimate)}")],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    zero = next((r["metrics"][metric]["value"] for r in rows if r["kind"] == "zero-shot"), None)
    shapes, notes = [], []
    if zero is not None:
        x = scaled(metric, zero)
        line = {"color": "var(--text)", "width": 1, "dash": "dot"}
        shapes.append(
            {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
        )
        notes.append(
            {
                "text": "zero-shot",
                "x": x,
                "yref": "paper",
                "y": 1,
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12},
            }
        )
    return figure(
        "Quality with 95 % intervals, best on top; baselines in grey",
        traces,
        90 + 42 * len(rows),
        hovermode="y unified",
        xaxis=axis(axis_title(metric, task["higher_is_better"]), nticks=7),
        yaxis=axis(
            "",
            type="category",
            showspikes=False,
            autorange="reversed",
            categoryorder="array",
            categoryarray=[escape(r["label"]) for r in rows],
            tickvals=[escape(r["label"]) for r in rows],
            ticktext=[_wrapped(r["label"]) for r in rows],
        ),
        shapes=shapes,
        annotations=notes,
    )


def curve_figures(task: TaskData, styles: Mapping[str, Style]) -> list[Figure]:
    """The training loss and the validation score over steps; none for a task without curves.

    A thin line for each seed; with several seeds a thick one for their mean at the steps all of them have.
    """
    validation = task.get("validation_metric", task["metric"])
    panels = []
    by_label: dict[str, list[Curve]] = {}
    for curve in task["curves"]:
        by_label.setdefault(curve["label"], []).append(curve)
    for metric, steps, values, title in (
        ("loss", "steps", "loss", "Loss on training batches"),
        (validation, "validation_steps", "validation", f"Validation: {metric_name(validation)}"),
    ):
        traces = []
        for label, curves in by_label.items():
            lines = [_line(metric, c[steps], c[values]) for c in curves]  # type: ignore[literal-required]
            traces += _curve_traces(metric, label, [line for line in lines if line], styles[label])
        if traces:
            panels.append(
                figure(
                    title,
                    traces,
                    330,
                    hovermode="x unified",
                    xaxis=axis("step", nticks=7, unifiedhovertitle={"text": "step %{x}"}),
                    yaxis=axis("", nticks=7),
                )
            )
    return panels


def _curve_traces(metric: str, label: str, lines: list[dict[int, float]], style: Style) -> list[dict[str, Any]]:
    if not lines:
        return []
    single = len(lines) == 1
    common = [step for step in lines[0] if all(step in line for line in lines)]
    mean = {step: sum(line[step] for line in lines) / len(lines) for step in common}
    traces = [_trace(metric, label, line, style, width=1, opacity=0.45, hover=False) for line in lines if not single]
    traces.append(_trace(metric, label, mean, style, width=2.5 if not single else 2, opacity=1, hover=True))
    return traces


def _trace(
    metric: str, label: str, line: dict[int, float], style: Style, *, width: float, opacity: float, hover: bool
) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        # One or two looks at validation make no line that can be seen.
        "mode": "lines+markers" if hover and len(line) <= 15 else "lines",
        "x": list(line),
        "y": [scaled(metric, value) for value in line.values()],
        "line": {"color": style.color, "width": width, "dash": style.dash if hover else "solid"},
        "marker": {"color": style.color, "symbol": style.symbol, "size": 7},
        "opacity": opacity,
        "name": escape(label),
        "legendgroup": label,
    }
    if hover:
        trace["text"] = [escape(f"{label}: {metric_value(metric, value)}") for value in line.values()]
        trace["hovertemplate"] = "%{text}<extra></extra>"
    else:
        trace["hoverinfo"] = "skip"
    return trace


def _line(metric: str, steps: Sequence[int], values: Sequence[float | None]) -> dict[int, float]:
    """Step → value, at most 300 points: of a longer curve, the mean of each stretch at the stretch's last step."""
    points = [(step, value) for step, value in zip(steps, values) if value is not None]
    stretch = -(-len(points) // MAX_POINTS) if points else 1
    groups = [points[i : i + stretch] for i in range(0, len(points), stretch)]
    return {group[-1][0]: sum(value for _, value in group) / len(group) for group in groups}


def _wrapped(label: str) -> str:
    return "<br>".join(escape(line) for line in textwrap.wrap(label, 20, max_lines=3, placeholder="…"))
