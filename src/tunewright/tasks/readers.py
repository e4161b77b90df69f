"""One file to rows: JSON Lines, CSV, TSV, Parquet, a JSON list, plain text."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewright.errors import InputError
from tunewright.tasks.natural_instructions import instances, is_task_file
from tunewright.tasks.raw import ColumnBuilder, Pool, RawSplit

_BOM = b"\xef\xbb\xbf"
_LF = b"\n"
_LARGEST_CELL = 2**31 - 1


def read_file(path: Path) -> RawSplit:
    """The rows of one file, read by its ending. Raises InputError naming the file and, where known, the line."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown kind of file; known endings: {', '.join(READERS)}")
    split = reader(path)
    if len(split) == 0:
        raise InputError(f"{path}: no rows in this file" if _has_bytes(path) else f"{path}: the file is empty")
    return split


def read_jsonl(path: Path) -> RawSplit:
    """One JSON object a line, UTF-8 with or without a byte-order mark; blank lines are passed over."""
    builder = ColumnBuilder()
    with reading(path), open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(_BOM)
            if not line or line.isspace():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                raise InputError(f"{path} line {number}: not UTF-8 text") from None
            except json.JSONDecodeError as error:
                raise InputError(f"{path} line {number}: invalid JSON: {error.msg} (column {error.colno})") from None
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path} line {number}: invalid JSON: {error}") from None
            if type(row) is not dict:
                raise InputError(f"{path} line {number}: a JSON object wanted, found {_json_kind(row)}")
            if b"\\ud" in line or b"\\uD" in line:
                row = _mend(row)
            builder.add(row, number)
    return builder.build(str(path))


def read_json(path: Path) -> RawSplit:
    """A JSON list of objects, or one task of Natural Instructions."""
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} line {error.lineno}: invalid JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: invalid JSON: {error}") from None
    if is_task_file(rows):
        return instances(_mend(rows), str(path), path.stem)
    if not isinstance(rows, list):
        raise InputError(f"{path}: a JSON list of objects wanted, found {_json_kind(rows)}")
    builder = ColumnBuilder()
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(f"{path} row {number}: a JSON object wanted, found {_json_kind(row)}")
        builder.add(_mend(row), number)
    return builder.build(str(path))


def read_csv(path: Path, delimiter: str = ",") -> RawSplit:
    """A table with a header line. Rows are numbered as a spreadsheet does: the header is row 1."""
    csv.field_size_limit(_LARGEST_CELL)  # the default refuses cells above 128 KiB
    with reading(path):
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                return _read_table(path, file, delimiter)
        except UnicodeDecodeError:
            raise InputError(f"{path} line {_line_not_utf8(path)}: not UTF-8 text (save the table as UTF-8)") from None


def _read_table(path: Path, lines: Iterator[str], delimiter: str) -> RawSplit:
    first = next(lines, "")
    if delimiter == "," and ";" in first and "," not in first:
        delimiter = ";"  # what spreadsheets write in countries where the comma is the decimal point

    def again() -> Iterator[str]:
        yield first
        yield from lines

    table = csv.reader(again(), delimiter=delimiter, strict=True)
    pool = Pool()
    try:
        header = [name.strip() for name in next(table, [])]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InputError(f"{path}: the header has the column {twice[0]!r} twice")
        columns: list[list[Any]] = [[] for _ in header]
        numbers = []
        for number, cells in enumerate(table, 2):
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(
                    f"{path} line {table.line_num}: {len(header)} columns wanted as in the header, found {len(cells)}"
                )
            for column, cell in zip(columns, cells):
                column.append(pool.one(cell))
            numbers.append(number)
    except csv.Error as error:
        raise InputError(f"{path} line {table.line_num}: not a readable table: {error}") from None
    return RawSplit(dict(zip(header, columns)), str(path), numbers)


def read_tsv(path: Path) -> RawSplit:
    """A table whose cells are split by tabs."""
    return read_csv(path, "\t")


def read_parquet(path: Path) -> RawSplit:
    """An Apache Parquet file."""
    import pyarrow
    import pyarrow.parquet

    with reading(path):
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
        try:
            table = pyarrow.parquet.read_table(str(path))
        except pyarrow.ArrowException as error:
            raise InputError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None
    pool = Pool()
    columns = {
        name: [pool.one(value) for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns)
    }
    return RawSplit(columns, str(path), range(1, table.num_rows + 1))


def read_txt(path: Path) -> RawSplit:
    """A plain text file: one row with the field `text`."""
    text, _ = read_document(path)
    if not text:
        raise InputError(f"{path}: the file is empty")
    return RawSplit({"text": [text]}, str(path), range(1, 2), files=[str(path)])


def read_text(path: Path) -> str:
    """A UTF-8 file's text with LF line ends."""
    with reading(path):
        data = path.read_bytes().removeprefix(_BOM)
    try:
        return data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} line {data.count(_LF, 0, error.start) + 1}: not UTF-8 text") from None


def read_document(path: Path) -> tuple[str, bool]:
    """A document's text, ends stripped, and whether it was UTF-8; else it is taken for Windows-1252 or Latin-1."""
    with reading(path):
        data = path.read_bytes().removeprefix(_BOM)
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding).replace("\r\n", "\n").strip(), encoding == "utf-8"
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").replace("\r\n", "\n").strip(), False


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into one clear line."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, a file wanted") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _has_bytes(path: Path) -> bool:
    with reading(path):
        return bool(path.read_bytes().removeprefix(_BOM).strip())


def _line_not_utf8(path: Path) -> int:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


def _json_kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _mend(value: Any) -> Any:
    r"""Put U+FFFD where JSON escapes left half of a surrogate pair, which no UTF-8 file or tokenizer can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mend(part) for part in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(part) for key, part in value.items()}
    return value


READERS: dict[str, Callable[[Path], RawSplit]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    ".txt": read_txt,
}
