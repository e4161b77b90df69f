"""Small tasks without rows for the tests of templates."""

from typing import Any

from tunewright.prompts.template import Template
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import LabelName, Task

WORLD, SPORT = LabelName("world", 0), LabelName("sport", 1)


def make_task(kind: Any = "classify", **changes: Any) -> Task:
    targets = {"classify": "label", "choose": "answer", "regress": "score", "generate": "summary", "tag": "tags"}
    fields = {
        "classify": ("text", "label"),
        "choose": ("question", "choices", "answer"),
        "regress": ("text", "score"),
        "generate": ("text", "turns", "summary"),
        "tag": ("tokens", "tags"),
    }
    known: dict[str, Any] = {
        "name": "news", "kind": kind, "fields": fields[kind], "target": targets[kind], "references": None,
        "labels": ("world", "sport") if kind == "classify" else None, "label_words": {}, "templates": {},
        "default_template": None, "metrics": (), "splits": {},
    }  # fmt: skip
    return Task(**{**known, **changes})


def template(source: str, kind: Any = "classify", **options: Any) -> Template:
    """A template called `plain` of a task of the kind; `fields`, `labels` … change the task."""
    block = {key: options.pop(key) for key in ("chat", "answer_choices") if key in options}
    made = {key: options.pop(key) for key in ("prefix", "verbalizer") if key in options}
    if options.pop("lenient", False):
        block["promptsource"] = {"id": "x"}
    return Template.from_block(
        "plain", TemplateBlock.model_validate({"jinja": source, **block}), make_task(kind, **options), **made
    )
