"""The task catalog: one YAML file a task, shipped with the package."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.settings import load_yaml, validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.shared_templates import with_shared


def catalog_folder() -> Path:
    """The folder of the shipped task files."""
    return Path(str(files("tunewright") / "tasks" / "catalog"))


def catalog_names(folder: Path | None = None) -> list[str]:
    """The names of all tasks of the catalog, sorted."""
    folder = folder or catalog_folder()
    return sorted(path.stem for path in folder.glob("*.yaml"))


def catalog_entry(name: str, folder: Path | None = None) -> TaskBlock:
    """The task `name` of the catalog. Raises InputError, with a suggestion, for a name it does not have."""
    folder = folder or catalog_folder()
    names = catalog_names(folder)
    if name not in names:
        raise InputError(f"no task {name!r} in the catalog{did_you_mean(name, names)}")
    return _load(folder / f"{name}.yaml")


def task_file(path: Path) -> TaskBlock:
    """A task written in a YAML file of the catalog's form.

    A `path` in it is looked for from where the command runs, else from the task file's own folder.
    """
    block = _load(path)
    if block.path is not None and not Path(block.path).expanduser().exists():
        beside = path.parent / block.path
        if beside.exists():
            return block.model_copy(update={"path": str(beside)})
    return block


def hub_entry(hub_id: str, folder: Path | None = None) -> str | None:
    """The name of the catalog's task that reads the hub data set `hub_id` without a configuration, if there is one."""
    for name in catalog_names(folder):
        if catalog_entry(name, folder).hub == hub_id:
            return name
    return None


def _load(path: Path) -> TaskBlock:
    tree = _tree(path, path.stat().st_mtime_ns) if path.is_file() else load_yaml(path)
    block = validate(TaskBlock, tree, str(path))
    return with_shared(block if block.name else block.model_copy(update={"name": path.stem}))


@cache
def _tree(path: Path, changed: int) -> Any:
    return load_yaml(path)
