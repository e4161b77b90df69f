"""A run's rows asked and scored, task by task, and the form in which its folder keeps the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.console import say
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.macro import macro_average
from tunewright.evaluation.metrics import metric, score
from tunewright.evaluation.predictions import Prediction, of_task
from tunewright.evaluation.scoring import Asked, Asking, predict_all
from tunewright.prompts.rows import RowPrompts
from tunewright.recipe import Recipe
from tunewright.runs.at_endpoint import Ready


@dataclass(frozen=True)
class TaskScores:
    """A task's metrics over its `n` answered rows; the first one is the primary."""

    n: int
    metrics: dict[str, Interval]


def asking_of(recipe: Recipe) -> Asking:
    """How the recipe wants the model asked."""
    e = recipe.evaluation
    return Asking(e.batch_tokens, e.normalisation, e.max_new_tokens)


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
            asking_of(part.recipe),
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


def score_tasks(prepared: Ready, predictions: Sequence[Prediction], *, some: bool = False) -> dict[str, TaskScores]:
    """Each task's metrics by its name. Raises InputError for one without predictions (`some`: leaves it out)."""
    scores = {}
    for part in prepared.parts:
        mine = of_task(predictions, part.task.name)
        if mine or not some:
            scores[part.task.name] = TaskScores(len(mine), score(mine, metric_names(part)))
    return scores


def scores_json(scores: Mapping[str, TaskScores], split: str, *, several: bool) -> dict[str, Any]:
    """`before.json`, `after.json`: {"task", "split", "n", "metrics"}.

    With several tasks: {"split", "tasks": {TASK: {"n", "metrics"}}, "macro"}, the last one the mean of the tasks'
    primary metrics (null where these have no common scale).
    """
    tasks = {
        name: {"n": one.n, "metrics": {key: interval.to_json() for key, interval in one.metrics.items()}}
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
