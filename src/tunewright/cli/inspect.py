"""`tunewright inspect`: look inside soft prompts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import plain_table, show, show_json, show_title

if TYPE_CHECKING:
    from tunewright.backbones.base import Backbone
    from tunewright.reports.data import PromptView


def inspect(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of finished runs.", show_default=False)],
    words: Annotated[int, typer.Option("--words", min=1, help="Nearest words of each slot.")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.html", help="Write a page with pictures too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what trained slots look like: nearest words, drift from the start, norms, likeness.

    Several runs on one model are also set beside each other: the mean cosine of their slots.
    """
    from tunewright.errors import InputError
    from tunewright.evaluation.prompt_views import prompt_likeness
    from tunewright.runs.inside import inside_of
    from tunewright.runs.kept import read_kept

    found: list[PromptView] = []
    tables = []
    backbones: dict[str, Backbone | None] = {}
    for run in runs:
        model = read_kept(run).recipe.local_model
        view, table, backbones[model] = inside_of(run, words, backbones.get(model))
        found.append(view)
        tables.append(table)
    alike = None
    if len(tables) > 1:
        if len(backbones) > 1:
            raise InputError(f"prompts of one model wanted, found {' and '.join(backbones)}")
        alike = [[round(prompt_likeness(a, b), 4) for b in tables] for a in tables]
    if output is not None:
        _write(output, found, alike)
    if as_json:
        show_json({"prompts": found, "likeness": alike, "output": str(output) if output else None})
        return
    for view in found:
        _show(view)
    if alike is not None:
        lines = plain_table("likeness", *(str(i) for i in range(1, len(found) + 1)))
        for i, (view, row) in enumerate(zip(found, alike), 1):
            lines.add_row(f"{i} {view['label']}", *(f"{value:.2f}" for value in row))
        show(lines)
    if output is not None:
        show(f"page: {output}")


def _show(view: "PromptView") -> None:
    table = plain_table("slot", "nearest words (cosine)", "(Euclidean)", "drift", "norm", "longer than")
    for column in table.columns[1:3]:
        column.justify = "left"
    for slot in view["slots"]:
        table.add_row(
            slot["slot"],
            ", ".join(f"{word} {value:.2f}" for word, value in slot["words"]),
            ", ".join(f"{word} {value:.3g}" for word, value in slot["near"]),
            "–" if slot["drift"] is None else f"{slot['drift']:.2f}",
            f"{slot['norm']:.3g}",
            f"{100 * slot['norm_share']:.0f} %",
        )
    show_title(f"{view['label']}: {len(view['slots'])} slots")
    show(table)
    low, middle, high = view["norm_low"], view["norm_median"], view["norm_high"]
    show(f"the vocabulary's norms: median {middle:.3g}, 90 % between {low:.3g} and {high:.3g}")
    if view["note"]:
        show(view["note"])


def _write(path: Path, found: list["PromptView"], alike: list[list[float]] | None) -> None:
    from tunewright.reports import write_report
    from tunewright.reports.data import ReportData

    names = " ".join(view["label"] for view in found)
    page: ReportData = {
        "title": "Inside soft prompts",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"tunewright inspect {names} --output {path}",
        "setup": [],
        "notes": [],
        "verdict": [],
        "tasks": [],
        "prompts": found,
    }
    if alike:
        page["prompt_likeness"] = alike
    write_report(path, page)
