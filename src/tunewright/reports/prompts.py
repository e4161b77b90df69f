"""The report's look into soft prompts: heat map, drift and norms, and the plane of slots and words."""

from html import escape
from typing import Any

from tunewright.reports.data import PromptView
from tunewright.reports.figures import Figure, axis, figure

_SCALE = [[0.0, "#2166ac"], [0.5, "#f7f7f7"], [1.0, "#b2182b"]]


def prompt_view(prompt: PromptView) -> dict[str, Any]:
    """What the page shows of one prompt."""
    return {
        "label": prompt["label"],
        "note": prompt["note"],
        "figures": [f for f in (_heat(prompt), _norms(prompt), _drifts(prompt), _plane(prompt)) if f],
        "slots": [
            {
                "name": slot["slot"],
                "words": ", ".join(f"{word} {value:.2f}" for word, value in slot["words"]),
                "near": ", ".join(f"{word} {value:.3g}" for word, value in slot["near"]),
                "drift": "–" if slot["drift"] is None else f"{slot['drift']:.2f}",
                "norm": f"{slot['norm']:.3g}",
            }
            for slot in prompt["slots"]
        ],
    }


def likeness_figure(labels: list[str], matrix: list[list[float]] | None) -> Figure | None:
    """How alike several prompts are, None for one."""
    if matrix is None or len(labels) < 2:
        return None
    numbers = [str(i) for i in range(1, len(labels) + 1)]
    names = [f"{number}  {escape(label)}" for number, label in zip(numbers, labels)]
    text = [[f"{value:.2f}" for value in row] for row in matrix]
    heat = {"type": "heatmap", "x": numbers, "y": names, "z": matrix, "text": text, "texttemplate": "%{text}",
            "zmin": -1, "zmax": 1, "colorscale": _SCALE, "showscale": False, "hoverinfo": "none"}  # fmt: skip
    height = 140 + 44 * len(labels)
    return figure("Likeness of the prompts: mean cosine of their slots", [heat], height,
                  xaxis=axis("", type="category"), yaxis=axis("", autorange="reversed"))  # fmt: skip


def _numbers(prompt: PromptView) -> list[int]:
    return list(range(1, len(prompt["slots"]) + 1))


def _heat(prompt: PromptView) -> Figure:
    numbers = _numbers(prompt)
    heat = {"type": "heatmap", "x": numbers, "y": numbers, "z": prompt["likeness"], "zmin": -1, "zmax": 1,
            "colorscale": _SCALE, "colorbar": {"thickness": 10}}  # fmt: skip
    return figure("Cosine of the slots with each other", [heat], 340, xaxis=axis("slot"),
                  yaxis=axis("slot", autorange="reversed"))  # fmt: skip


def _norms(prompt: PromptView) -> Figure:
    bars = _bars(prompt, [slot["norm"] for slot in prompt["slots"]])
    low, high = prompt["norm_low"], prompt["norm_high"]
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high, "line": {"width": 0},
            "fillcolor": "var(--quiet)", "opacity": 0.25}  # fmt: skip
    return figure("Length of the slots; the band holds 90 % of the vocabulary", [bars], 340, shapes=[band],
                  xaxis=axis("slot"), yaxis=axis("norm", rangemode="tozero"))  # fmt: skip


def _drifts(prompt: PromptView) -> Figure | None:
    values = [slot["drift"] for slot in prompt["slots"]]
    if any(value is None for value in values):
        return None
    return figure("Drift from the start", [_bars(prompt, values)], 340, xaxis=axis("slot"),
                  yaxis=axis("distance / start's norm", rangemode="tozero"))  # fmt: skip


def _bars(prompt: PromptView, values: list[Any]) -> dict[str, Any]:
    return {"type": "bar", "x": _numbers(prompt), "y": values, "marker": {"color": "#4477aa"},
            "hovertext": [escape(f"{slot['slot']}: {slot['words'][0][0]}") for slot in prompt["slots"]]}  # fmt: skip


def _plane(prompt: PromptView) -> Figure:
    slots = prompt["slots"]
    words = [escape(str(slot["words"][0][0])) for slot in slots]
    data: list[dict[str, Any]] = []
    for slot in slots:
        if slot["start_at"] is not None:
            ways = [slot["start_at"], slot["at"]]
            data.append({"type": "scatter", "mode": "lines", "x": [p[0] for p in ways], "y": [p[1] for p in ways],
                         "line": {"color": "#bbbbbb", "width": 1}, "hoverinfo": "none"})  # fmt: skip
    starts = [slot["start_at"] for slot in slots if slot["start_at"] is not None]
    data.append({"type": "scatter", "mode": "markers", "x": [p[0] for p in starts], "y": [p[1] for p in starts],
                 "marker": {"color": "#bbbbbb", "size": 6}, "hovertext": "start"})  # fmt: skip
    data.append({"type": "scatter", "mode": "markers+text", "x": [s["at"][0] for s in slots],
                 "y": [s["at"][1] for s in slots], "text": words, "textposition": "top center",
                 "textfont": {"size": 11}, "marker": {"color": "#b2182b", "size": 8},
                 "hovertext": [escape(s["slot"]) for s in slots]})  # fmt: skip
    return figure("From start (grey) to now (red, with the nearest word), in their plane", data, 420,
                  xaxis=axis(""), yaxis=axis(""))  # fmt: skip
