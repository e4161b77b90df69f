"""Where a task's rows come from: a path, the hub, a package, the project's own generator."""

from pathlib import Path

from tunewright.errors import InputError, did_you_mean
from tunewright.task_block import HubSource, TaskBlock
from tunewright.tasks.folders import Splits, common_name, read_path, split_file
from tunewright.tasks.raw import ColumnBuilder, RawSplit
from tunewright.tasks.readers import READERS, read_file


def read_source(block: TaskBlock) -> Splits:
    """The splits of the block's source by the data's own names, each read when it is called for."""
    if block.path is not None:
        return read_path(Path(block.path).expanduser())
    if block.hub is not None:
        from tunewright.tasks.hub import read_hub

        return read_hub(HubSource.model_validate({"id": block.hub}) if isinstance(block.hub, str) else block.hub)
    if block.package is not None:
        from tunewright.tasks.packages import read_package

        return read_package(block.package)
    if block.generator is not None:
        rows, seed = block.generator.rows, block.generator.seed
        return {"train": lambda: read_support_chats(rows, seed)}
    if block.splits and isinstance(block.splits.get("train"), str):
        return {}  # each split is a file of its own
    if block.origin is not None:
        raise InputError(
            f"task {block.name}: no hub set holds it; with its rows ({block.origin}) as train.jsonl … in a folder "
            f"{block.name} below $TUNEWRIGHT_DATA, or `task: {{name: {block.name}, path: FOLDER}}`, it opens"
        )
    raise InputError(f"task {block.name or ''!r}: no source: one of path, hub, package or generator is needed")


def read_support_chats(rows: int, seed: int) -> RawSplit:
    """Dialogues of the built-in generator, as one split."""
    from tunewright.tasks.support_chats import generate

    builder = ColumnBuilder()
    for number, row in enumerate(generate(rows, seed), 1):
        builder.add(row, number)
    return builder.build("support-chats")


def read_splits(block: TaskBlock, *, partial: bool = False) -> tuple[dict[str, RawSplit], dict[str, float]]:
    """The splits a task is made of by our names, and the shares of train that are to be cut for others.

    Raises InputError for a split that the data does not have, for one that is used twice, and without a train split
    (`partial`: without any split).
    """
    source = read_source(block)
    named = {split: value for split, value in (block.splits or {}).items() if isinstance(value, str)}
    shares: dict[str, float] = {
        split: float(value) for split, value in (block.splits or {}).items() if not isinstance(value, str)
    }
    used: dict[str, str] = {}
    for split, name in named.items():
        if name in used:
            raise InputError(f"splits: {used[name]} and {split} are both {name!r}; rows for testing must be others")
        used[name] = split
    found: dict[str, RawSplit] = {}
    for split in ("train", "validation", "test"):
        if split in named:
            found[split] = _named_split(block, source, named[split])
        elif split not in shares or split == "train":
            own = next((name for name in source if common_name(name) == split and name not in used), None)
            if own is not None:
                found[split] = source[own]()
    if "train" not in found and not (partial and found):
        where = block.path or block.name or "the data"
        seen = ", ".join(source) or "nothing"
        raise InputError(f"{where}: no train split; seen: {seen} (`splits: {{train: NAME}}` takes another)")
    return found, shares


def _named_split(block: TaskBlock, source: Splits, name: str) -> RawSplit:
    if name in source:
        return source[name]()
    for split in source:
        if common_name(name) == common_name(split):
            return source[split]()
    folders = [Path()]
    if block.path is not None:
        path = Path(block.path).expanduser()
        folders = [path if path.is_dir() else path.parent, Path()]
    for folder in folders:
        file = split_file(folder, name)
        if file is not None:
            return read_file(file)
    if Path(name).suffix.lower() in READERS:
        return read_file(folders[0] / name)  # says that there is no such file
    raise InputError(f"splits: the data has no split {name!r}{did_you_mean(name, source)}")
