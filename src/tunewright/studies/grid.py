"""A study's grid: every run as a recipe of its own, checked before the first one starts."""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.methods.registry import make_method
from tunewright.mixtures.block import read_mixture
from tunewright.mixtures.held_out import tasks_in
from tunewright.recipe import Recipe, Study
from tunewright.settings import validate
from tunewright.tasks.open import resolve


@dataclass(frozen=True)
class Trial:
    """One run of a study. `folder` is relative to the study's; `task` and `method` are keys unique in the study."""

    task: str
    method: str
    label: str
    seed: int
    recipe: Recipe
    folder: Path
    shots: tuple[str, int | None] | None = None  # the task without, and how many, in a study over shots
    left_out: str | None = None  # the cell without, in a study that leaves out one cluster after the other


def trials_of(study: Study, where: str) -> list[Trial]:
    """All runs, task by task, then seed by seed, so that a whole comparison of one task is early at hand.

    In a study over `shots` each task stands there once for each of them, by a name that says how many; with
    `leave_out` each mixture once for each cluster, by a name that says which.

    Keys of a method win over those of a task, and both over the base. A method with `tasks` runs on those only.
    Raises InputError naming the entry.
    """
    seeds = list(range(study.seeds)) if isinstance(study.seeds, int) else study.seeds
    tasks = [_entry(entry, "task", f"{where} tasks[{i}]") for i, entry in enumerate(study.tasks)]
    methods = [_entry(entry, "method", f"{where} methods[{i}]") for i, entry in enumerate(study.methods)]
    task_keys = _unique([str(entry.pop("label", None) or _cell_name(entry)) for entry in tasks])
    labels = _unique([str(entry.pop("label", None) or _method_name(entry["method"])) for entry in methods])
    on = [_tasks_of(entry.pop("tasks", None), task_keys, f"{where} methods[{i}]") for i, entry in enumerate(methods)]
    trials = []
    sizes: list[Any] = [...] if study.shots is None else list(study.shots)
    cells = [
        (task_key, task, cluster)
        for task_key, task in zip(task_keys, tasks)
        for cluster in _left_out(study, merged(study.base, task), f"{where} ({task_key})")
    ]
    for (task_key, task, cluster), size in product(cells, sizes):
        name = task_key if size is ... else f"{task_key}, {_shots_name(size)}"
        name += f" without {cluster}" if cluster else ""
        for seed in seeds:
            for label, method, mine in zip(labels, methods, on):
                if task_key not in mine:
                    continue
                tree = merged(merged(study.base, task), method)
                tree = merged(tree, {"training": {"seed": seed}} | ({} if size is ... else {"shots": size}))
                if cluster:
                    tree = merged(tree, {"held_out": {"clusters": [cluster]}})
                recipe = validate(Recipe, tree, f"{where} ({label} on {name})")
                make_method(recipe.method, f"{where} method")
                folder = Path("trials") / slug(name) / slug(label) / f"seed-{seed}"
                shots = None if size is ... else (task_key, size)
                left_out = task_key if cluster else None
                trials.append(Trial(name, recipe.method["name"], label, seed, recipe, folder, shots, left_out))
    return trials


def _left_out(study: Study, tree: Mapping[str, Any], where: str) -> list[str | None]:
    """The clusters that a cell leaves out one after the other; [None] where the study leaves none out."""
    if study.leave_out is None:
        return [None]
    if tree.get("mixture") is None:
        raise InputError(f"{where}: leave_out wants a mixture")
    if study.leave_out != "all":
        return [*study.leave_out]
    blocks = map(resolve, tasks_in(read_mixture(tree["mixture"])))
    return sorted({block.cluster for block in blocks if block.cluster is not None})


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings merged, `over` winning; a method or task is replaced whole."""
    result = deepcopy(dict(under))
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), dict) and key not in ("method", "task"):
            result[key] = merged(result[key], value)
        else:
            result[key] = deepcopy(value)
    return result


def slug(text: str) -> str:
    """A text as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def _shots_name(size: int | None) -> str:
    return "all rows" if size is None else f"{size} shot{'s' * (size > 1)}"


def _entry(entry: str | dict[str, Any], key: str, where: str) -> dict[str, Any]:
    if isinstance(entry, str):
        return {key: entry}
    if key in entry or (key == "task" and entry.keys() & {"tasks", "mixture"}):  # {tasks: [a, b]}: one run of both
        return dict(entry)
    if key == "method" and "name" in entry:  # {name: lora, rank: 4}: the method's own block
        return {key: dict(entry)}
    raise InputError(f"{where}: key {key!r} is missing")


def _tasks_of(wanted: Any, tasks: list[str], where: str) -> list[str]:
    """The tasks a method runs on: all, or those it names under `tasks`."""
    names = tasks if wanted is None else [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if name not in tasks:
            raise InputError(f"{where} tasks: {name!r} is no task of this study{did_you_mean(str(name), tasks)}")
    return names


def _cell_name(entry: Mapping[str, Any]) -> str:
    if "mixture" in entry:
        mixture = entry["mixture"]
        return _task_name(mixture) if isinstance(mixture, str) else str(mixture.get("name") or "mixture")
    if "tasks" not in entry:
        return _task_name(entry["task"])
    several = [one["task"] if isinstance(one, Mapping) and "task" in one else one for one in entry["tasks"] or ()]
    return " + ".join(map(_task_name, several))


def _task_name(task: Any) -> str:
    if isinstance(task, str):
        return Path(task).stem if task.endswith((".yaml", ".yml")) else task
    return str(task.get("name") or Path(str(task.get("path") or task.get("hub") or "task")).stem)


def _method_name(method: Any) -> str:
    return method if isinstance(method, str) else str(method.get("name"))


def _unique(names: list[str]) -> list[str]:
    """Equal names get numbers: lora, lora 2."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return result
