"""Writing that leaves either the old file or the whole new one, never half of one."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tunewright.errors import MachineError


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically (beside it, fsynced, renamed).

    Raises MachineError when the disk refuses (full, read-only); the old file stays.
    """
    write_file(path, lambda beside: beside.write_bytes(text.encode()))


def write_file(path: Path, fill: Callable[[Path], object]) -> None:
    """Make the file `path` atomically: `fill` writes a file beside it, which is fsynced and renamed over it.

    Raises MachineError when the disk refuses; the old file stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fill(beside)
        with open(beside, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(beside, path)
    except BaseException as error:  # an interrupt must leave nothing behind either
        with suppress(OSError):
            beside.unlink()
        raise _told(path, error) from error


def _told(path: Path, error: BaseException) -> BaseException:
    """A refusal of the disk as the user's error, anything else as it is."""
    if isinstance(error, OSError | SafetensorError):  # a full disk comes as either
        return MachineError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}")
    return error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """The JSON value in `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder `path` atomically: `fill` writes into a folder beside it, which is then renamed.

    An older folder of that name is replaced only when the new one is complete.
    Raises MachineError when the disk refuses; the old folder stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        fill(beside)
        for file in beside.rglob("*"):
            if file.is_file():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
        if path.exists():
            os.replace(path, old)
        os.replace(beside, path)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:  # an interrupt and an error of `fill` must leave nothing behind either
        shutil.rmtree(beside, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise _told(path, error) from error
