"""`tunewright tune`: one recipe, one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.forget import show_battery
from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import cost_line, estimate, plain_table, show, show_json, show_title

if TYPE_CHECKING:
    from tunewright.runs.run import RunResult
    from tunewright.runs.scores import TaskScores


def tune(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The run's folder (default: the recipe's output, else runs/RECIPE)."),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Without the fast paths (training.plain): the same results, slower.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure a model, tune it as the recipe says, measure it again.

    Relative paths in the recipe start where the command runs.
    """
    from tunewright.recipe import load_recipe

    loaded = load_recipe(recipe, [*overrides, "training.plain=true"] if plain else overrides)
    folder = output or Path(loaded.output or Path("runs") / recipe.stem)

    from tunewright.runs.run import run

    result = run(loaded, folder, resume=resume, overwrite=overwrite)
    content = result_json(result)
    if as_json:
        show_json(content)
    else:
        show_result(content)


def result_json(result: "RunResult") -> dict[str, Any]:
    """What a run says, as plain values; with several tasks each one's scores stand under `tasks`."""
    from tunewright.runs.battery import read_battery_json
    from tunewright.runs.held_out import read_held_out
    from tunewright.runs.scores import macro

    recipe = result.prepared.recipe
    report = result.folder / "report.html"
    tasks = {name: _scores_json(result, name) for name in result.after_scores}
    content: dict[str, Any] = {
        "folder": str(result.folder),
        "report": str(report) if report.is_file() else None,
        "model": recipe.model_name,
        "method": recipe.method["name"],
        "split": recipe.evaluation.split,
        "cost": result.cost,
    }
    if (battery := read_battery_json(result.folder)) is not None:
        content["battery"] = battery
    if (held_out := read_held_out(result.folder)) is not None:
        content["held_out"] = held_out.get("scores", [])
    if not result.prepared.several:
        ((name, scores),) = tasks.items()
        return {**content, "task": name, **scores}
    means = {"before": macro(result.before_scores), "after": macro(result.after_scores)}
    return {**content, "tasks": tasks, "macro": {key: mean.to_json() if mean else None for key, mean in means.items()}}


def _scores_json(result: "RunResult", task: str) -> dict[str, Any]:
    def plain(scores: "dict[str, TaskScores]") -> dict[str, Any]:
        return {name: interval.to_json() for name, interval in scores[task].metrics.items()}

    cheap = {label: plain(scores) for label, scores in result.baseline_scores.items() if task in scores}
    return {
        "n": result.after_scores[task].n,
        "before": plain(result.before_scores),
        "after": plain(result.after_scores),
        "baselines": cheap,
    }


def show_result(content: dict[str, Any]) -> None:
    """A table a task: a row for the untuned and the tuned model, then the cheap baselines; a column a metric."""
    tasks = content.get("tasks") or {content["task"]: content}
    for name, scores in tasks.items():
        _show_task(
            f"{content['method']} on {name} ({scores['n']} rows of {content['split']}; intervals at 95 %)", scores
        )
    means = content.get("macro") or {}
    if "held_out" in content:
        from tunewright.reports.held_out import held_out_sentences

        for sentence in held_out_sentences(content["held_out"]):
            show(sentence)
    elif means.get("before") and means.get("after"):
        shown = " → ".join(estimate("accuracy", means[key]) for key in ("before", "after"))
        show(f"mean over {len(tasks)} tasks: {shown}")
    show(cost_line(content["cost"]))
    if "battery" in content:
        show_battery(content["battery"])
    show(f"folder: {content['folder']}")
    if content["report"]:
        show(f"report: {content['report']}")


def _show_task(title: str, scores: dict[str, Any]) -> None:
    from tunewright.reports.formats import metric_name

    columns = {"before": scores["before"], "after": scores["after"], **scores["baselines"]}
    table = plain_table("", *(metric_name(name) for name in scores["after"]))
    for label, values in columns.items():
        style = "bold" if label == "after" else "dim" if label in scores["baselines"] else None
        table.add_row(label, *(estimate(name, values.get(name)) for name in scores["after"]), style=style)
    show_title(title)
    show(table)
