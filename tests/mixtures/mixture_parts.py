"""Mixtures of tasks in memory."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tiny import tiny_task

from tunewright.errors import InputError
from tunewright.mixtures.block import MixtureBlock
from tunewright.mixtures.members import Members, open_members
from tunewright.mixtures.stream import Mixture
from tunewright.mixtures.wordings import Reader
from tunewright.settings import validate
from tunewright.task_block import Kind, TemplateBlock
from tunewright.tasks.task import Rows, Task

LINES = {"plain": "{{ text }}\nAnswer:{{ answer }}", "short": "{{ text }}: {{ answer }}"}


def task(name: str, kind: Kind = "classify", rows: int = 24, **templates: str) -> Task:
    """`tiny_task(kind)` with so many training rows (the same again and again) and these templates."""
    found = tiny_task(kind)
    train = found.splits["train"].take([i % 24 for i in range(rows)])
    train = Rows(train.columns, [f"train-{i}" for i in range(rows)])
    blocks = {key: TemplateBlock.model_validate({"jinja": text}) for key, text in (templates or LINES).items()}
    return replace(
        found, name=name, templates=blocks, default_template=next(iter(blocks)), splits={**found.splits, "train": train}
    )


def members(block: Mapping[str, Any], *tasks: Task, reader: Reader | None = None) -> Members:
    by_name = {one.name: one for one in tasks}

    def open_one(wanted: Any) -> Task:
        if wanted not in by_name:
            raise InputError(f"no task {wanted!r}")
        return by_name[wanted]

    return open_members(validate(MixtureBlock, dict(block), "M"), reader or Reader(), open_one, lambda wanted: None)


def mixture(block: Mapping[str, Any], *tasks: Task, seed: int = 0) -> Mixture:
    found = members(block, *tasks)
    return Mixture(found.members, found.epoch, seed)
