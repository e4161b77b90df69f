"""`tunewright tune`: one recipe, one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import cost_line, estimate, plain_table, show, show_json, show_title

if TYPE_CHECKING:
    from tunewright.runs.run import RunResult


def tune(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The run's folder (default: the recipe's output, else runs/RECIPE)."),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Measure a model, tune it as the recipe says, measure it again.

    Relative paths in the recipe start where the command runs.
    """
    from tunewright.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    folder = output or Path(loaded.output or Path("runs") / recipe.stem)

    from tunewright.runs.run import run

    result = run(loaded, folder, resume=resume, overwrite=overwrite)
    content = result_json(result)
    if as_json:
        show_json(content)
    else:
        show_result(content)


def result_json(result: "RunResult") -> dict[str, Any]:
    """What a run says, as plain values."""
    recipe, task = result.prepared.recipe, result.prepared.task
    report = result.folder / "report.html"
    return {
        "folder": str(result.folder),
        "report": str(report) if report.is_file() else None,
        "task": task.name,
        "model": recipe.model,
        "method": recipe.method["name"],
        "split": recipe.evaluation.split,
        "n": len(result.after),
        "before": {name: interval.to_json() for name, interval in result.before_metrics.items()},
        "after": {name: interval.to_json() for name, interval in result.after_metrics.items()},
        "baselines": {
            label: {name: interval.to_json() for name, interval in scores.items()}
            for label, scores in result.baselines.items()
        },
        "cost": result.cost,
    }


def show_result(content: dict[str, Any]) -> None:
    """The table of a run: a row a metric, the untuned and the tuned model, then the cheap baselines."""
    from tunewright.reports.formats import metric_name

    title = f"{content['method']} on {content['task']} ({content['n']} rows of {content['split']}; intervals at 95 %)"
    columns = {"before": content["before"], "after": content["after"], **content["baselines"]}
    table = plain_table("", *(metric_name(name) for name in content["after"]))
    for label, scores in columns.items():
        style = "bold" if label == "after" else "dim" if label in content["baselines"] else None
        table.add_row(label, *(estimate(name, scores.get(name)) for name in content["after"]), style=style)
    show_title(title)
    show(table)
    show(cost_line(content["cost"]))
    show(f"folder: {content['folder']}")
    if content["report"]:
        show(f"report: {content['report']}")
