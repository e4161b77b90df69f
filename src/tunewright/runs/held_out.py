"""The tasks that a mixture's recipe keeps out: written out before a run, described and scored in its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.console import say
from tunewright.errors import InputError, MachineError, did_you_mean
from tunewright.files import read_json, write_json
from tunewright.held_out_block import AskedTaskBlock
from tunewright.mixtures.block import read_mixture
from tunewright.mixtures.held_out import catalog_clusters, name_of, tasks_in
from tunewright.mixtures.overlap import N, find_overlap
from tunewright.recipe import Recipe
from tunewright.runs.mixture import RunMixture, open_asked
from tunewright.runs.prepare import Prepared
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import resolve
from tunewright.tasks.task import Task

if TYPE_CHECKING:
    from tunewright.runs.at_endpoint import Ready

FILE = "held-out.json"


def with_asked(recipe: Recipe) -> Recipe:
    """The recipe with the asked tasks of its held-out clusters written out, where it names none.

    These are the tasks of the clusters that the mixture lists, or where it lists none of a cluster, the catalog's;
    what cannot be had here is said and left out. Raises InputError for a cluster that is not known or has no task here.
    """
    block = recipe.held_out
    if block is None or not block.clusters:
        return recipe
    listed: dict[str, list[str | TaskBlock]] = {}
    mixture = read_mixture(recipe.mixture or "")
    for task in tasks_in(mixture):
        if (cluster := resolve(task).cluster) is not None:
            listed.setdefault(cluster, []).append(task)
    catalog = catalog_clusters() if set(block.clusters) - set(listed) else {}
    for cluster in block.clusters:
        if cluster not in listed and cluster not in catalog:
            known = sorted({*listed, *catalog})
            raise InputError(f"held_out.clusters: no task is of the cluster {cluster!r}{did_you_mean(cluster, known)}")
    if block.ask is not None:
        return recipe
    asked: list[str | AskedTaskBlock] = []
    for cluster in block.clusters:
        here = listed.get(cluster, [])
        if not here or mixture.missing == "skip":
            here = [one for one in here or catalog[cluster] if _is_here(recipe, one)]
        if not here:
            raise InputError(f"held_out.clusters: the rows of no task of {cluster} can be had here; name others: ask")
        asked += [one if isinstance(one, str) else AskedTaskBlock(task=one) for one in here]
    return recipe.model_copy(update={"held_out": block.model_copy(update={"ask": asked})})


def _is_here(recipe: Recipe, task: str | TaskBlock) -> bool:
    try:
        open_asked(recipe.model_copy(update={"mixture": None, "tasks": None, "task": task}))
    except (InputError, MachineError) as error:
        say(f"held_out: {name_of(resolve(task))} is not asked: {error}")
        return False
    return True


def asked_json(recipe: Recipe, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Each held-out one of a run's `tasks` (in their order): its name, task, cluster (none: the task) and exemplars."""
    found = []
    for task, one in zip(tasks, recipe.asked, strict=True):
        if one.held_out:
            name = name_of(resolve(one.task))
            cluster = task.cluster or name
            found.append({"name": task.name, "task": name, "cluster": cluster, "exemplars": one.exemplars})
    return found


def held_out_json(recipe: Recipe, tasks: Sequence[Task], mixture: RunMixture | None) -> dict[str, Any]:
    """The content of held-out.json: what is held out, what of the mixture was left out for it, what is asked, and
    (with a mixture) by task the overlap of the rows of `evaluation.split` with the training rows.
    """
    assert recipe.held_out is not None
    content: dict[str, Any] = {
        "clusters": recipe.held_out.clusters,
        "tasks": [name_of(resolve(one if isinstance(one, str) else one.task)) for one in recipe.held_out.tasks],
        "left_out": [vars(one) for one in mixture.left_out] if mixture is not None else [],
        "asked": asked_json(recipe, tasks),
    }
    if mixture is not None:
        open_one = {task.name: task for task in tasks}
        rows = {one["task"]: open_one[one["name"]].split(recipe.evaluation.split) for one in content["asked"]}
        found = find_overlap(rows, mixture.train.rows_in_reach())
        content["overlap"] = {task: one.to_json() for task, one in found.items()}
    return content


def write_held_out(prepared: "Ready", folder: Path) -> None:
    """Write held-out.json, once, and say what was found."""
    if prepared.recipe.held_out is None or (folder / FILE).is_file():
        return
    mixture = prepared.mixture if isinstance(prepared, Prepared) else None
    content = held_out_json(prepared.recipe, [part.task for part in prepared.parts], mixture)
    for line in (*left_out_notes(content), *overlap_lines(content)):
        say(line)
    write_json(folder / FILE, content)


def add_scores(folder: Path, means: Sequence[Mapping[str, Any]]) -> None:
    """Put `held_out_means` of the finished run into its held-out.json."""
    write_json(folder / FILE, {**read_json(folder / FILE), "scores": list(means)})


def read_held_out(folder: Path) -> dict[str, Any] | None:
    """What held-out.json of a run says; None without one."""
    return dict(read_json(folder / FILE)) if (folder / FILE).is_file() else None


def left_out_notes(said: Mapping[str, Any] | None) -> list[str]:
    """What of the mixture was left out, and why, in one sentence."""
    if not said or not said["left_out"]:
        return []
    told = [
        f"{one['task']} ({one['why']})" if one["rows"] is None else f"{one['rows']} rows of {one['task']}: {one['why']}"
        for one in said["left_out"]
    ]
    return [f"Held out, so left out of the mixture: {'; '.join(told)}."]


def overlap_lines(said: Mapping[str, Any]) -> list[str]:
    """A line for each task whose rows share words with the training rows."""
    return [
        f"overlap: {one['overlapping']} of {one['rows']} rows of {task} share {N} words in a row with a training row"
        for task, one in said.get("overlap", {}).items()
        if one["overlapping"]
    ]
