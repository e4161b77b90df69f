"""Named sets of tasks, and what of them can be had on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tunewright.console import say
from tunewright.errors import InputError, MachineError, did_you_mean
from tunewright.forgetting_block import Battery, BatteryBlock
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.template import Template
from tunewright.settings import load_yaml, validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.cleaning import is_id
from tunewright.tasks.hub import without_network
from tunewright.tasks.open import local_copy, open_task, resolve
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.task import Rows, Task


@dataclass(frozen=True)
class Item:
    """A task of a battery with its rows. `text`: raw text, whose perplexity is measured in blocks of tokens."""

    task: Task
    rows: Rows
    templates: tuple[Template, ...]
    text: bool

    @property
    def name(self) -> str:
        """The task's."""
        return self.task.name

    def documents(self) -> list[str]:
        """The texts of its rows."""
        return [str(cell) for cell in self.rows.columns[self.task.target]]


@dataclass(frozen=True)
class Missing:
    """A task that could not be had or asked, and why."""

    name: str
    why: str


def batteries() -> dict[str, Path]:
    """The shipped batteries' files by name."""
    folder = Path(str(files("tunewright") / "forgetting" / "batteries"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_battery(wanted: Battery, rows: int | None = None) -> tuple[str, BatteryBlock]:
    """A battery's name and block: of the shipped ones, a YAML file, a list of tasks, or as it stands.

    `rows` replaces its number of rows a task. Raises InputError for an unknown name or a file that is none.
    """
    if isinstance(wanted, BatteryBlock):
        name, block = "own", wanted
    elif isinstance(wanted, list):
        name, block = "own", BatteryBlock(tasks=wanted)
    elif wanted.endswith((".yaml", ".yml")):
        name, block = Path(wanted).stem, validate(BatteryBlock, load_yaml(Path(wanted)), wanted)
    else:
        known = batteries()
        if wanted not in known:
            raise InputError(f"battery {wanted!r}: no such battery or YAML file{did_you_mean(wanted, known)}")
        name, block = wanted, validate(BatteryBlock, load_yaml(known[wanted]), str(known[wanted]))
    return name, block if rows is None else block.model_copy(update={"rows": rows})


def open_items(entries: Sequence[str | TaskBlock], split: str, rows: int | None) -> tuple[list[Item], list[Missing]]:
    """The tasks with at most `rows` rows of `split` each, drawn with a fixed seed, and those that cannot be had.

    Raw text always has all its rows. What cannot be had is also told. Once the hub is out of reach, only what its cache
    holds is looked for. Raises InputError for a name or file that is wrong, and for a task listed twice.
    """
    found: list[Item] = []
    missing: list[Missing] = []
    reached = True
    for entry in entries:
        block = resolve(entry)  # a wrong name is the user's fault, and raises
        local = local_copy(block)
        name = block.name or (Path(block.path).stem if block.path else "task")
        if name in {item.name for item in found} | {one.name for one in missing}:
            raise InputError(f"battery: the task {name!r} stands there twice; give one another name")
        try:
            if reached or local.hub is None:
                item = _open(block, split, rows)
            else:
                with without_network():
                    item = _open(block, split, rows)
            found.append(item)
        except MachineError as error:
            reached = reached and local.hub is None
            missing.append(Missing(name, str(error)))
        except InputError as error:
            if not _shipped(entry):
                raise
            missing.append(Missing(name, str(error)))
    for one in missing:
        say(f"battery: {one.name} is left out: {one.why}")
    return found, missing


def _shipped(entry: str | TaskBlock) -> bool:
    """A catalog task is no work of the user's: where its data is wrong, it is left out."""
    return isinstance(entry, str) and not Path(entry).exists()


def _open(block: TaskBlock, split: str, rows: int | None) -> Item:
    task, text = _task(block)
    order = _text_order(split) if text else [split]
    chosen = next((name for name in order if len(task.split(name))), None)
    if chosen is None:
        raise MachineError(f"task {task.name}: it has no rows of {split}")
    found = task.split(chosen)
    if text:
        return Item(task, found, (), True)
    if rows is not None and rows < len(found):
        found = draw_shots(found, "generate", None, rows, 0)
    return Item(task, found, tuple(choose_templates(task, None)), False)


def _text_order(split: str) -> list[str]:
    """Text that is measured is never text that was read in training; a corpus without a train part gives the other."""
    return {"train": ["train", "validation"], "validation": ["validation", "test"]}.get(split, [split])


def _task(block: TaskBlock) -> tuple[Task, bool]:
    if not block.evaluation_only:
        try:
            task = open_task(block)
            return task, is_text(task)
        except InputError:
            pass  # no train file, say: as far as it goes
    task = open_task(block, partial=True)
    return task, is_text(task)


def is_text(task: Task) -> bool:
    """Raw text: its only field is what a language model is to produce."""
    return task.kind == "generate" and [name for name in task.fields if not is_id(name)] == [task.target]
