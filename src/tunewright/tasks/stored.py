"""Tasks whose rows lie in the user's cache folder as Arrow files: read and checked once, then opened from there."""

import hashlib
import json
import os
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from tunewright.errors import MachineError
from tunewright.files import read_json, write_folder, write_json
from tunewright.task_block import HubSource, TaskBlock
from tunewright.tasks.arrow_rows import StoredRows, StoredSplits, Unstorable, write_rows
from tunewright.tasks.catalog import catalog_names
from tunewright.tasks.fingerprint import fingerprint
from tunewright.tasks.folders import split_file
from tunewright.tasks.open import SPLITS, local_copy, open_task, resolve
from tunewright.tasks.readers import READERS
from tunewright.tasks.task import Task
from tunewright.wheels import cache_folder

SMALLEST = 1 << 16  # bytes: a smaller source is read anew each time, which takes no longer than the cache
_UNUSED_SECONDS = 7 * 24 * 3600
_FILE = "task.json"


def open_stored(wanted: str | TaskBlock) -> Task:
    """The same task as `open_task` gives, with the same rows, ids and fingerprint; its rows stay on disk.

    The first call reads the source, and writes what came of it. It is good as long as the block, the source's files
    (path, size, time of change) and this package's reading code are the same. Sources without files, except a hub's
    revision given as a commit, and those the cache cannot hold, are opened as `open_task` does.
    Raises what `open_task` raises.
    """
    block = _unread(wanted)
    state = _state(block)
    if not _storable(block, state):
        return open_task(wanted)
    whole = block.model_dump_json(exclude_unset=True, warnings=False)
    where = cache_folder() / "tasks" / _hash(whole, [path for path, *_ in state])
    folder = where / _hash(whole, state, _code())
    if (found := _load(folder)) is not None:
        return found
    opened = open_task(wanted)
    if _state(block) != state:  # changed while it was read
        return opened
    try:
        write_folder(folder, lambda beside: _write(beside, opened))
    except (Unstorable, MachineError):
        return _load(folder) or opened  # another process may have been quicker
    _forget_unused(where)
    return _load(folder) or opened


def _unread(wanted: str | TaskBlock) -> TaskBlock:
    """The block, as far as it can be known without reading rows (a file's own form is found by reading it)."""
    if isinstance(wanted, str) and Path(wanted).suffix.lower() in READERS and Path(wanted).is_file():
        return TaskBlock(path=wanted)
    if isinstance(wanted, TaskBlock) and wanted.path is not None and wanted.name not in catalog_names():
        return wanted
    return local_copy(resolve(wanted))


def _state(block: TaskBlock) -> list[tuple[str, int, int]]:
    """(path, bytes, time of change in ns) of every file that the block's rows may come from."""
    found: dict[str, tuple[str, int, int]] = {}
    path = None if block.path is None else Path(block.path).expanduser()
    candidates = [] if path is None else [path]
    if path is not None and path.is_dir():
        candidates = [file for depth in ("*", "*/*", "*/*/*") for file in sorted(path.glob(depth))]
    folders = [Path()] if path is None else [path if path.is_dir() else path.parent, Path()]
    for name in (block.splits or {}).values():
        if isinstance(name, str):
            candidates += [file for folder in folders if (file := split_file(folder, name)) is not None]
    for file in candidates:
        with suppress(OSError):
            facts = file.stat()
            if stat.S_ISREG(facts.st_mode):
                place = os.path.abspath(file)
                found[place] = (place, facts.st_size, facts.st_mtime_ns)
    return list(found.values())


def _storable(block: TaskBlock, state: list[tuple[str, int, int]]) -> bool:
    if block.path is None and block.hub is not None:
        revision = block.hub.revision if isinstance(block.hub, HubSource) else None
        return revision is not None and len(revision) == 40 and not block.hub.streaming  # type: ignore[union-attr]
    return sum(size for _, size, _ in state) >= SMALLEST


@cache
def _code() -> str:
    """A hash of what decides how a source is read: this folder's code and shared templates."""
    digest = hashlib.sha256()
    package = Path(str(files("tunewright")))
    read = sorted([*(package / "tasks").glob("*.py"), *(package / "tasks" / "catalog" / "templates").glob("*.yaml")])
    for file in (package / "task_block.py", *read):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


# What task.json holds of a task, beside its splits.


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(Task)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(Task) if field.name != "splits"}


def _write(folder: Path, task: Task) -> None:
    for split in SPLITS:
        write_rows(folder / f"{split}.arrow", task.split(split))
    saved = {
        name: adapter.dump_python(getattr(task, name), mode="json", exclude_unset=True)
        for name, adapter in _adapters().items()
    }
    splits = {
        split: {"rows": len(task.split(split)), "bytes": (folder / f"{split}.arrow").stat().st_size} for split in SPLITS
    }
    write_json(folder / _FILE, {"task": saved, "splits": splits, "sha256": fingerprint(task)})


def _load(folder: Path) -> Task | None:
    """The task of a folder; None where there is none, or a broken one."""
    try:
        tree = read_json(folder / _FILE)
        if any((folder / f"{split}.arrow").stat().st_size != tree["splits"][split]["bytes"] for split in SPLITS):
            return None
        known = {name: adapter.validate_python(tree["task"][name]) for name, adapter in _adapters().items()}
    except (OSError, ValueError, KeyError):
        return None
    with suppress(OSError):
        os.utime(folder / _FILE)
    splits = {split: StoredRows(folder / f"{split}.arrow", tree["splits"][split]["rows"]) for split in SPLITS}
    return Task(splits=StoredSplits(dict(splits), tree["sha256"]), **known)


def _forget_unused(where: Path) -> None:
    """Remove what earlier states of the same source left, where nobody opened it for a week."""
    for folder in where.iterdir():
        with suppress(OSError):
            if time.time() - (folder / _FILE).stat().st_mtime > _UNUSED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
