"""`tunewright evaluate`: score a tuned model again, on another split, other rows or other settings."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tunewright.cli.options import Json, Overrides, RunPath
from tunewright.cli.showing import estimate, plain_table, show, show_json, show_title
from tunewright.console import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tunewright.evaluation.entities import TypeScore
    from tunewright.evaluation.intervals import Interval
    from tunewright.recipe import Recipe
    from tunewright.runs.at_endpoint import Ready

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
    the model, the method and the templates are the run's, and so are the tasks where it has several.
    """
    from tunewright.files import write_json
    from tunewright.runs.kept import load_answering
    from tunewright.runs.scores import ask, metric_names, score_tasks, scores_json

    _check_keys(overrides)
    prepared = load_answering(run)
    prepared = _reopened(prepared, _changed(prepared.recipe, overrides, split))
    for part in prepared.parts:
        metric_names(part)
    evaluation = prepared.recipe.evaluation
    scores = score_tasks(prepared, ask(prepared, "evaluating"))
    content = scores_json(scores, evaluation.split, several=bool(prepared.several))
    name = f"evaluation-{evaluation.split}.json"
    write_json(run / name, content)
    if as_json:
        show_json(content)
        return
    for task, one in scores.items():
        _show(f"{task} ({one.n} rows of {evaluation.split}; intervals at 95 %)", one.metrics)
        if one.types:
            _show_types(one.types)
    if content.get("macro"):
        show(f"mean over {len(scores)} tasks: {estimate('accuracy', content['macro'])}")
    show(f"written: {run / name}")


def _show(title: str, metrics: "Mapping[str, Interval]") -> None:
    from tunewright.reports.formats import metric_name

    table = plain_table("metric", "value")
    for key, interval in metrics.items():
        table.add_row(metric_name(key), estimate(key, interval.to_json()))
    show_title(title)
    show(table)


def _show_types(types: "Mapping[str, TypeScore]") -> None:
    from tunewright.reports.formats import metric_value

    table = plain_table("entities", "in the rows", "precision", "recall", "F1")
    for kind, one in types.items():
        values = [metric_value("entity-f1", value) for value in (one.precision, one.recall, one.f1)]
        table.add_row(kind, str(one.gold), *values)
    show(table)


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


def _reopened(prepared: "Ready", recipe: "Recipe") -> "Ready":
    """The tuned model with its tasks' rows. Raises InputError where rows are not of the task it was tuned on."""
    from tunewright.runs.several_templates import check_evaluation

    before: Sequence[Ready] = prepared.parts
    of_mixture = recipe.mixture is not None
    parts = [_with_rows(part, alone, of_mixture) for part, alone in zip(before, recipe.apart())]
    check_evaluation(parts)
    several: Any = tuple(parts) if prepared.several else ()  # all of the one kind or of the other
    return replace(parts[0], recipe=recipe, several=several)


def _with_rows(part: "Ready", recipe: "Recipe", of_mixture: bool) -> "Ready":
    from tunewright.errors import InputError
    from tunewright.runs.mixture import open_asked
    from tunewright.tasks.open import open_task

    task = open_asked(recipe) if of_mixture else open_task(recipe.one_task, seed=recipe.training.seed)
    for note in task.notes:
        say(f"{task.name}: {note}")
    old = part.task
    if (task.kind, task.labels) != (old.kind, old.labels):
        shown = [f"{t.kind}{' of ' + ', '.join(t.labels) if t.labels else ''}" for t in (old, task)]
        raise InputError(f"task {task.name}: the model was tuned on {shown[0]}, these rows are {shown[1]}")
    now, then = recipe.evaluation, part.recipe.evaluation
    alike = (now.normalisation, now.calibration) == (then.normalisation, then.calibration)
    accuracy = part.template_accuracy if alike else None  # measured anew for other scores
    task = replace(task, numbers=old.numbers)  # the model was tuned to choose among these
    return replace(part, recipe=recipe, task=task, template_accuracy=accuracy)
