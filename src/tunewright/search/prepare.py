"""A search's file made ready: the task without its test rows, the model as it is."""

from collections import defaultdict
from dataclasses import replace
from itertools import zip_longest

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone
from tunewright.errors import InputError
from tunewright.methods.registry import make_method
from tunewright.recipe import EndpointBlock
from tunewright.runs.at_endpoint import Ready, assemble_at
from tunewright.runs.prepare import assemble_all, open_tasks, sample
from tunewright.search.recipe import LabelWordSearch, TemplateSearch
from tunewright.seeds import python_random
from tunewright.task_block import Kind
from tunewright.tasks.task import Rows, Task

_KINDS: dict[type, tuple[Kind, ...]] = {
    TemplateSearch: ("classify", "choose", "generate"),
    LabelWordSearch: ("classify",),
}


def prepare_search(search: TemplateSearch | LabelWordSearch, backbone: Backbone | None = None) -> Ready:
    """Everything the search needs. The test split is taken away before anything else sees the task.

    Raises InputError for a kind of task that is not searched, and for templates with soft slots.
    """
    recipe = search.recipe()
    (opened,) = open_tasks(recipe)
    task = opened.task
    kinds = _KINDS[type(search)]
    if task.kind not in kinds:
        what = "templates are" if isinstance(search, TemplateSearch) else "label words are"
        raise InputError(
            f"task {task.name}: {what} searched for tasks of kind {' or '.join(kinds)}, this one is {task.kind}"
        )
    triggers = isinstance(search, TemplateSearch) and any(g["name"] == "autoprompt" for g in search.search.generators)
    for template in opened.templates:
        if template.slots and not triggers:  # AutoPrompt fills slots with words
            raise InputError(f"template {template.name!r}: it has soft slots; a search asks the model with words alone")
    task = replace(task, splits={name: rows for name, rows in task.splits.items() if name != "test"})
    method = make_method(recipe.method)
    if isinstance(search.model, EndpointBlock):
        if task.kind == "generate":
            raise InputError(
                f"task {task.name}: templates of texts are ranked by the log probability of the right text and its "
                f"end, which {search.model.shown} does not give"
            )
        ready = assemble_at(recipe, [replace(opened, task=task)], method)
        ready.tuner.in_parts = True
        return ready
    backbone = backbone or load_backbone(search.model)
    if task.kind == "generate" and backbone.family == "masked":
        raise InputError(f"task {task.name}: {backbone.name} is a masked model; it cannot generate text")
    return assemble_all(recipe, [replace(opened, task=task)], method, backbone)


def training_rows(prepared: Ready, most: int) -> Rows:
    """The training rows the search reads: all that `shots` drew, else `most` at most, in shuffled order."""
    recipe, rows = prepared.recipe, prepared.task.split("train")
    return rows if recipe.shots is not None else sample(rows, most, recipe.training.seed)


def deciding_rows(prepared: Ready, search: TemplateSearch) -> Rows:
    """The rows that decide, so ordered that any first few of them hold all labels (of both splits) alike."""
    parts: list[Rows] = []
    if search.search.by != "validation":
        parts.append(training_rows(prepared, search.search.rows))
    if search.search.by != "train":
        parts.append(prepared.validation())
    columns = {name: [cell for rows in parts for cell in rows.columns[name]] for name in parts[0].columns}
    whole = Rows(columns, [name for rows in parts for name in rows.ids])
    return whole.take(_dealt(whole, [len(rows) for rows in parts], prepared.task, prepared.recipe.training.seed))


def _dealt(rows: Rows, lengths: list[int], task: Task, seed: int) -> list[int]:
    """The rows' indices dealt in turn from shuffled piles, one for each split and label."""
    splits = [split for split, length in enumerate(lengths) for _ in range(length)]
    piles: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i, split in enumerate(splits):
        label = str(rows.columns[task.target][i]) if task.kind == "classify" else ""
        piles[split, label].append(i)
    order = sorted(piles)
    for key in order:
        python_random("search rows", seed, *key).shuffle(piles[key])
    dealt = zip_longest(*(piles[key] for key in order))
    return [i for group in dealt for i in group if i is not None]
