"""Rows that are left out, and counted: empty ones, exact duplicates, train rows that stand in a test."""

from collections.abc import Iterator, Sequence
from typing import Any

from tunewright.errors import InputError
from tunewright.task_block import Kind
from tunewright.tasks.raw import RawSplit

_ID_NAMES = {"id", "idx", "uid", "guid", "_id"}


def is_id(field: str) -> bool:
    """True for a field that only names the row (`id`, `idx`, `question_id`)."""
    return field.lower() in _ID_NAMES or field.lower().endswith("_id")


def drop_empty(raw: RawSplit, inputs: Sequence[str], target: str | None) -> tuple[RawSplit, int]:
    """`raw` without the rows whose `inputs` are all blank or whose `target` (when it is a text) is, and their count.

    Raises InputError when nothing is left.
    """
    columns = [raw.columns[name] for name in inputs if name in raw.columns]
    blank: set[int] = set()
    if columns:
        blank.update(i for i, cell in enumerate(columns[0]) if _blank(cell))
        for column in columns[1:]:
            blank = {i for i in blank if _blank(column[i])}
    if target is not None:
        # None is a missing field, which is an error of its own.
        blank.update(i for i, cell in enumerate(raw.columns.get(target, ())) if cell is not None and _blank(cell))
    if len(blank) == len(raw):
        raise InputError(
            f"{raw.where}: every row is empty (nothing in {', '.join([*inputs, *([target] if target else [])])})"
        )
    if not blank:
        return raw, 0
    return raw.take([i for i in range(len(raw)) if i not in blank]), len(blank)


def drop_unlabelled(raw: RawSplit, target: str, kind: Kind) -> tuple[RawSplit, int]:
    """`raw` without the rows that carry the source's sign for "no label", and their count.

    Raises InputError when no row has a label (the hub's test splits of GLUE).
    """
    if raw.no_label is None or kind not in ("classify", "choose", "regress"):
        return raw, 0
    kept = [i for i, cell in enumerate(raw.columns.get(target, ())) if isinstance(cell, bool) or cell != raw.no_label]
    if not kept and target in raw.columns:
        raise InputError(f"{raw.where}: no row has a label; name another split, e.g. `splits: {{test: validation}}`")
    if len(kept) == len(raw) or kind == "regress":  # a single -1 may well be a score
        return raw, 0
    return raw.take(kept), len(raw) - len(kept)


def drop_duplicates(splits: dict[str, RawSplit]) -> tuple[dict[str, RawSplit], int]:
    """The splits without exact duplicates over all fields but ids; a row of test is kept before one of train."""
    seen: set[Any] = set()
    kept: dict[str, RawSplit] = {}
    dropped = 0
    for split in sorted(splits, key=("test", "validation", "train").index):
        raw = splits[split]
        indices = []
        for index, key in enumerate(_keys(raw, [name for name in raw.columns if not is_id(name)])):
            if key not in seen:
                seen.add(key)
                indices.append(index)
        dropped += len(raw) - len(indices)
        kept[split] = raw if len(indices) == len(raw) else raw.take(indices)
    return {split: kept[split] for split in splits}, dropped


def drop_leaks(splits: dict[str, RawSplit], inputs: Sequence[str]) -> tuple[dict[str, RawSplit], int]:
    """The splits without the train rows whose inputs also stand in validation or test, and how many those were."""
    held_out: set[Any] = set()
    for split in ("validation", "test"):
        held_out.update(_keys(splits[split], inputs))
    train = splits["train"]
    kept = [index for index, key in enumerate(_keys(train, inputs)) if key not in held_out]
    if len(kept) == len(train):
        return splits, 0
    return {**splits, "train": train.take(kept)}, len(train) - len(kept)


def _blank(cell: Any) -> bool:
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell or cell.isspace()
    return isinstance(cell, list) and all(_blank(part) for part in cell)


def _keys(raw: RawSplit, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """One hashable key a row."""
    columns = []
    for name in names:
        column = raw.columns.get(name)
        if column is None:
            columns.append([None] * len(raw))
        elif any(isinstance(cell, list | dict) for cell in column):
            columns.append([_frozen(cell) for cell in column])
        else:
            columns.append(column)
    return zip(*columns)


def _frozen(cell: Any) -> Any:
    if isinstance(cell, list):
        return tuple(_frozen(part) for part in cell)
    if isinstance(cell, dict):
        return tuple((key, _frozen(part)) for key, part in sorted(cell.items()))
    return cell
