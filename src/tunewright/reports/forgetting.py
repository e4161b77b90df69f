"""The forgetting section of a report: each task of the battery before and after, and the changes drawn."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tunewright.reports.figures import Figure, axis, figure
from tunewright.reports.formats import (
    NOTHING,
    estimate_text,
    interval,
    metric_name,
    metric_value,
    p_value,
    scaled,
)
from tunewright.reports.styles import OKABE_ITO, SYMBOLS

PERPLEXITY = "perplexity"
SIGNS = {
    "lost": "▼ lost",
    "gained": "▲ gained",
    "can't tell": "? can't tell",
    "no answer changed": "= no answer changed",
}


def forgetting_view(value: Mapping[str, Any]) -> dict[str, Any]:
    """`value` as battery.json has it: a table, sentences and figures."""
    sides: Mapping[str, Any] = value["sides"]
    first = next(iter(sides.values()))["tasks"]
    rows = []
    for number, one in enumerate(first):
        cells = [_cell(side["tasks"][number]) for side in sides.values()]
        rows.append(
            {"task": one, "metric": metric_name(one["metric"]), "before": _score(one, "before"), "cells": cells}
        )
    drawn = [_changes_figure(sides), _texts_figure(sides)]
    return {
        "battery": value["battery"],
        "split": value["split"],
        "sides": list(sides),
        "rows": rows,
        "sentences": sentences(value),
        "missing": value["missing"],
        "note": value["note"],
        "figures": [one for one in drawn if one is not None],
        "curve": wise_ft_figure(value["wise_ft"]) if value.get("wise_ft") else None,
    }


def sentences(value: Mapping[str, Any]) -> list[str]:
    """What the battery says, a sentence a side."""
    found = []
    for name, side in value["sides"].items():
        mine = [one for one in side["tasks"] if not one["tuned"]]
        if all(one["verdict"] == "no answer changed" for one in mine):
            found.append(f"{name.capitalize()}: no answer to any of the {len(mine)} tasks changed.")
            continue
        lost, gained = ([one["task"] for one in mine if one["verdict"] == word] for word in ("lost", "gained"))
        told = [f"{word} on {', '.join(tasks)}" for word, tasks in (("lost", lost), ("gained", gained)) if tasks]
        said = "; ".join(told) or "no task changed by more than these rows can tell"
        mean = side["mean"]
        if mean is not None:
            said = f"mean change over {mean['tasks']} tasks {estimate_text('accuracy', mean, signed=True)}; {said}"
        found.append(f"{name.capitalize()}: {said}.")
    return found


def _cell(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "after": _score(one, "after"),
        "change": change_text(one),
        "p": p_value(one["p_holm"]),
        "verdict": SIGNS[one["verdict"]],
        "mark": {"lost": "failed", "gained": "name"}.get(one["verdict"], "quiet"),
    }


def _score(one: Mapping[str, Any], when: str) -> str:
    value = one[when]
    if one["metric"] == PERPLEXITY:
        return NOTHING if value["value"] is None else f"{value['value']:.4g}"
    return metric_value(one["metric"], value["value"])


def change_text(one: Mapping[str, Any]) -> str:
    """`−3.2 [−6.1 to −0.4]`; of a text the factor of its perplexity, `×1.05 [1.02–1.08]`."""
    change = one["change"]
    if one["metric"] != PERPLEXITY:
        return f"{metric_value(one['metric'], change['value'], True)} {interval(one['metric'], change, True)}".strip()
    between = "" if change["low"] is None else f" [{change['low']:.3f}–{change['high']:.3f}]"
    return f"×{change['value']:.3f}{between}"


def _changes_figure(sides: Mapping[str, Any]) -> Figure | None:
    """A dot and its interval for the change of each task, the mean at the bottom, a line at no change."""
    shown = {
        name: [one for one in side["tasks"] if one["metric"] != PERPLEXITY] for name, side in sides.items()
    }  # fmt: skip
    labels = [_label(one) for one in next(iter(shown.values()))]
    if not labels:
        return None
    means = {name: side["mean"] for name, side in sides.items() if side["mean"] is not None}
    places = {label: i for i, label in enumerate([*labels, *(["mean of the others' shares"] if means else [])])}
    traces = []
    for number, (name, tasks) in enumerate(shown.items()):
        points = [(_label(one), one["metric"], one["change"]) for one in tasks]
        if name in means:
            points.append(("mean of the others' shares", "accuracy", means[name]))
        traces.append(_dots(name, number, len(shown), [(places[label], m, change) for label, m, change in points]))
    return figure(
        "Change of each task's score with 95 % intervals; left of the line: forgotten" + _side_names(shown),
        traces,
        90 + 30 * len(places),
        xaxis=axis("after − before (in points of 100; correlations times 100)"),
        yaxis=axis(
            "",
            tickvals=list(places.values()),
            ticktext=[escape(one) for one in places],
            range=[len(places) - 0.5, -0.5],
        ),
        shapes=[_line(0.0)],
        hovermode="closest",
    )


def _side_names(shown: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{_mark_name(i)}: {name}' for i, name in enumerate(shown))})" if len(shown) > 1 else ""


def _mark_name(number: int) -> str:
    return ("filled", "open")[number % 2]


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['task']} (tuned on)" if one["tuned"] else str(one["task"])


def _dots(name: str, number: int, of: int, points: Sequence[tuple[int, str, Mapping[str, Any]]]) -> dict[str, Any]:
    known = [(at, metric, one) for at, metric, one in points if one["value"] is not None]
    shift = 0.0 if of == 1 else (number - (of - 1) / 2) * 0.3
    scale = [100.0 if scaled(metric, 1.0) == 1.0 else scaled(metric, 1.0) for _, metric, _ in known]
    color = OKABE_ITO[number]
    arms = [
        (0.0, 0.0) if one["low"] is None else (by * (one["high"] - one["value"]), by * (one["value"] - one["low"]))
        for by, (_, _, one) in zip(scale, known)
    ]
    return {
        "type": "scatter", "mode": "markers", "name": name,
        "x": [by * one["value"] for by, (_, _, one) in zip(scale, known)],
        "y": [at + shift for at, _, _ in known],
        "error_x": {"type": "data", "symmetric": False, "array": [up for up, _ in arms],
                    "arrayminus": [down for _, down in arms], "color": color, "thickness": 2, "width": 4},
        "marker": {"size": 9, "color": color, "symbol": SYMBOLS[0] + ("-open" if number else ""),
                   "line": {"width": 2, "color": color}},
        "text": [escape(f"{name}: {metric_name(m)} {estimate_text(m, one, True)}") for _, m, one in known],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _texts_figure(sides: Mapping[str, Any]) -> Figure | None:
    """The same for the perplexity of texts, as a rise in per cent; right of the line: forgotten."""
    shown = {name: [one for one in side["tasks"] if one["metric"] == PERPLEXITY] for name, side in sides.items()}
    labels = [_label(one) for one in next(iter(shown.values()))]
    if not labels:
        return None
    traces = []
    for number, (name, tasks) in enumerate(shown.items()):
        points = []
        for at, one in enumerate(tasks):
            rise = {key: None if value is None else value - 1 for key, value in one["change"].items()}
            points.append((at, "accuracy", rise))
        traces.append(_dots(name, number, len(shown), points))
    return figure(
        "Rise of the perplexity of texts with 95 % intervals; right of the line: forgotten" + _side_names(shown),
        traces,
        110 + 34 * len(labels),
        xaxis=axis("rise in per cent"),
        yaxis=axis(
            "", tickvals=list(range(len(labels))), ticktext=[escape(o) for o in labels], range=[len(labels) - 0.5, -0.5]
        ),
        shapes=[_line(0.0)],
        hovermode="closest",
    )


def wise_ft_figure(value: Mapping[str, Any]) -> Figure:
    """WiSE-FT's curve: validation and the battery's mean over the share of the trained weights; a line at the pick.

    `value` as wise-ft.json has it. Validation is an accuracy or an entity F1, or (`loss`) minus a loss.
    """
    curve = value["curve"]
    loss = value["validation_is"] == "loss"
    series = (
        (f"validation ({'loss' if loss else 'score'})", [_shown(p["validation"], loss) for p in curve]),
        ("battery, mean score on validation rows", [100 * p["battery"] for p in curve]),
    )
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": [p["alpha"] for p in curve], "y": y,
            "yaxis": "y2" if loss and number == 0 else "y",
            "line": {"color": OKABE_ITO[number], "width": 2, "dash": ("solid", "dash")[number]},
            "marker": {"color": OKABE_ITO[number], "symbol": SYMBOLS[number], "size": 8},
            "hovertemplate": f"{escape(name)}: %{{y:.4g}} at α = %{{x}}<extra></extra>",
        }
        for number, (name, y) in enumerate(series)
    ]  # fmt: skip
    second = {"yaxis2": axis("loss", overlaying="y", side="right", showgrid=False)} if loss else {}
    return figure(
        f"WiSE-FT: the trained weights mixed with their start; α = {value['alpha']:g} was picked (dotted)",
        traces,
        360,
        showlegend=True,
        legend={"orientation": "h", "y": -0.25},
        xaxis=axis("α, share of the trained weights"),
        yaxis=axis("score, times 100"),
        shapes=[_line(value["alpha"])],
        **second,
    )


def _shown(value: float, loss: bool) -> float | None:
    if not math.isfinite(value):
        return None
    return -value if loss else 100 * value


def _line(x: float) -> dict[str, Any]:
    line = {"color": "var(--text)", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}
