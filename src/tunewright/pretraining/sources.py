"""Where a corpus's documents come from: a task's training rows, text files, a hub data set."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.errors import InputError, did_you_mean
from tunewright.seeds import numpy_random
from tunewright.task_block import HubSource
from tunewright.tasks.readers import reading

if TYPE_CHECKING:
    from tunewright.pretraining.corpus import CorpusSource

_ENDINGS = (".txt", ".jsonl", ".ndjson")
_BOM = b"\xef\xbb\xbf"


class Source(ABC):
    """Documents that can be read again and again. `size` is how many there are, roughly (it steers the mixing)."""

    size: int

    @abstractmethod
    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """All documents once, without blank ones; `keys` seed the order where the source can choose one."""


def open_source(entry: "CorpusSource") -> Source:
    """The source of a corpus entry. Raises InputError for a task, file or field that is not there."""
    if entry.task is not None:
        return TaskSource(entry.task, entry.fields)
    if entry.path is not None:
        return FileSource(Path(entry.path).expanduser(), entry.field or "text")
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
    """A .txt or .jsonl file, or a folder of them; files are read line by line."""

    def __init__(self, path: Path, field: str) -> None:
        self.path, self.field = path, field
        if path.is_dir():
            with reading(path):
                self.files = sorted(file for file in path.rglob("*") if _is_text(file) and file.is_file())
            if not self.files:
                raise InputError(f"{path}: no {' or '.join(_ENDINGS[:2])} file in this folder")
        elif not path.exists():
            raise InputError(f"{path}: no such file or folder")
        elif not _is_text(path):
            raise InputError(f"{path}: a corpus is read from .txt or .jsonl files; a table can be read as a task")
        else:
            self.files = [path]
        self.size = sum(self._count(file) for file in self.files)

    def _count(self, file: Path) -> int:
        if _is_plain(file) and self.path.is_dir():
            return 1
        mark, count = (b"\n\n" if _is_plain(file) else b"\n"), 1
        with reading(file), open(file, "rb") as handle:
            while chunk := handle.read(1 << 20):
                count += chunk.count(mark)
        return count

    def read(self, keys: Sequence[object]) -> Iterator[str]:
        """Files in an order drawn from the keys, each from its start to its end."""
        found = False
        for index in numpy_random(*keys).permutation(len(self.files)):
            for text in self._documents(self.files[index]):
                found = True
                yield text
        if not found:
            raise InputError(f"{self.path}: no documents: nothing but blank lines")

    def _documents(self, file: Path) -> Iterator[str]:
        if not _is_plain(file):
            yield from self._records(file)
        elif self.path.is_dir():
            text = "".join(line for _, line in _lines(file)).strip()
            if text:
                yield text
        else:
            lines: list[str] = []
            for _, line in _lines(file):
                if line.strip():
                    lines.append(line)
                elif lines:
                    yield "".join(lines).strip()
                    lines = []
            if lines:
                yield "".join(lines).strip()

    def _records(self, file: Path) -> Iterator[str]:
        for number, line in _lines(file):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{file} line {number}: invalid JSON: {error}") from None
            if not isinstance(row, dict):
                raise InputError(f"{file} line {number}: a JSON object wanted, found {type(row).__name__}")
            text = _text_of(row, self.field, f"{file} line {number}")
            if text:
                yield text


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
                text = _text_of(row, self.field, f"{self.what} row {number}")
                if text:
                    found = True
                    yield text
        if not found:
            raise InputError(f"{self.what}: no documents in field {self.field!r}")


def _is_text(file: Path) -> bool:
    return file.suffix.lower() in _ENDINGS and not file.name.startswith(".")


def _is_plain(file: Path) -> bool:
    return file.suffix.lower() == ".txt"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """(number, line) with LF at the ends; InputError names the line that is not UTF-8."""
    with reading(file), open(file, "rb") as handle:
        for number, line in enumerate(handle, 1):
            try:
                text = line.removeprefix(_BOM).decode("utf-8") if number == 1 else line.decode("utf-8")
            except UnicodeDecodeError:
                raise InputError(f"{file} line {number}: not UTF-8 text") from None
            yield number, text.replace("\r\n", "\n")


def _text_of(row: dict[str, Any], field: str, where: str) -> str:
    if field not in row:
        raise InputError(f"{where}: no field {field!r}{did_you_mean(field, row)}")
    value = row[field]
    if not isinstance(value, str):
        raise InputError(f"{where}: {field} is no text but {type(value).__name__}")
    # Half a surrogate pair, which JSON can escape, fits no UTF-8 file and no tokenizer.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
