"""The data's columns to the task's own field names."""

from collections.abc import Collection, Mapping
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.tasks.raw import Columns, RawSplit


def map_fields(
    raw: RawSplit, fields: Mapping[str, str | list[str]], optional: Collection[str] = (), *, ours_first: bool = False
) -> RawSplit:
    """`raw` with the columns that `fields` (our name: the data's column) asks for; all columns when it is empty.

    A column of that name may be missing when the data already uses our name. `a.b` is the key b of a column of
    objects; a list of columns makes a list of their cells. Fields in `optional` may be absent from a split and empty in
    a row. `ours_first`: a column that has our name is taken although the named one is there too (a local copy of hub
    data, where one may mean another thing), unless it is itself named by `fields`.
    Raises InputError naming the file, the column and what columns there are, or the row that lacks a value.
    """
    if not fields:
        return raw
    columns: Columns = {}
    class_names = {}
    named = {theirs.partition(".")[0] for theirs in fields.values() if isinstance(theirs, str)}
    for ours, theirs in fields.items():
        if isinstance(theirs, list):
            columns[ours] = _listed(raw, ours, theirs)
            continue
        column, found = _inner(raw.columns, theirs), theirs
        if ours in raw.columns and (column is None or (ours_first and ours not in named)):
            column, found = raw.columns[ours], ours
        if column is None:
            if ours in optional:
                continue
            raise InputError(_no_column(raw, ours, theirs))
        if ours not in optional and None in column:
            raise InputError(f"{raw.place(column.index(None))}: field {found!r} missing")
        columns[ours] = column
        if found in raw.class_names:
            class_names[ours] = raw.class_names[found]
    return RawSplit(columns, raw.where, raw.numbers, raw.files, class_names, raw.no_label, raw.notes)


def _listed(raw: RawSplit, ours: str, names: list[str]) -> list[Any]:
    """One list a row, of its cells in the columns `names`; a column `ours` that is there already is taken as it is."""
    if not all(name in raw.columns for name in names):
        if ours in raw.columns:
            return raw.columns[ours]
        raise InputError(_no_column(raw, ours, next(name for name in names if name not in raw.columns)))
    cells = [list(row) for row in zip(*(raw.columns[name] for name in names))]
    for index, row in enumerate(cells):
        if None in row:
            raise InputError(f"{raw.place(index)}: field {names[row.index(None)]!r} missing")
    return cells


def _inner(columns: Columns, dotted: str) -> list[Any] | None:
    if dotted in columns:
        return columns[dotted]
    name, dot, key = dotted.partition(".")
    if not dot or not any(isinstance(cell, dict) for cell in columns.get(name, ())):
        return None
    return [cell.get(key) if isinstance(cell, dict) else None for cell in columns[name]]


def _no_column(raw: RawSplit, ours: str, theirs: str) -> str:
    hint = did_you_mean(theirs, raw.columns)
    seen = ", ".join(raw.columns)
    wanted = f"no column {theirs!r}" + (f" (for the field {ours!r})" if ours != theirs else "")
    return f"{raw.where}: {wanted}; the columns are {seen}" + (hint if "did you mean" in hint else "")
