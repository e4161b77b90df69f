"""From what a recipe says under `template:` to templates."""

import re

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.template import Template
from tunewright.prompts.template_file import read_templates
from tunewright.prompts.verbalizer import Verbalizer
from tunewright.task_block import TemplateBlock, TemplateFileBlock, Templates
from tunewright.tasks.task import Task


def choose_templates(
    task: Task, wanted: Templates | None, *, verbalizer: Verbalizer | None = None, under: str | None = None
) -> list[Template]:
    """The templates asked for: names of the task's, inline Jinja (`inline`, `inline-2` …), files; None: the default.

    `under` stands before the names of their slot groups (`UNDER/plain/1`), so that tasks have each their own.

    Raises InputError for an unknown name, one named twice, a task without templates, and whatever is wrong in one.
    """
    if wanted is None:
        default = task.default_template or next(iter(task.templates), None)
        if default is None:
            raise InputError(f"task {task.name}: it has no templates; write one under `template:`")
        wanted = default
    asked = wanted if isinstance(wanted, list) else [wanted]
    if not asked:
        raise InputError("template: the list is empty")
    found: dict[str, Template] = {}
    inline = 0
    for item in asked:
        if isinstance(item, TemplateFileBlock):
            blocks = read_templates(item)
        elif isinstance(item, str) and item in task.templates:
            blocks = {item: task.templates[item]}
        elif isinstance(item, str) and item.endswith((".yaml", ".yml")):
            blocks = read_templates(TemplateFileBlock(file=item))
        elif isinstance(item, TemplateBlock) or _is_jinja(item):
            inline += 1
            block = item if isinstance(item, TemplateBlock) else TemplateBlock.model_validate({"jinja": item})
            blocks = {"inline" if inline == 1 else f"inline-{inline}": block}
        elif not task.templates:
            raise InputError(f"template: task {task.name} has no templates, so none called {item!r}")
        else:
            raise InputError(
                f"template: {item!r} is no template of task {task.name}{did_you_mean(item, task.templates)}"
            )
        for name, block in blocks.items():
            if name in found:
                raise InputError(f"template: {name!r} is named twice")
            prefix = None if under is None else f"{under}/{name}"
            found[name] = _fitting(Template.from_block(name, block, task, verbalizer=verbalizer, prefix=prefix))
    return list(found.values())


def _fitting(template: Template) -> Template:
    """Raises InputError for an imported template that reads what the task does not have: it would print nothing."""
    if unknown := template.unknown():
        raise InputError(
            f"template {template.name!r}: it reads {', '.join(map(repr, unknown))}, and task {template.task.name} has "
            "no such field or column (`fields: {NAME: COLUMN}` in the task adds one; `names:` leaves templates out)"
        )
    return template


def _is_jinja(text: str) -> bool:
    return any(sign in text for sign in ("{{", "{%", "|||")) or bool(re.search(r"\s", text))
