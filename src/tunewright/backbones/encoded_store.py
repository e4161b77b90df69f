"""Encoded rows in the user's cache folder: what was tokenised once is read by the next start."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tunewright.backbones.example_bytes import from_bytes, to_bytes
from tunewright.backbones.examples import Example

_AT_ONCE = 500  # keys in one question to the file
_WAIT_SECONDS = 1.0  # for another process that writes
_TABLE = "CREATE TABLE IF NOT EXISTS encoded (number INTEGER PRIMARY KEY, key BLOB UNIQUE, example BLOB)"


class EncodedStore:
    """Examples by key, in one SQLite file of at most `limit` bytes, where the oldest make room for new ones.

    Several processes may read and write at once, and a killed one leaves nothing half written. A broken file is removed
    and begun anew. Where the disk refuses or another process holds the file, nothing is found and nothing is kept:
    no error comes from here.
    """

    def __init__(self, file: Path, limit: int) -> None:
        self.file, self.limit = file, limit
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None

    def get(self, keys: Sequence[bytes]) -> list[Example | None]:
        """The example of each key, one of its own also where keys are equal; None where none is kept."""
        kept: dict[bytes, bytes] = {}
        with self._lock:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                asked = f"SELECT key, example FROM encoded WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608
                kept.update(self._ask(asked, some))
        return [from_bytes(kept[key]) if key in kept else None for key in keys]

    def put(self, examples: Mapping[bytes, Example]) -> None:
        """Keep examples."""
        rows = [(key, to_bytes(example)) for key, example in examples.items()]
        with self._lock:
            self._make_room(sum(len(value) for _, value in rows))
            self._write(rows)

    def _ask(self, sql: str, values: Sequence[bytes] = ()) -> list[tuple[bytes, bytes]]:
        try:
            return self._file().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._drop_if_broken(error)
            return []

    def _write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        try:
            with self._file() as file:
                file.executemany("INSERT OR REPLACE INTO encoded (key, example) VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._drop_if_broken(error)

    def _make_room(self, wanted: int) -> None:
        """Remove the oldest quarter where what is kept and what is `wanted` pass the limit."""
        try:
            file = self._file()
            names = ("page_count", "freelist_count", "page_size")
            pages, unused, size = (int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
            if (pages - unused) * size + wanted > self.limit:
                with file:
                    file.execute(
                        "DELETE FROM encoded WHERE number <= "
                        "(SELECT MIN(number) + (MAX(number) - MIN(number)) / 4 FROM encoded)"
                    )
        except sqlite3.Error as error:
            self._drop_if_broken(error)

    def _file(self) -> sqlite3.Connection:
        if self._open is None:
            with suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                self.file.touch(mode=0o600)  # it holds what rows say
            file = sqlite3.connect(self.file, timeout=_WAIT_SECONDS, check_same_thread=False)
            file.execute("PRAGMA synchronous = OFF")  # a file that a power cut broke is begun anew
            file.execute(_TABLE)
            self._open = file
        return self._open

    def _drop_if_broken(self, error: sqlite3.Error) -> None:
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only
            return
        if self._open is not None:
            self._open.close()
            self._open = None
        with suppress(OSError):
            self.file.unlink()
