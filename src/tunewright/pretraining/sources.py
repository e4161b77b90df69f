"""Where a corpus's documents come from: a task's training rows, text files, a hub data set."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.errors import InputError, did_you_mean
from tunewright.pretraining.text_files import ENDINGS, count_of, documents_of, is_text, text_of
from tunewright.seeds import numpy_random
from tunewright.task_block import HubSource
from tunewright.tasks.readers import reading

if TYPE_CHECKING:
    from tunewright.pretraining.corpus import CorpusSource


class Source(ABC):
    """Documents that can be read again and again. `size` is how many there are, roughly (it steers the mixing)."""

    size: int

    @abstractmethod
    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """All documents once, without blank ones; `keys` seed the order where the source can choose one."""


def open_source(entry: "CorpusSource", streaming: bool = False) -> Source:
    """The source of a corpus entry; `streaming`: no file is read through to know its size.

    Raises InputError for a task, file or field that is not there.
    """
    if entry.task is not None:
        return TaskSource(entry.task, entry.fields)
    if entry.path is not None:
        return FileSource(Path(entry.path).expanduser(), entry.field or "text", streaming)
    assert entry.hub is not None
    hub = HubSource(id=entry.hub) if isinstance(entry.hub, str) else entry.hub
    return HubText(hub, entry.split or "train", entry.field or "text")


class TaskSource(Source):
    """The training rows of a task; several fields are joined by a blank line."""

    def __init__(self, task: str, fields: Sequence[str] | None) -> None:
        from tunewright.tasks.cleaning import is_id
        from tunewright.tasks.open import open_task

        opened = open_task(task)
        rows = opened.split("train")
        hidden = {opened.target} if opened.kind != "generate" else set()
        fields = fields or [
            name for name in opened.fields
            if name not in hidden and not is_id(name) and isinstance(rows.columns[name][0], str)
        ]  # fmt: skip
        if not fields:
            raise InputError(f"corpus: task {task} has no field of text")
        for name in fields:
            if name not in rows.columns:
                raise InputError(f"corpus: task {task} has no field {name!r}{did_you_mean(name, opened.fields)}")
        self.columns = [rows.columns[name] for name in fields]
        for name, column in zip(fields, self.columns):
            for index, cell in enumerate(column):
                if cell is not None and not isinstance(cell, str):
                    raise InputError(
                        f"corpus: task {task} row {rows.ids[index]}: {name} is no text but {type(cell).__name__}"
                    )
        self.size = len(rows)

    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """In an order drawn from the keys."""
        for index in numpy_random(*keys).permutation(self.size):
            text = "\n\n".join(filter(None, ((column[index] or "").strip() for column in self.columns)))
            if text:
                yield text


class FileSource(Source):
    """A text file or a folder of them, at any depth; files are read piece by piece (`text_files`)."""

    def __init__(self, path: Path, field: str, streaming: bool) -> None:
        self.path, self.field, self.in_folder = path, field, path.is_dir()
        if self.in_folder:
            with reading(path):
                self.files = sorted(file for file in path.rglob("*") if is_text(file) and file.is_file())
            if not self.files:
                raise InputError(f"{path}: no {ENDINGS} file in this folder")
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif not is_text(path):
            raise InputError(f"{path}: a corpus is read from {ENDINGS} files; a table can be read as a task")
        else:
            self.files = [path]
        self.size = sum(count_of(file, self.in_folder, streaming) for file in self.files)

    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """Files in an order drawn from the keys, each from its start to its end."""
        found = False
        for index in numpy_random(*keys).permutation(len(self.files)):
            for text in documents_of(self.files[index], self.field, self.in_folder):
                found = True
                yield text
        if not found:
            raise InputError(f"{self.path}: no documents: nothing but blank lines")


class HubText(Source):
    """A hub data set, streamed."""

    def __init__(self, hub: HubSource, split: str, field: str) -> None:
        from tunewright.tasks.hub import open_hub

        found, self.what = open_hub(hub.model_copy(update={"streaming": True}))
        if split not in found:
            raise InputError(f"{self.what}: no split {split!r}{did_you_mean(split, found)}")
        self.rows, self.limit, self.field = found[split], hub.rows, field
        told = getattr(getattr(self.rows, "info", None), "splits", None) or {}
        size = hub.rows or getattr(told.get(split), "num_examples", None)
        if not size:
            raise InputError(f"{self.what}: it does not say how many rows it has; give `hub: {{id: …, rows: N}}`")
        self.size = int(size)

    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """In the data set's own order."""
        from itertools import islice

        from tunewright.tasks.hub import hub_reading

        found = False
        with hub_reading(self.what):
            for number, row in enumerate(islice(self.rows, self.limit), 1):
                text = text_of(row, self.field, f"{self.what} row {number}")
                if text:
                    found = True
                    yield text
        if not found:
            raise InputError(f"{self.what}: no documents in field {self.field!r}")
