"""From what a recipe says under `template:` to templates."""

import re
from collections.abc import Sequence

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.template import Template
from tunewright.prompts.verbalizer import Verbalizer
from tunewright.recipe import TemplateBlock
from tunewright.tasks.task import Task

Wanted = str | TemplateBlock | Sequence[str | TemplateBlock] | None


def choose_templates(
    task: Task, wanted: Wanted, *, verbalizer: Verbalizer | None = None, under: str | None = None
) -> list[Template]:
    """The templates asked for: names of the task's, or inline Jinja (`inline`, `inline-2` …); None: its default one.

    `under` stands before the names of their slot groups (`UNDER/plain/1`), so that tasks have each their own.

    Raises InputError for an unknown name, one named twice, a task without templates, and whatever is wrong in one.
    """
    if wanted is None:
        default = task.default_template or next(iter(task.templates), None)
        if default is None:
            raise InputError(f"task {task.name}: it has no templates; write one under `template:`")
        wanted = default
    asked = [wanted] if isinstance(wanted, str | TemplateBlock) else list(wanted)
    if not asked:
        raise InputError("template: the list is empty")
    found: dict[str, Template] = {}
    inline = 0
    for item in asked:
        if isinstance(item, str) and item in task.templates:
            name, block = item, task.templates[item]
        elif isinstance(item, TemplateBlock) or _is_jinja(item):
            inline += 1
            name = "inline" if inline == 1 else f"inline-{inline}"
            block = item if isinstance(item, TemplateBlock) else TemplateBlock.model_validate({"jinja": item})
        elif not task.templates:
            raise InputError(f"template: task {task.name} has no templates, so none called {item!r}")
        else:
            raise InputError(
                f"template: {item!r} is no template of task {task.name}{did_you_mean(item, task.templates)}"
            )
        if name in found:
            raise InputError(f"template: {name!r} is named twice")
        prefix = None if under is None else f"{under}/{name}"
        found[name] = Template.from_block(name, block, task, verbalizer=verbalizer, prefix=prefix)
    return list(found.values())


def _is_jinja(text: str) -> bool:
    return any(sign in text for sign in ("{{", "{%", "|||")) or bool(re.search(r"\s", text))
