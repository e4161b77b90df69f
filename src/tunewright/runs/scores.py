"""A run's rows asked and scored, task by task, and the form in which its folder keeps the scores."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tunewright.console import say
from tunewright.evaluation.entities import TypeScore, by_type
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.macro import macro_average
from tunewright.evaluation.metrics import metric, score
from tunewright.evaluation.predictions import Prediction, of_task
from tunewright.evaluation.scoring import Asked, Asking, chooses, predict_all
from tunewright.prompts.rows import RowPrompts
from tunewright.recipe import Recipe
from tunewright.runs.at_endpoint import Ready
from tunewright.runs.several_templates import template_accuracy


@dataclass(frozen=True)
class TaskScores:
    """A task's metrics over its `n` answered rows; the first one is the primary."""

    n: int
    metrics: dict[str, Interval]
    types: dict[str, TypeScore] = field(default_factory=dict)  # of entities, where the task is one of tags


def asking_of(recipe: Recipe) -> Asking:
    """How the recipe wants the model asked."""
    e = recipe.evaluation
    return Asking(e.batch_tokens, e.normalisation, e.max_new_tokens, e.calibration, e.ensemble, number=e.number)


def asking_for(part: Ready, *, attached: bool = True) -> Asking:
    """The same for one task of a run, with the weights of its templates where they are weighted.

    Those of the tuned model (`attached`) are measured once and kept with it.
    """
    asking = asking_of(part.recipe)
    if asking.ensemble != "weighted" or not chooses(part.task):
        return asking
    untuned = not attached and part.tuned  # another model: the one before
    found = None if untuned else part.template_accuracy
    if found is None:
        found = template_accuracy(part, asking, attached=attached)
        told = ", ".join(f"{template.name} {value:.3g}" for template, value in zip(part.templates, found))
        say(f"{part.task.name}: accuracy of each template on validation{' before tuning' if untuned else ''}: {told}")
    if not untuned:
        part.template_accuracy = found
    return replace(asking, weights=found)


def metric_names(part: Ready) -> list[str]:
    """The metrics of a run of one task, or of one of several. Raises InputError for one that is not known."""
    names = list(part.recipe.evaluation.metrics or part.task.metrics)
    for name in names:
        metric(name)
    return names


def ask(prepared: Ready, title: str, *, attached: bool = True) -> list[Prediction]:
    """The answers to the asked rows of all the run's tasks; what was skipped or cut is said."""
    asked = [
        Asked(
            part.encoder(part.asked_rows(), attached=attached),
            part.task,
            asking_for(part, attached=attached),
            part.task.name if prepared.several else "",
        )
        for part in prepared.parts
    ]
    found = predict_all(prepared.tuner, asked, title)
    for one in asked:
        tell(one.encoder, f"{title}, {one.name}" if one.name else title)
    return [prediction for predictions in found for prediction in predictions]


def tell(encoder: RowPrompts, what: str) -> None:
    """Say what became of an encoder's rows on their way to the model."""
    said = {
        "skipped": "rows were empty and skipped",
        "shortened": "rows were cut to training.max_tokens",
        "no number": "answers held no number and count as 0",
        "no choice": "answers named none of the choices and count as wrong",
        "bounded": "answers have a choice beyond the listed tokens, whose score is an upper bound",
    }
    for key, text in said.items():
        if encoder.counts[key]:
            say(f"{what}: {encoder.counts[key]} of {len(encoder.rows)} {text}")
    for line in of_tags(encoder.counts):
        say(f"{what}: {line}")
    if line := left_out(encoder.counts):
        say(f"{what}: {line} of {len(encoder.rows)} rows")


def of_tags(counts: Counter[str]) -> list[str]:
    """What became of words and entities in a task of tags."""
    said = {
        "unread": "words were cut off or have no token, and are not tagged",
        "unknown type": "entities had a type that the task has not",
        "not there": "entities had words that are not in their row",
        "malformed": "pieces of the answers were no `words: type`",
    }
    return [f"{counts[key]} {text}" for key, text in said.items() if counts[key]]


def left_out(counts: Counter[str]) -> str:
    """How many in-context examples did not fit into how many rows; empty where all did."""
    dropped, given = counts["dropped"], counts["dropped"] + counts["stand"]
    if not dropped:
        return ""
    return (
        f"{dropped} of {given} examples did not fit into training.max_tokens and were left out, in {counts['short of']}"
    )


def score_tasks(prepared: Ready, predictions: Sequence[Prediction], *, some: bool = False) -> dict[str, TaskScores]:
    """Each task's metrics by its name. Raises InputError for one without predictions (`some`: leaves it out)."""
    scores = {}
    for part in prepared.parts:
        mine = of_task(predictions, part.task.name)
        if mine or not some:
            scores[part.task.name] = TaskScores(len(mine), score(mine, metric_names(part)), by_type(mine))
    return scores


def scores_json(scores: Mapping[str, TaskScores], split: str, *, several: bool) -> dict[str, Any]:
    """`before.json`, `after.json`: {"task", "split", "n", "metrics"}, and "types" where there are entities.

    With several tasks: {"split", "tasks": {TASK: {"n", "metrics"}}, "macro"}, the last one the mean of the tasks'
    primary metrics (null where these have no common scale).
    """
    tasks = {
        name: {"n": one.n, "metrics": {key: interval.to_json() for key, interval in one.metrics.items()}}
        | ({"types": {kind: one.types[kind].to_json() for kind in one.types}} if one.types else {})
        for name, one in scores.items()
    }
    if not several:
        ((name, one),) = tasks.items()
        return {"task": name, "split": split, **one}
    mean = macro(scores)
    return {"split": split, "tasks": tasks, "macro": mean.to_json() if mean else None}


def macro(scores: Mapping[str, TaskScores]) -> Interval | None:
    """The mean over tasks of the primary metric."""
    return macro_average([next(iter(one.metrics.items())) for one in scores.values()])
