"""`tunewright sensitivity`: how far scores lie apart from one template to the next."""

from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, RecipeFile, Resume
from tunewright.cli.showing import plain_table, show, show_json, show_title


def sensitivity(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder (default: the recipe's output, else runs/RECIPE).")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Score every template of a task, calibrated and not, with examples in several orders, on the same rows.

    Prints and writes mean, spread, what validation picks and its regret against the best by test; soft prompts' spread
    over seeds beside them where the recipe asks for it.
    """
    from tunewright.sensitivity.recipe import load_sensitivity

    loaded = load_sensitivity(recipe, overrides)
    from tunewright.sensitivity.run import compare_templates

    folder = output or Path(loaded.output or Path("runs") / recipe.stem)
    command = f"tunewright sensitivity {recipe}" + "".join(f" --set {text}" for text in overrides)
    done = compare_templates(loaded, folder, resume=resume, overwrite=overwrite, command=command)
    if as_json:
        show_json({"folder": str(folder), "report": str(done.report), **done.value})
        return
    _show(done.value)
    show(f"folder: {folder}")
    show(f"report: {done.report}")


def _show(value: dict[str, Any]) -> None:
    from rich.text import Text

    from tunewright.reports import formats
    from tunewright.reports.sensitivity import effect_sentence, picked_of, seeds_of

    metric = value["metric"]

    def number(one: float | None) -> str:
        return formats.metric_value(metric, one)

    show_title(
        f"{formats.metric_name(metric)} of {len(value['templates'])} templates on {value['rows']['test']} test rows of "
        f"{value['task']}"
    )
    table = plain_table("", "mean", "std", "min", "max", "picked on validation", "best by test", "regret")
    for group in value["groups"]:
        best, top = group["picked"], group["best_by_test"]
        table.add_row(
            group["label"],
            Text(number(group["mean"]), "bold"),
            number(group["std"]),
            Text(number(group["min"]), "red"),
            Text(number(group["max"]), "green"),
            Text(f"{picked_of(best)}: {formats.estimate_text(metric, best['test']) if best['test'] else '–'}", "cyan"),
            f"{picked_of(top)}: {number(top['test'] and top['test']['value'])}",
            Text(number(group["regret"]), "yellow" if group["regret"] > 0 else "green"),
        )
    if soft := value["soft"]:
        numbers = [number(soft[key]) for key in ("std", "min", "max")]
        seeds = seeds_of(soft)
        table.add_row(soft["label"], Text(number(soft["mean"]), "bold"), *numbers, seeds, "–", "–", style="magenta")
    show(table)
    for effect in value["calibration"]:
        show(effect_sentence(metric, effect))
    show("Best by test is hindsight: nobody can pick it. Intervals at 95 %.")
