"""The rows without labels that self-training reads: never those of validation or test."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from tunewright.console import say
from tunewright.errors import InputError
from tunewright.recipe import SelfTrainingBlock
from tunewright.runs.prepare import Prepared, sample
from tunewright.tasks.labels import LabelSet
from tunewright.tasks.mapping import map_fields
from tunewright.tasks.open import open_task
from tunewright.tasks.readers import read_file
from tunewright.tasks.task import Rows

REST = "rest"


@dataclass(frozen=True)
class Unlabelled:
    """Rows without the task's target. `truth`: their labels where these are known, for reports alone."""

    rows: Rows
    truth: list[str] | None


def unlabelled_rows(prepared: Prepared, block: SelfTrainingBlock) -> Unlabelled:
    """The rows of `unlabelled`, without those whose text also stands among training, validation or test rows.

    Raises InputError for a file that cannot be read or lacks a field, or where no row is left.
    """
    task = prepared.task
    used = sorted(set().union(*(t.fields_used() for t in prepared.templates)) - {task.target, task.references or ""})
    rest = block.unlabelled == REST
    found = _left_over(prepared) if rest else _of_file(prepared, Path(block.unlabelled), used)
    where = "the rest of train" if rest else block.unlabelled
    known = {key for rows in task.splits.values() for key in _keys(rows, used)}
    kept, seen = [], set(known)
    for i, key in enumerate(_keys(found.rows, used)):
        if key not in seen:
            seen.add(key)
            kept.append(i)
    if len(kept) < len(found.rows):
        left_out = len(found.rows) - len(kept)
        say(f"self-training: rows of {where} left out that are given twice, or stand in the task: {left_out}")
    if not kept:
        raise InputError(f"self_training.unlabelled: no row of {where} is left to be labelled")
    drawn = sample(Rows({"at": kept}, [str(i) for i in kept]), block.rows or len(kept), prepared.recipe.training.seed)
    kept = sorted(drawn.columns["at"])
    truth = None if found.truth is None else [found.truth[i] for i in kept]
    return Unlabelled(found.rows.take(kept), truth)


def _left_over(prepared: Prepared) -> Unlabelled:
    """The training rows that `shots` left over."""
    recipe, task = prepared.recipe, prepared.task
    whole = open_task(recipe.one_task, seed=recipe.training.seed).split("train")
    mine = set(task.split("train").ids)
    rows = whole.take([i for i, name in enumerate(whole.ids) if name not in mine])
    return _without_target(rows, task.target, [str(label) for label in rows.columns[task.target]])


def _of_file(prepared: Prepared, path: Path, used: list[str]) -> Unlabelled:
    task, raw = prepared.task, read_file(path)
    mapped = map_fields(raw, {name: task.columns.get(name, name) for name in used})
    rows = Rows({name: mapped.columns[name] for name in used}, [f"unlabelled-{number}" for number in raw.numbers])
    cells = raw.columns.get(task.columns.get(task.target, task.target))
    if cells is None or task.labels is None:
        return Unlabelled(rows, None)
    known = LabelSet(task.labels, None)
    labels = [known.find(cell) for cell in cells]
    return Unlabelled(rows, None if None in labels else [str(label) for label in labels])


def _without_target(rows: Rows, target: str, truth: list[str]) -> Unlabelled:
    columns = {name: column for name, column in rows.columns.items() if name != target}
    return Unlabelled(Rows(columns, rows.ids), truth)


def _keys(rows: Rows, fields: list[str]) -> list[Hashable]:
    """What the templates read of each row."""
    return [tuple(map(str, cells)) for cells in zip(*(rows.columns[name] for name in fields))]
