"""Runs of several tasks made in memory: a second task with other labels, words and slots than `tiny_task`'s."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tiny import tiny_backbone, tiny_task

from tunewright.backbones.base import Backbone
from tunewright.methods.registry import make_method
from tunewright.recipe import Recipe
from tunewright.runs.prepare import Opened, Prepared, assemble_all, pick_templates
from tunewright.settings import validate
from tunewright.task_block import Kind, TemplateBlock
from tunewright.tasks.task import Rows, Task

TWO = "{{ text }}{{ soft(2) }} {{ answer }}"
THREE = "{{ soft(3) }}{{ text }}: {{ answer }}"


def named(name: str, template: str | None = None, kind: Kind = "classify") -> Task:
    """`tiny_task(kind)` under another name, with a template of its own."""
    task = tiny_task(kind)
    templates = {"own": TemplateBlock.model_validate({"jinja": template})} if template else task.templates
    return replace(task, name=name, templates=templates, default_template=next(iter(templates)))


def pairs(name: str, template: str | None = None) -> Task:
    """Two labels only, the first one with two label words; half as many rows and more as in `named`."""
    task = named(name, template)
    keep = {"sport", "money"}
    splits = {}
    for split, rows in task.splits.items():
        labels = rows.columns["label"]
        splits[split] = rows.take([i for i, label in enumerate(labels) if label in keep])
    words = {"sport": ("sport", "goal"), "money": ("money",)}
    return replace(task, labels=("sport", "money"), label_words=words, splits=splits)


def first_rows(task: Task, count: int) -> Task:
    """The task with so many training rows."""
    train: Rows = task.splits["train"].take(range(count))
    return replace(task, splits={**task.splits, "train": train})


def several(
    method: str | dict[str, Any],
    arch: str,
    tasks: Sequence[Task],
    *,
    rates: Sequence[float | None] | None = None,
    training: dict[str, Any] | None = None,
    backbone: Backbone | None = None,
    seed: int = 0,
) -> Prepared:
    """One run of these tasks, each asked with its default template."""
    block = {"steps": 12, "batch_size": 6, "precision": "fp32", **(training or {})}
    entries = [
        {"task": task.name, "rate": rate} for task, rate in zip(tasks, rates or [None] * len(tasks), strict=True)
    ]
    tree = {"model": f"tiny-{arch}", "tasks": entries, "method": method, "training": block}
    recipe = validate(Recipe, tree, "several")
    opened = [Opened(alone, task, pick_templates(alone, task, task.name)) for alone, task in zip(recipe.apart(), tasks)]
    return assemble_all(recipe, opened, make_method(recipe.method), backbone or tiny_backbone(arch, seed))
