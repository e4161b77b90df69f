"""Checks tasks of the catalog against data at hand: do they open, and does every template read the rows."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.template import Template
from tunewright.tasks.catalog import catalog_entry, catalog_names
from tunewright.tasks.open import SPLITS, open_task
from tunewright.tasks.task import Task


@dataclass
class Verdict:
    """What was found of one task. `problems` are one line each; none: the task passes."""

    task: str
    kind: str = ""
    cluster: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    templates: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"task": self.task, "passed": self.passed, **{k: v for k, v in asdict(self).items() if k != "task"}}


def verify_folder(folder: Path, names: list[str] | None = None, *, rows: int = 50) -> list[Verdict]:
    """A verdict for each subfolder (or those of `names`), read as the data of the catalog's task of that name.

    Of each split the first `rows` rows are rendered with every template of the task.
    Raises InputError for a folder that is not there or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: no folders in it; a folder a task is wanted (sst2/train.jsonl …)")
    for name in names or ():
        if name not in found:
            raise InputError(f"{folder}: no folder {name!r}{did_you_mean(name, found)}")
    return [verify_task(folder, name, rows=rows) for name in names or found]


def verify_task(folder: Path, name: str, *, rows: int = 50) -> Verdict:
    """The verdict on the catalog's task `name` with the data in `folder/name`."""
    if name not in catalog_names():
        return Verdict(name, problems=[f"no task {name!r} in the catalog{did_you_mean(name, catalog_names())}"])
    entry = catalog_entry(name)
    verdict = Verdict(name, str(entry.kind), entry.cluster or "", templates=len(entry.templates))
    try:
        task = open_task(entry, partial=True, data=folder)
    except InputError as error:
        verdict.problems.append(str(error))
        return verdict
    verdict.rows = {split: len(task.split(split)) for split in SPLITS if len(task.split(split))}
    verdict.notes = list(task.notes)
    unused = _labels_not_seen(task)
    if unused:
        verdict.notes.append(f"labels that no row has: {', '.join(unused)}")
    for key, block in task.templates.items():
        try:
            template = Template.from_block(key, block, task)
            verdict.skipped += sum(_skipped(template, task, split, rows) for split in SPLITS)
        except InputError as error:
            verdict.problems.append(str(error))
    return verdict


def _labels_not_seen(task: Task) -> list[str]:
    if task.kind != "classify":
        return []
    seen = {str(label) for split in SPLITS for label in task.split(split).columns[task.target]}
    return [label for label in task.labels or () if label not in seen]


def _skipped(template: Template, task: Task, split: str, limit: int) -> int:
    """How many rows the template skips. Raises InputError where it cannot read one, or leaves it without an answer."""
    rows, skipped = task.split(split), 0
    for i in range(min(limit, len(rows))):
        prompt = template.render(rows[i])
        if prompt is None:
            skipped += 1
            continue
        where = f"template {template.name!r}, {rows.ids[i]}"
        if prompt.choices is not None and (prompt.gold is None or prompt.target not in prompt.choices):
            raise InputError(f"{where}: the answer {prompt.target!r:.60} is none of the choices")
        if not prompt.target.strip():
            raise InputError(f"{where}: the answer is empty")
    if skipped and skipped == min(limit, len(rows)):
        raise InputError(f"template {template.name!r}: it skips every row of {split}")
    return skipped
