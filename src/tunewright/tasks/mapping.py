"""The data's columns to the task's own field names."""

from collections.abc import Collection, Mapping
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.tasks.raw import Columns, RawSplit


def map_fields(raw: RawSplit, fields: Mapping[str, str], optional: Collection[str] = ()) -> RawSplit:
    """`raw` with the columns that `fields` (our name: the data's column) asks for; all columns when it is empty.

    A column of that name may be missing when the data already uses our name. `a.b` is the key b of a column of
    objects. Fields in `optional` may be absent from a split and empty in a row.
    Raises InputError naming the file, the column and what columns there are, or the row that lacks a value.
    """
    if not fields:
        return raw
    columns: Columns = {}
    class_names = {}
    for ours, theirs in fields.items():
        column, found = _inner(raw.columns, theirs), theirs
        if column is None and ours in raw.columns:
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
