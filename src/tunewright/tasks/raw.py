"""Rows as a source gives them: columns, and where each row stands so that an error can say it."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Columns = dict[str, list[Any]]

_POOL_LENGTH, _POOL_SIZE = 48, 4096


@dataclass(frozen=True)
class RawSplit:
    """One split of a source.

    `where` names the file (or hub split); `numbers` are the rows' numbers in it, from 1 (a line of JSONL, a row of
    a spreadsheet, header included); `files` replaces both where each row is a file of its own. `class_names` are the
    names a source itself knows for a column of label numbers; `no_label` is its sign for a row without a label.
    """

    columns: Columns
    where: str
    numbers: Sequence[int]
    files: Sequence[str] | None = None
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    no_label: int | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, index: int) -> str:
        """The row at `index` as an error names it: `FILE row 3`."""
        return self.files[index] if self.files is not None else f"{self.where} row {self.numbers[index]}"

    def with_columns(self, columns: Columns) -> "RawSplit":
        """The same rows with other columns."""
        return replace(self, columns=columns)

    def take(self, indices: Sequence[int]) -> "RawSplit":
        """The rows at `indices`, in that order."""
        return replace(
            self,
            columns={name: [column[i] for i in indices] for name, column in self.columns.items()},
            numbers=[self.numbers[i] for i in indices],
            files=None if self.files is None else [self.files[i] for i in indices],
        )


class Pool:
    """Gives equal short strings as one object, so that a million labels cost what a few cost."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def one(self, value: Any) -> Any:
        """`value`, or the equal short string given before."""
        if type(value) is str and len(value) <= _POOL_LENGTH:
            if len(self._seen) < _POOL_SIZE:
                return self._seen.setdefault(value, value)
            return self._seen.get(value, value)
        return value


class ColumnBuilder:
    """Builds columns from rows given one at a time; a key that a row lacks is None there."""

    def __init__(self) -> None:
        self.columns: Columns = {}
        self.numbers = array("q")
        self._pool = Pool()

    def add(self, row: Mapping[str, Any], number: int) -> None:
        """Append `row`, which stands at `number` in its source."""
        columns, one = self.columns, self._pool.one
        if row.keys() == columns.keys():
            for key, column in columns.items():
                column.append(one(row[key]))
        else:
            for key in row:
                if key not in columns:
                    columns[key] = [None] * len(self.numbers)
            for key, column in columns.items():
                column.append(one(row.get(key)))
        self.numbers.append(number)

    def build(self, where: str) -> RawSplit:
        """What was added, as one split."""
        return RawSplit(self.columns, where, self.numbers)
