"""The set of a task's labels, and what a cell of the data means in it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.task_block import Label
from tunewright.tasks.task import LabelName


class LabelSet:
    """Labels in their order. A cell may hold a label's name, its number, or what `label_names` translates."""

    def __init__(self, labels: Sequence[Label], label_names: Mapping[Label, str] | None = None) -> None:
        self.names = tuple(str(label) for label in labels)
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise InputError(f"labels: {twice[0]!r} stands there twice")
        self._members = {name: LabelName(name, index) for index, name in enumerate(self.names)}
        self._known: dict[Any, LabelName] = {}
        for data_label, name in (label_names or {}).items():
            if name not in self._members:
                raise InputError(f"label_names: {name!r} is not one of the labels{did_you_mean(name, self.names)}")
            # A table gives "0" where JSON gives 0.
            self._known[data_label] = self._known[str(data_label)] = self._members[name]

    def find(self, cell: Any) -> LabelName | None:
        """The label that `cell` means, or None."""
        try:
            found = self._known.get(cell)
        except TypeError:
            return None
        if found is None:
            found = self._search(cell)
            if found is not None:
                self._known[cell] = found
        return found

    def _search(self, cell: Any) -> LabelName | None:
        if isinstance(cell, bool):
            return self._members.get(str(cell).lower()) or self._numbered(int(cell))
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        if isinstance(cell, int):
            return self._members.get(str(cell)) or self._numbered(cell)
        if isinstance(cell, str):
            name = cell.strip()
            found = self._members.get(cell) or self._members.get(name) or self._known.get(name)
            if found is None and name.isascii() and name.isdigit():
                found = self._numbered(int(name))
            return found
        return None

    def _numbered(self, index: int) -> LabelName | None:
        return self._members[self.names[index]] if 0 <= index < len(self.names) else None

    def unknown(self, cell: Any) -> str:
        """What to say of a cell that is no label."""
        shown = repr(cell) if len(repr(cell)) <= 60 else repr(cell)[:57] + "…"
        names = ", ".join(self.names[:12]) + (", …" if len(self.names) > 12 else "")
        hint = did_you_mean(str(cell), self.names)
        return f"label {shown} is not one of {names}" + (hint if "did you mean" in hint else "")


def found_labels(
    cells: Iterable[Any], label_names: Mapping[Label, str] | None, class_names: Sequence[str] | None
) -> tuple[Label, ...]:
    """The labels of a task that does not list them.

    `label_names` decides, else the names the source itself knows, else what stands in train, sorted.
    """
    if label_names:
        return tuple(dict.fromkeys(label_names.values()))
    if class_names:
        return tuple(class_names)
    seen = {cell.strip() if isinstance(cell, str) else cell for cell in cells if isinstance(cell, str | int | float)}
    seen.discard("")
    numbers = [cell for cell in seen if isinstance(cell, int) and not isinstance(cell, bool)]
    if len(numbers) == len(seen):
        return tuple(sorted(numbers))
    return tuple(sorted({_name(cell) for cell in seen}))


def _name(cell: Any) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
