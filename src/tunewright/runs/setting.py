"""What a method may know of a run's tasks, and what a masked model cannot do with them."""

from collections.abc import Sequence
from statistics import fmean, pstdev

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Setting
from tunewright.recipe import Recipe
from tunewright.tasks.task import Task


def setting_of(recipe: Recipe, tasks: Sequence[Task]) -> Setting:
    """What the method may know. Slots that several tasks share start from the labels of all."""
    by_task = {task.name: label_names(task) for task in tasks}
    labels = tuple(dict.fromkeys(label for names in by_task.values() for label in names))
    first = tasks[0]
    return Setting(
        first.kind,
        labels,
        recipe.training.seed,
        by_task if recipe.several else {},
        tags=(first.labels or ()) if first.kind == "tag" else (),
        standard=_standard(first),
    )


def _standard(task: Task) -> tuple[float, float]:
    """Mean and standard deviation of a regression's training targets; (0, 1) for other tasks, and without rows."""
    if task.kind != "regress" or "train" not in task.splits:
        return 0.0, 1.0
    values = [float(value) for value in task.split("train").columns[task.target]]
    return fmean(values), pstdev(values) or 1.0


def label_names(task: Task) -> tuple[str, ...]:
    """The first label word of each label: what class-label starts read."""
    return tuple(task.label_words[label][0] for label in task.labels or () if task.label_words.get(label))


def check_masked(tasks: Sequence[Task], backbone: Backbone) -> None:
    """Raise InputError for tasks that a masked model could only write the answers of."""
    for task in tasks:
        if task.kind == "tag":
            raise InputError(
                f"task {task.name}: a masked model ({backbone.name}) cannot write entities; use method head, which "
                "tags each word"
            )
        if task.kind == "regress" and not task.numbers:
            raise InputError(
                f"task {task.name}: a masked model ({backbone.name}) cannot write numbers; use method head, or give "
                "the task numbers to choose from (numbers: {low: 0, high: 5, step: 0.5})"
            )
