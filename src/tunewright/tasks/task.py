"""What a task is once it is open: rows with named fields, splits, labels, templates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewright.task_block import Kind, TemplateBlock

Row = dict[str, Any]


class LabelName(str):
    """A label as templates see it: a string that also works as an index (`answer_choices[label]`)."""

    index_: int

    def __new__(cls, name: str, index: int) -> "LabelName":
        """The label `name`, at `index` of the task's labels."""
        self = super().__new__(cls, name)
        self.index_ = index
        return self

    def __index__(self) -> int:
        return self.index_

    def __reduce__(self) -> tuple[type["LabelName"], tuple[str, int]]:
        return LabelName, (str(self), self.index_)  # rows are copied, and sent to other processes


class Rows(Sequence[Row]):
    """Rows kept as columns (a million short rows take a few hundred MB), given out as dicts.

    `ids` are stable names (`train-17`: split and line of the source) used to pair predictions.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], ids: Sequence[str]) -> None:
        self.columns = dict(columns)
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return {name: column[index] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[Row]:
        return (self[i] for i in range(len(self)))

    def take(self, indices: Sequence[int]) -> "Rows":
        """The rows at `indices`, in that order."""
        return Rows(
            {name: [column[i] for i in indices] for name, column in self.columns.items()},
            [self.ids[i] for i in indices],
        )


@dataclass(frozen=True)
class Task:
    """An open task. `target` names the field with the answer; `notes` are things the user must be told."""

    name: str
    kind: Kind
    fields: tuple[str, ...]
    target: str
    references: str | None
    labels: tuple[str, ...] | None
    label_words: Mapping[str, tuple[str, ...]]
    templates: Mapping[str, TemplateBlock]
    default_template: str | None
    metrics: tuple[str, ...]
    splits: Mapping[str, Rows]
    numbers: tuple[str, ...] = ()  # kind regress: the numbers in even steps, as words, that are chosen from
    version: int = 1
    about: str | None = None
    licence: str | None = None
    cluster: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)  # our field: the data's column, where it is renamed
    notes: list[str] = field(default_factory=list)

    def split(self, name: str) -> Rows:
        """The rows of `train`, `validation` or `test`; every open task has all three."""
        return self.splits[name]
