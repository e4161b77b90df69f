"""A pretraining's `report.md` and its loss curve, `loss.svg`: what it learnt, what it forgot, what was left out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from tunewright.files import write_text
from tunewright.pretraining.raw.recipe import Pretraining
from tunewright.pretraining.raw.texts import TRAINED_ON

WIDTH, HEIGHT, LEFT, BOTTOM = 720, 300, 56, 36  # pixels
MOST_POINTS = 300
COLOURS = ("#0b62a4", "#c0504d", "#4f8f3a", "#8064a2")


def write_report(
    folder: Path,
    recipe: Pretraining,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    dropped: Mapping[str, Any] | None,
    seconds: float,
) -> None:
    """Write both files into the run's folder."""
    curves = loss_curves(folder / "stages")
    write_text(folder / "loss.svg", loss_figure(curves))
    name = recipe.name or (recipe.model or "a new model")
    lines = [f"# Pretraining of {name}", "", f"{seconds / 60:.1f} minutes of training. Intervals at 95 %, over blocks "
             "of text never trained on; the change is paired by block.", ""]  # fmt: skip
    lines += [*score_table(before, after), "", "![The loss on training batches](loss.svg)", ""]
    if dropped is not None:
        lines += [*filter_lines(dropped), ""]
    write_text(folder / "report.md", "\n".join(lines))


def score_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(text, objective, cells): each objective on what was held out, then on the other texts."""
    named = [("held out", before, after, after["change"][TRAINED_ON])]
    named += [(text, before["also"][text], after["also"][text], after["change"][text]) for text in after["also"]]
    for text, was, now, change in named:
        for name, scores in now["objectives"].items():
            old = was["objectives"][name]
            yield text, name, {
                "perplexity before": shown(old["perplexity"]),
                "after": shown(scores["perplexity"]),
                "times": shown(change[name], 3),
                "accuracy before": shown(old["accuracy"], 3),
                "accuracy after": shown(scores["accuracy"], 3),
            }  # fmt: skip


def score_table(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The scores as a table in markdown."""
    lines: list[str] = []
    for text, name, cells in score_rows(before, after):
        if not lines:
            lines = ["| text | objective | " + " | ".join(cells) + " |", "|---" * (2 + len(cells)) + "|"]
        lines.append(f"| {text} | {name} | " + " | ".join(cells.values()) + " |")
    return lines


def shown(value: Mapping[str, Any], digits: int = 2) -> str:
    """A value and its interval."""
    if value["low"] is None:
        return f"{value['value']:.{digits}f}"
    return f"{value['value']:.{digits}f} [{value['low']:.{digits}f}–{value['high']:.{digits}f}]"


def filter_lines(dropped: Mapping[str, Any]) -> list[str]:
    """What the filters left out, by source and rule, and pairs of near-duplicates."""
    of = f" (of the first {dropped['of_the_first']:,} of each source)" if dropped["of_the_first"] else ""
    lines = ["## Left out", "", f"{dropped['kept']:,} of {dropped['documents']:,} documents stay{of}.", "",
             "| source | documents | rule | left out |", "|---|---|---|---|"]  # fmt: skip
    for source in dropped["sources"]:
        for rule, count in source["dropped"].items() or [("", 0)]:
            lines.append(f"| {source['source']} | {source['documents']:,} | {rule} | {count:,} |")
    if dropped["near_duplicates"]:
        lines += ["", "| likeness | stays | left out |", "|---|---|---|"]
        for pair in dropped["near_duplicates"]:
            lines.append(f"| {pair['similarity']:.2f} | {_cell(pair['kept'])} | {_cell(pair['dropped'])} |")
    return lines


def _cell(text: str) -> str:
    """A text that breaks no table."""
    return " ".join(escape(text).split()).replace("|", "\\|")


def loss_curves(stages: Path) -> dict[str, list[tuple[int, float]]]:
    """(step over all stages, loss) of each stage's training batches."""
    curves: dict[str, list[tuple[int, float]]] = {}
    done = 0
    for folder in sorted(stages.iterdir(), key=lambda path: int(path.name.partition("-")[0])):
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
        entries = [entry for line in text.splitlines() if "loss" in (entry := json.loads(line))]
        curves[folder.name] = [(done + entry["step"], entry["loss"]) for entry in entries]
        done += len(entries)
    return curves


def loss_figure(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Lines in an SVG, at most 300 points each (means of stretches)."""
    lines = {name: _thinned(points) for name, points in curves.items() if points}
    every = [point for points in lines.values() for point in points]
    last = max((step for step, _ in every), default=1)
    low, high = min((loss for _, loss in every), default=0.0), max((loss for _, loss in every), default=1.0)
    high = high if high > low else low + 1

    def place(step: float, loss: float) -> str:
        x = LEFT + (WIDTH - LEFT - 12) * step / last
        return f"{x:.1f},{12 + (HEIGHT - BOTTOM - 12) * (high - loss) / (high - low):.1f}"

    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
             '<rect width="100%" height="100%" fill="white"/>']  # fmt: skip
    for loss in (low, (low + high) / 2, high):
        y = place(0, loss).partition(",")[2]
        parts.append(f'<path d="M{LEFT},{y}H{WIDTH - 12}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" dominant-baseline="middle">{loss:.2f}</text>')
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(place(*point) for point in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{WIDTH - 20}" y="{28 + 16 * i}" text-anchor="end" fill="{colour}">{escape(name)}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 8}" text-anchor="end">loss (nats a token) by step, to {last}</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    stretch = -(-len(points) // MOST_POINTS)
    groups = [points[i : i + stretch] for i in range(0, len(points), stretch)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]
