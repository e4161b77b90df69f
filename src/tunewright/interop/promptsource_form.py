"""A template of ours in PromptSource's form: columns by their own names, the target behind `|||`."""

import json
import re

from tunewright.errors import InputError
from tunewright.task_block import TaskBlock, TemplateBlock

_ANSWER = re.compile(r"\{\{-?\s*answer\s*-?\}\}")
_SLOT = re.compile(r"\{\{-?\s*soft\s*\(|\{\{-?\s*sep\s*-?\}\}")


def promptsource_form(name: str, block: TemplateBlock, task: TaskBlock) -> tuple[str, str | None]:
    """(jinja, answer_choices). Raises InputError naming the template where PromptSource cannot say it."""
    where = f"template {name!r}"
    if block.chat:
        raise InputError(f"{where}: PromptSource has no chat templates")
    if _SLOT.search(block.jinja):
        raise InputError(f"{where}: PromptSource has no slots and no separators")
    if task.kind not in ("classify", "generate"):
        raise InputError(f"{where}: tasks of kind {task.kind} are not written for PromptSource (classify, generate)")
    prompt, *behind = _ANSWER.split(block.jinja)
    if len(behind) > 1 or any(rest.strip() for rest in behind):
        raise InputError(f"{where}: {{{{ answer }}}} stands before the end, where PromptSource has it")
    named = _named(where, task)
    if "|||" in block.jinja:
        return named + block.jinja, _choices(block, task)
    target = _column(where, task.target or ("label" if task.kind == "classify" else "target"))
    return f"{named}{prompt}||| {_target(target, block, task)}", _choices(block, task)


def _named(where: str, task: TaskBlock) -> str:
    """Our names for the data's columns, set in their order; none may hide a column that is read after it."""
    found, hidden = [], set[str]()
    for ours, theirs in task.fields.items():
        columns = [_column(where, column) for column in ([theirs] if isinstance(theirs, str) else theirs)]
        if hidden & set(columns):
            raise InputError(f"{where}: fields: PromptSource cannot exchange the names of columns")
        value = columns[0] if isinstance(theirs, str) else f"[{', '.join(columns)}]"
        if value != ours:
            found.append(f"{{% set {ours} = {value} %}}")
            hidden.add(ours)
    return "".join(found)


def _column(where: str, column: str) -> str:
    """A column's name as PromptSource's templates spell it."""
    name = column.replace("-", "_")
    if not name.isidentifier():
        raise InputError(f"{where}: PromptSource has no way to name the column {column!r}")
    return name


def _words(block: TemplateBlock, task: TaskBlock) -> list[str]:
    """The first word of each label."""
    if isinstance(block.answer_choices, list):
        return block.answer_choices
    found = []
    for label in task.labels or ():
        words = (task.label_words or {}).get(str(label), str(label).replace("-", " ").replace("_", " "))
        found.append(words if isinstance(words, str) else words[0])
    return found


def _choices(block: TemplateBlock, task: TaskBlock) -> str | None:
    if isinstance(block.answer_choices, str):
        return block.answer_choices
    return " ||| ".join(_words(block, task)) or None


def _target(target: str, block: TemplateBlock, task: TaskBlock) -> str:
    """A label may be a number or a name in the data."""
    if task.kind != "classify":
        return f"{{{{ {target} }}}}"
    by_name = json.dumps(dict(zip(map(str, task.labels or ()), _words(block, task))), ensure_ascii=False)
    return f"{{{{ answer_choices[{target}] if {target} is number else {by_name}[{target}] }}}}"
