"""`tunewright evaluate`: score a tuned model again, on another split, other rows or other settings."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewright.cli.options import Json, Overrides, RunPath
from tunewright.cli.showing import estimate, plain_table, show, show_json, show_title
from tunewright.console import say

if TYPE_CHECKING:
    from tunewright.recipe import Recipe
    from tunewright.runs.prepare import Prepared

_CHANGEABLE = {"evaluation", "task"}


def evaluate(
    run: RunPath,
    split: Annotated[
        Literal["validation", "test"] | None,
        typer.Option("--split", help="The rows to score (default: the recipe's evaluation.split)."),
    ] = None,
    overrides: Overrides = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Score a tuned model again and write RUN/evaluation-SPLIT.json.

    --set changes keys of the recipe's evaluation and task blocks (`evaluation.rows=500`, `task.path=other.jsonl`);
    the model, the method and the templates are the run's.
    """
    from tunewright.evaluation.metrics import score
    from tunewright.evaluation.scoring import predict
    from tunewright.reports.formats import metric_name
    from tunewright.runs.folder import RunFolder
    from tunewright.runs.kept import load_kept
    from tunewright.runs.run import asking_of, metric_names

    _check_keys(overrides)
    prepared = load_kept(run)
    prepared = _reopened(prepared, _changed(prepared.recipe, overrides, split))
    recipe = prepared.recipe
    names = metric_names(prepared)
    encoder = prepared.encoder(prepared.asked_rows())
    predictions = predict(prepared.tuner, encoder, prepared.task, asking_of(recipe), "evaluating")
    for key in ("skipped", "shortened", "no number"):
        if encoder.counts[key]:
            say(f"{encoder.counts[key]} of {len(encoder.rows)} rows: {key}")
    metrics = score(predictions, names)
    name = f"evaluation-{recipe.evaluation.split}"
    folder = RunFolder(run)
    folder.write_scores(name, prepared.task.name, recipe.evaluation.split, len(predictions), metrics)
    if as_json:
        show_json(folder.read(name))
        return
    title = f"{prepared.task.name} ({len(predictions)} rows of {recipe.evaluation.split}; intervals at 95 %)"
    table = plain_table("metric", "value")
    for key, interval in metrics.items():
        table.add_row(metric_name(key), estimate(key, interval.to_json()))
    show_title(title)
    show(table)
    show(f"written: {run / name}.json")


def _check_keys(overrides: list[str]) -> None:
    from tunewright.errors import InputError

    for text in overrides:
        block = text.partition("=")[0].partition(".")[0].strip()
        if block not in _CHANGEABLE:
            raise InputError(f"--set {text}: {block} belongs to the tuned model; evaluation.… and task.… can be set")


def _changed(recipe: "Recipe", overrides: list[str], split: str | None) -> "Recipe":
    from tunewright.recipe import Recipe
    from tunewright.settings import apply_overrides, validate

    tree = recipe.model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    apply_overrides(tree, [*overrides, *([f"evaluation.split={split}"] if split else [])])
    return validate(Recipe, tree, "--set")


def _reopened(prepared: "Prepared", recipe: "Recipe") -> "Prepared":
    """The tuned model with the task's rows. Raises InputError where the rows are not of the task it was tuned on."""
    from tunewright.errors import InputError
    from tunewright.tasks.open import open_task

    task = open_task(recipe.task, seed=recipe.training.seed)
    for note in task.notes:
        say(f"{task.name}: {note}")
    old = prepared.task
    if (task.kind, task.labels) != (old.kind, old.labels):
        shown = [f"{t.kind}{' of ' + ', '.join(t.labels) if t.labels else ''}" for t in (old, task)]
        raise InputError(f"task {task.name}: the model was tuned on {shown[0]}, these rows are {shown[1]}")
    return replace(prepared, recipe=recipe, task=task)
