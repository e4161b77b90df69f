"""Rows in an Arrow file that is mapped into memory: opened at once whatever their number, read where they are asked."""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tunewright.errors import MachineError
from tunewright.tasks.task import LabelName, Rows

Read = Callable[[int], Any]

_PARTS = {"label": 2, "labels": 2}  # arrays of a form; one of the others
_META, _IDS = b"tunewright", "ids"
_DECODED = 64  # values of a JSON column kept parsed: a task's definition and examples stand in each of its rows


class Unstorable(Exception):
    """A cell that would not come back from the file as it was."""


class StoredSplits(dict[str, Rows]):
    """The splits of a task whose rows lie in files; `sha256`: the task's fingerprint, taken when they were written."""

    def __init__(self, splits: dict[str, Rows], sha256: str) -> None:
        super().__init__(splits)
        self.sha256 = sha256


class StoredColumn(Sequence[Any]):
    """One column of a file; each access reads its cell."""

    def __init__(self, read: Read, length: int) -> None:
        self._read, self._length = read, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(self._length))]
        return self._read(index)


class StoredRows(Rows):
    """The rows of a file that `write_rows` made. The file is opened at the first access to a row.

    Raises MachineError then, where the file is gone.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path, self._length = path, length

    def __len__(self) -> int:
        return self._length

    def __getattr__(self, name: str) -> Any:
        if name not in ("columns", "ids"):
            raise AttributeError(name)
        super().__init__(*_mapped(self.path))
        return self.__dict__[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredRows, (self.path, self._length)


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows as one Arrow record batch. Raises Unstorable for cells that are not text, numbers, labels or JSON."""
    import pyarrow as pa

    arrays, names, columns = [_text(list(rows.ids))], [_IDS], []
    for number, (name, cells) in enumerate(rows.columns.items()):
        form, parts = _encoded(cells)
        columns.append([name, form])
        arrays += parts
        names += [f"{number}.{part}" for part in range(len(parts))]
    fields = [pa.field(name, array.type) for name, array in zip(names, arrays)]
    schema = pa.schema(fields, {_META: json.dumps(columns).encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))


def _encoded(cells: Sequence[Any]) -> tuple[str, list[Any]]:
    """The form of a column and its Arrow arrays."""
    import pyarrow as pa

    kinds = {type(cell) for cell in cells}
    if kinds == {LabelName}:
        return "label", [_text([str(cell) for cell in cells]), pa.array([cell.index_ for cell in cells], pa.int32())]
    if kinds == {list}:
        inner = {type(part) for cell in cells for part in cell}
        if inner == {LabelName}:
            texts = pa.array([[str(part) for part in cell] for cell in cells], pa.list_(pa.large_string()))
            return "labels", [texts, pa.array([[part.index_ for part in cell] for cell in cells], pa.list_(pa.int32()))]
        plain = {frozenset({str}): pa.list_(pa.large_string())}.get(frozenset(inner))
    else:
        types = {str: pa.large_string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
        some = kinds - {type(None)}
        plain = types.get(next(iter(some))) if len(some) == 1 else None
    if plain is not None:
        try:
            return "plain", [_text(list(cells)) if plain == pa.large_string() else pa.array(list(cells), plain)]
        except (UnicodeEncodeError, OverflowError, pa.ArrowInvalid):
            pass  # half a surrogate pair, a number of more than 64 bits
    known: dict[int, str] = {}  # one object often stands in every row
    texts = []
    for cell in cells:
        if id(cell) not in known:
            _check(cell)
            known[id(cell)] = json.dumps(cell)
        texts.append(known[id(cell)])
    return "json", [_text(texts)]


def _text(texts: list[str | None]) -> Any:
    """Texts as an array; each is kept once where most stand there several times."""
    import pyarrow as pa

    array = pa.array(texts, pa.large_string())
    return array.dictionary_encode() if len(set(texts)) * 2 < len(texts) else array


def _check(cell: Any) -> None:
    """Raise Unstorable for what JSON would change."""
    kind = type(cell)
    if kind is list:
        for part in cell:
            _check(part)
    elif kind is dict:
        for key, part in cell.items():
            if type(key) is not str:
                raise Unstorable(f"a key {key!r}")
            _check(part)
    elif kind not in (str, int, float, bool, type(None)):
        raise Unstorable(f"a {kind.__name__}")


def _mapped(path: Path) -> tuple[dict[str, StoredColumn], StoredColumn]:
    """The columns and ids of a file."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:  # the mapping outlives the closed file: no limit on open files is met
            batch = pa.ipc.open_file(source).get_batch(0)
    except (OSError, pa.ArrowException) as error:
        raise MachineError(f"{path}: these rows are gone from the cache; start again ({error})") from None
    count = batch.num_rows
    columns = {}
    for number, (name, form) in enumerate(json.loads(batch.schema.metadata[_META])):
        parts = [_cells(batch.column(f"{number}.{part}")) for part in range(_PARTS.get(form, 1))]
        columns[name] = StoredColumn(_reader(form, *parts), count)
    return columns, StoredColumn(_cells(batch.column(_IDS)), count)


def _reader(form: str, *parts: Read) -> Read:
    """Reads one cell of a column out of the cells of its arrays."""
    if form == "json":
        parsed, (text,) = lru_cache(_DECODED)(json.loads), parts
        return lambda i: parsed(text(i))
    if form == "label":
        names, places = parts
        return lambda i: LabelName(names(i), places(i))
    if form == "labels":
        names, places = parts
        return lambda i: [LabelName(name, place) for name, place in zip(names(i), places(i))]
    return parts[0]


def _cells(array: Any) -> Read:
    """Reads one cell of an array; of texts that are kept once, places and texts are two arrays."""
    if hasattr(array, "dictionary"):
        places, texts = array.indices, array.dictionary
        if texts.null_count or places.null_count:
            return lambda i: array[i].as_py()
        return lambda i: texts[places[i].as_py()].as_py()
    return lambda i: array[i].as_py()
