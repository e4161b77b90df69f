"""Columns that stand once for many rows, in a file of their own beside the data."""

from pathlib import Path

from tunewright.errors import InputError
from tunewright.task_block import TaskBlock
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.readers import read_file


def add_looked_up(raw: RawSplit, block: TaskBlock) -> RawSplit:
    """`raw` with the columns of `block.lookup`'s file, where the data is a folder that has it.

    Raises InputError for a key that the rows or the file lack, and for a row whose key the file does not have.
    """
    if block.lookup is None or block.path is None:
        return raw
    file = Path(block.path).expanduser() / block.lookup.file
    if not file.is_file():
        return raw
    key, other = block.lookup.key, read_file(file)
    for rows in (raw, other):
        if key not in rows.columns:
            raise InputError(
                f"{rows.where}: no column {key!r} (lookup: key); the columns are {', '.join(rows.columns)}"
            )
    place = {cell: index for index, cell in enumerate(other.columns[key])}
    found = []
    for index, cell in enumerate(raw.columns[key]):
        if cell not in place:
            raise InputError(f"{raw.place(index)}: {key} {cell!r} stands not in {file}")
        found.append(place[cell])
    added = {name: [column[i] for i in found] for name, column in other.columns.items() if name not in raw.columns}
    return raw.with_columns({**raw.columns, **added})
