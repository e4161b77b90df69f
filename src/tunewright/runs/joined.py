"""Prompts of runs that were tuned one by one, put together to answer rows of all their tasks in the same batches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone, pick_precision
from tunewright.errors import InputError
from tunewright.methods.base import Tunable
from tunewright.methods.registry import make_method
from tunewright.methods.soft.soft import SoftMethod
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.runs.kept import Kept, load_kept, read_kept
from tunewright.runs.prepare import Prepared
from tunewright.training.tuner import Tuner


@dataclass(frozen=True)
class Joined:
    """One tuner for several runs. `parts`: each task made ready, its slots at their place in the common table.

    `layout` names all slots, `RUN/GROUP` with the run's folder; a part's own layout has its groups only, under the
    names that its templates know, at the same rows.
    """

    tuner: Tuner
    layout: SlotLayout
    parts: dict[str, Prepared]  # by the task's name


class JoinedTable(Tunable):
    """A fixed table: the tables of several runs, one below the other."""

    rows: Tensor

    def __init__(self, backbone: Backbone, rows: Tensor) -> None:
        super().__init__(backbone)
        self.register_buffer("rows", rows)

    def table(self) -> Tensor | None:
        """[S, d]."""
        return self.rows


def join(folders: Sequence[Path], backbone: Backbone | None = None) -> Joined:
    """Runs of methods with a prompt table, on one model in one precision, as one tuner.

    `backbone`: their model, where the caller has loaded it. Raises InputError for a run whose method trains something
    else than a table, for other models or precisions, and where two runs were tuned on a task of the same name.
    """
    kept = [read_kept(folder) for folder in folders]
    _check(folders, kept)
    backbone = backbone or load_backbone(kept[0].recipe.local_model)
    groups: list[SlotGroup] = []
    tables: list[Tensor] = []
    parts: list[Prepared] = []
    for folder in folders:
        prepared = load_kept(folder, backbone)
        table = prepared.tuner.tunable.table()
        assert table is not None  # _check lets no other method through
        first = sum(len(other) for other in tables)
        tables.append(table.detach().float())
        layout = shifted(prepared.layout, first)
        groups += [replace(group, name=f"{folder}/{group.name}") for group in layout.groups]
        parts += [replace(part, layout=layout, several=()) for part in prepared.parts]
    tuner = Tuner(backbone, JoinedTable(backbone, torch.cat(tables)), parts[0].tuner.precision)
    tuner.eval()
    return Joined(tuner, SlotLayout(tuple(groups)), {part.task.name: replace(part, tuner=tuner) for part in parts})


def shifted(layout: SlotLayout, rows: int) -> SlotLayout:
    """The layout in a table whose first `rows` rows are others'."""
    return SlotLayout(tuple(replace(group, start=group.start + rows) for group in layout.groups))


def _check(folders: Sequence[Path], kept: Sequence[Kept]) -> None:
    """Raise InputError for what cannot be joined, before any model is loaded."""
    seen: dict[str, Path] = {}
    first = kept[0].recipe
    for folder, one in zip(folders, kept):
        recipe = one.recipe
        method = make_method(recipe.method).kept_in(one.inside)  # a PEFT folder's prompt is kept as any other
        if not isinstance(method, SoftMethod) or not method.table_only:
            raise InputError(
                f"{folder}: its method {recipe.method['name']} keeps more than one prompt table, or none; "
                "only runs with one share batches"
            )
        if recipe.model != first.model:
            names = f"tuned on {recipe.model_name}, {folders[0]} on {first.model_name}"
            raise InputError(f"{folder}: {names}: one model wanted")
        precisions = [pick_precision(r.training.precision) for r in (recipe, first)]
        if precisions[0] != precisions[1]:
            raise InputError(f"{folder}: computes in {precisions[0]}, {folders[0]} in {precisions[1]}: one wanted")
        for part in one.opened:
            if part.task.name in seen:
                raise InputError(f"{folder}: task {part.task.name!r} again, {seen[part.task.name]} has it already")
            seen[part.task.name] = folder
