"""Text files of a corpus: .txt, .md, .jsonl (each also .gz) and .parquet, read piece by piece."""

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tunewright.errors import InputError, did_you_mean
from tunewright.tasks.readers import reading

PLAIN = (".txt", ".md")
RECORDS = (".jsonl", ".ndjson")
PARQUET = ".parquet"
ENDINGS = ".txt, .md, .jsonl (each also .gz) or .parquet"
FIRST_BYTES = 1 << 20  # what a file's size in documents is estimated from
ROWS_AT_ONCE = 256
_BOM = b"\xef\xbb\xbf"


def is_text(file: Path) -> bool:
    """Whether a corpus can be read from a file of this name."""
    return not file.name.startswith(".") and (kind_of(file) in (*PLAIN, *RECORDS) or kind_of(file) == PARQUET)


def kind_of(file: Path) -> str:
    """The ending that says how the file is read: of `a.jsonl.gz` it is .jsonl."""
    endings = [ending.lower() for ending in file.suffixes[-2:]]
    if endings and endings[-1] == ".gz":
        return endings[0] if len(endings) == 2 and endings[0] != PARQUET else ""
    return endings[-1] if endings else ""


def documents_of(file: Path, field: str, whole: bool) -> Iterator[str]:
    """The documents of a file, without blank ones; `whole`: a .txt file is one document (a .md file always is)."""
    kind = kind_of(file)
    if kind == PARQUET:
        yield from _parquet(file, field)
    elif kind in RECORDS:
        yield from _records(file, field)
    elif whole or kind == ".md":
        text = "".join(line for _, line in _lines(file)).strip()
        if text:
            yield text
    else:
        paragraphs: list[str] = []
        for _, line in _lines(file):
            if line.strip():
                paragraphs.append(line)
            elif paragraphs:
                yield "".join(paragraphs).strip()
                paragraphs = []
        if paragraphs:
            yield "".join(paragraphs).strip()


def count_of(file: Path, whole: bool, estimate: bool) -> int:
    """About how many documents a file has; `estimate`: from its first megabyte, else the file is read once."""
    kind = kind_of(file)
    if kind == PARQUET:
        from pyarrow.parquet import read_metadata

        with _reading_parquet(file):
            return max(1, int(read_metadata(file).num_rows))
    if kind == ".md" or (kind in PLAIN and whole):
        return 1
    mark, count = (b"\n\n" if kind in PLAIN else b"\n"), 1
    with _bytes_of(file) as handle:
        while chunk := handle.read(FIRST_BYTES):
            count += chunk.count(mark)
            if estimate:
                raw = handle.fileobj if isinstance(handle, gzip.GzipFile) else handle
                read = raw.tell()  # of the compressed bytes, where they are
                return max(1, round(count * max(1.0, os.path.getsize(file) / max(1, read))))
    return count


@contextmanager
def _bytes_of(file: Path) -> Iterator[IO[bytes]]:
    """The file opened for reading, unpacked where it is .gz; InputError where it cannot be read."""
    with reading(file):
        try:
            with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else open(file, "rb") as handle:
                yield handle  # type: ignore[misc]
        except (gzip.BadGzipFile, EOFError) as error:
            raise InputError(f"{file}: not a whole gzip file: {error}") from None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """(number, line) with LF at the ends; InputError names the line that is not UTF-8."""
    with _bytes_of(file) as handle:
        for number, line in enumerate(handle, 1):
            try:
                text = line.removeprefix(_BOM).decode("utf-8") if number == 1 else line.decode("utf-8")
            except UnicodeDecodeError:
                raise InputError(f"{file} line {number}: not UTF-8 text") from None
            yield number, text.replace("\r\n", "\n")


def _records(file: Path, field: str) -> Iterator[str]:
    for number, line in _lines(file):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{file} line {number}: invalid JSON: {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{file} line {number}: a JSON object wanted, found {type(row).__name__}")
        text = text_of(row, field, f"{file} line {number}")
        if text:
            yield text


@contextmanager
def _reading_parquet(file: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    with reading(file):
        try:
            yield
        except ArrowException as error:
            raise InputError(f"{file}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _parquet(file: Path, field: str) -> Iterator[str]:
    """Only the text's column, some rows at a time."""
    from pyarrow.parquet import ParquetFile

    with _reading_parquet(file), ParquetFile(file) as table:
        names = table.schema_arrow.names
        if field not in names:
            raise InputError(f"{file}: no field {field!r}{did_you_mean(field, names)}")
        number = 0
        for batch in table.iter_batches(ROWS_AT_ONCE, columns=[field]):
            for value in batch.column(0).to_pylist():
                number += 1
                text = text_of({field: value}, field, f"{file} row {number}")
                if text:
                    yield text


def text_of(row: dict[str, Any], field: str, where: str) -> str:
    """The text in a row, without blanks at its ends. Raises InputError for a row without it."""
    if field not in row:
        raise InputError(f"{where}: no field {field!r}{did_you_mean(field, row)}")
    value = row[field]
    if not isinstance(value, str):
        raise InputError(f"{where}: {field} is no text but {type(value).__name__}")
    # Half a surrogate pair, which JSON can escape, fits no UTF-8 file and no tokenizer.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip()
