"""Builds the report: one HTML file with its style, script and plotly inside, so that it opens offline."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tunewright import __version__
from tunewright.files import write_text
from tunewright.reports import formats
from tunewright.reports.clusters import cluster_views
from tunewright.reports.cost_figures import cost_figure
from tunewright.reports.data import ReportData, Row, TaskData
from tunewright.reports.entities import type_table
from tunewright.reports.examples import example_cards
from tunewright.reports.figures import curve_figures, quality_figure
from tunewright.reports.forgetting import forgetting_view
from tunewright.reports.held_out import held_out_view, overlap_view
from tunewright.reports.macro import macro_means
from tunewright.reports.prompts import likeness_figure, prompt_view
from tunewright.reports.shots import shots_figures
from tunewright.reports.styles import Style, assign_styles
from tunewright.reports.tables import best_first, headline, mean_cell, pair_rows, quality_table


def write_report(path: Path, data: ReportData) -> None:
    """Write the report of a study, or of a single run, to `path` atomically.

    What is empty in `data` is left out of the page. NaN and infinities are shown as unknown.
    Raises MachineError when the disk refuses.
    """
    write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The report as HTML. All texts of `data` are escaped; nothing is loaded from outside the file."""
    known: ReportData = finite(data)
    styles = assign_styles(known["tasks"])
    tasks = [_task_view(task, number, styles) for number, task in enumerate(known["tasks"], start=1)]
    prompts = [prompt_view(prompt) for prompt in known.get("prompts", [])]
    together = likeness_figure([p["label"] for p in known.get("prompts", [])], known.get("prompt_likeness"))
    clusters = cluster_views(known)
    few_shot = shots_figures(known["tasks"], styles)
    forgetting = forgetting_view(known["forgetting"]) if "forgetting" in known else None
    has_figures = any(task["figures"] for task in tasks) or any((prompts, clusters, few_shot, forgetting))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=known,
            tasks=tasks,
            overview=_overview(known["tasks"]),
            few_shot=few_shot,
            few_shot_legend=[(label, style) for label, style in styles.items()],
            prompts=prompts,
            together=together,
            clusters=clusters,
            forgetting=forgetting,
            held_out=held_out_view(known["tasks"], known.get("held_out", [])),
            overlaps=overlap_view(known["tasks"]),
            plotly=plotly() if has_figures else "",
            version=__version__,
        )
    )


def environment() -> Environment:
    """The templates beside this file; all that is printed is escaped."""
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def plotly() -> str:
    """Plotly's script."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def finite(value: Any) -> Any:
    """The same value with NaN and infinities replaced by None: browsers' JSON has neither."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _task_view(task: TaskData, number: int, styles: dict[str, Style]) -> dict[str, Any]:
    rows = best_first(task)
    quality = quality_figure(rows, task, styles)
    curves = curve_figures(task, styles)
    costs = [
        cost_figure(rows, task, styles, "trained_parameters"),
        cost_figure(rows, task, styles, "train_seconds"),
    ]
    cards = example_cards(task)
    in_curves = {curve["label"] for curve in task["curves"]}
    return {
        "anchor": f"task-{number}",
        "data": task,
        "metric": formats.metric_name(task["metric"]),
        "headline": headline(task),
        "table": quality_table(task),
        "failures": [(row["label"], line) for row in rows for line in row["failed"]],
        "notes": _notes(rows),
        "quality": quality,
        "curves": curves,
        "curve_legend": [(label, style) for label, style in styles.items() if label in in_curves],
        "costs": [f for f in costs if f],
        "cost_legend": [(row["label"], styles[row["label"]]) for row in rows if row["metrics"]],
        "figures": [f for f in (quality, *curves, *costs) if f],
        "pairs": pair_rows(task["pairs"]),
        "types": type_table(task.get("types", {})),
        "examples": cards,
        "example_methods": list(dict.fromkeys(card["method"] for card in cards)),
    }


def _notes(rows: list[Row]) -> list[tuple[str, str]]:
    """(methods, note) of the differences; one that holds for all methods is said once, without their names."""
    said: dict[str, list[str]] = {}
    noted = [row for row in rows if row["difference"]]
    for row in noted:
        if row["difference"] and row["difference"]["note"]:
            said.setdefault(row["difference"]["note"], []).append(row["label"])
    return [("" if len(labels) == len(noted) > 1 else ", ".join(labels), note) for note, labels in said.items()]


def _overview(tasks: list[TaskData]) -> dict[str, Any] | None:
    """The primary metric of each method on each task, and their mean where they have one, when there are several."""
    if len(tasks) < 2:
        return None
    tables = [quality_table(task) for task in tasks]
    labels = list(dict.fromkeys(row["label"] for task in tasks for row in task["table"]))
    kinds = {row["label"]: row["kind"] for task in tasks for row in task["table"]}
    cells = [
        {entry["row"]["label"]: entry["cells"][0] for entry in table["rows"] if entry["cells"]} for table in tables
    ]
    means = macro_means(tasks)
    return {
        "mean": {label: mean_cell(means.get(label)) for label in labels} if means else None,
        "heads": [
            (f"task-{n}", task["task"], formats.metric_name(task["metric"])) for n, task in enumerate(tasks, start=1)
        ],
        "rows": [(label, kinds[label], [of_task.get(label) for of_task in cells]) for label in labels],
    }
