"""Sets of templates that many tasks share: `templates_from: nli` in a task's block.

A set is one YAML file in `catalog/templates/`. It names the fields it reads; a task that uses it calls its own columns
by those names under `fields:`, so that no template is written twice. Words of labels go by the label's name: of a
template's `label_words` a task keeps those of its own labels, and a template that lacks words for one is not for it.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import Field

from tunewright.errors import InputError, did_you_mean
from tunewright.settings import Strict, load_yaml, validate
from tunewright.task_block import NamedTemplates, TaskBlock, TemplateBlock


class TemplateSet(Strict):
    """A file of shared templates. `fields`: what a task must have (beside its target) to use it."""

    about: str
    fields: list[str]
    templates: NamedTemplates = Field(min_length=1)


def set_names() -> list[str]:
    """The names of the shipped sets, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


@cache
def template_set(name: str) -> TemplateSet:
    """The shipped set `name`. Raises InputError, with a suggestion, for one that is not there."""
    if name not in set_names():
        raise InputError(f"templates_from: no set {name!r}{did_you_mean(name, set_names())}")
    path = _folder() / f"{name}.yaml"
    return validate(TemplateSet, load_yaml(path), str(path))


def with_shared(block: TaskBlock) -> TaskBlock:
    """The block with the templates of its set behind its own; of two with one name, or one text, its own stays.

    Raises InputError for an unknown set, for fields that the set reads and the block's `fields` lack, and where words
    go by labels that the block does not list.
    """
    if block.templates_from is None:
        return block
    what = f"task {block.name or block.path or ''}: templates_from: {block.templates_from}"
    shared = template_set(block.templates_from)
    lacking = [name for name in shared.fields if block.fields and name not in block.fields]
    if lacking:
        raise InputError(f"{what} reads the field {lacking[0]!r}; `fields: {{{lacking[0]}: COLUMN}}` names its column")
    labels = [str(label) for label in block.labels or ()]
    found: dict[str, str | TemplateBlock] = dict(block.templates)
    texts = {one if isinstance(one, str) else one.jinja for one in found.values()}
    for name, template in shared.templates.items():
        words = template.label_words
        if template.jinja in texts:
            continue
        if words is not None:
            if not labels:
                raise InputError(f"{what} has words for labels: list the task's `labels:`")
            if any(label not in words for label in labels):
                continue
            template = template.model_copy(update={"label_words": {label: words[label] for label in labels}})
        found.setdefault(name, template)
    if not found:
        raise InputError(f"{what} has no template for the labels {', '.join(labels)}")
    set_fields = {key: getattr(block, key) for key in block.model_fields_set} | {"templates": found}
    return TaskBlock.model_construct(_fields_set=set(set_fields), **set_fields)


def _folder() -> Path:
    return Path(str(files("tunewright") / "tasks" / "catalog" / "templates"))
