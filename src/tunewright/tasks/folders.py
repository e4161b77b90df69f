"""A path to splits: a file, a folder of split files, a folder per label."""

from collections.abc import Callable
from pathlib import Path

from tunewright.errors import InputError
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.readers import READERS, read_document, read_file, reading

# Splits are read only when they are asked for: a folder may hold files nobody wants.
Splits = dict[str, Callable[[], RawSplit]]

_OTHER_NAMES = {"validation": ("validation", "valid", "dev", "val"), "train": ("train",), "test": ("test",)}


def read_path(path: Path) -> Splits:
    """The splits at `path`, not yet read: a single file is `train`. Raises InputError when there are none."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not path.is_dir():
        return {"train": lambda: read_file(path)}
    for found in (_split_files(path), _split_folders(path), _label_folders(path), _loose_files(path)):
        if found:
            return found
    with reading(path):
        seen = [entry.name for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    raise InputError(
        f"{path}: no train file ({', '.join('train' + ending for ending in READERS)}), no folder per label with .txt "
        f"files; seen: {', '.join(seen[:8]) + (', …' if len(seen) > 8 else '') or 'nothing'}"
    )


def common_name(name: str) -> str:
    """`validation` for `dev`, `val`, `valid`; other names stay."""
    return next((split for split, names in _OTHER_NAMES.items() if name in names), name)


def split_file(folder: Path, name: str) -> Path | None:
    """The data file `name` (with or without its ending) in `folder`, JSON Lines first."""
    for candidate in (folder / name, *(folder / f"{name}{ending}" for ending in READERS)):
        if candidate.is_file() and candidate.suffix.lower() in READERS:
            return candidate
    return None


def _split_files(folder: Path) -> Splits:
    splits: Splits = {}
    for split, names in _OTHER_NAMES.items():
        file = next(filter(None, (split_file(folder, name) for name in names)), None)
        if file is not None:
            splits[split] = lambda file=file: read_file(file)  # type: ignore[misc]
    return splits


def _split_folders(folder: Path) -> Splits:
    """`train/LABEL/*.txt`, `test/LABEL/*.txt`."""
    splits: Splits = {}
    for split, names in _OTHER_NAMES.items():
        below = next((folder / name for name in names if (folder / name).is_dir()), None)
        if below is not None and _label_files(below):
            splits[split] = lambda below=below: _read_label_folders(below)  # type: ignore[misc]
    return splits


def _label_folders(folder: Path) -> Splits:
    return {"train": lambda: _read_label_folders(folder)} if _label_files(folder) else {}


def _loose_files(folder: Path) -> Splits:
    """One data file of any name, or documents: a row for each .txt file."""
    with reading(folder):
        files = sorted(entry for entry in folder.iterdir() if entry.is_file() and entry.suffix.lower() in READERS)
    if len(files) == 1:
        return {"train": lambda: read_file(files[0])}
    if files and all(file.suffix.lower() == ".txt" for file in files):
        return {"train": lambda: _read_documents(folder, [(file, "") for file in files], labelled=False)}
    return {}


def _label_files(folder: Path) -> list[tuple[Path, str]]:
    """(file, label) sorted by label, then by file name."""
    with reading(folder):
        labels = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "_")))
        return [(file, label.name) for label in labels for file in sorted(label.glob("*.txt"))]


def _read_label_folders(folder: Path) -> RawSplit:
    return _read_documents(folder, _label_files(folder), labelled=True)


def _read_documents(folder: Path, files: list[tuple[Path, str]], labelled: bool) -> RawSplit:
    texts, others = [], 0
    for file, _ in files:
        text, is_utf8 = read_document(file)
        texts.append(text)
        others += not is_utf8
    columns = {"text": texts}
    if labelled:
        columns["label"] = [label for _, label in files]
    notes = (f"{folder.name}: files that are not UTF-8, read as Windows-1252: {others}",) if others else ()
    numbers = range(1, len(files) + 1)
    return RawSplit(columns, str(folder), numbers, files=[str(file) for file, _ in files], notes=notes)
