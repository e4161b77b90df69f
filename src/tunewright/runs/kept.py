"""`tuned/`: what is kept of a run, enough to answer new rows without the data it was tuned on."""

import json
from pathlib import Path
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone
from tunewright.errors import InputError
from tunewright.methods.registry import make_method
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.recipe import Recipe, TemplateBlock
from tunewright.runs.folder import recipe_tree
from tunewright.runs.prepare import Prepared, assemble
from tunewright.settings import validate
from tunewright.tasks.task import Task


def write_kept(folder: Path, prepared: Prepared) -> None:
    """Write the tuned weights and `tuned.json` into `folder` (made beforehand, renamed when whole)."""
    task = prepared.task
    prepared.tuner.tunable.save(folder)
    content = {
        "recipe": recipe_tree(prepared.recipe),
        "layout": prepared.layout.to_json(),
        "task": {
            "name": task.name,
            "kind": task.kind,
            "fields": list(task.fields),
            "target": task.target,
            "references": task.references,
            "labels": list(task.labels) if task.labels else None,
            "label_words": {label: list(words) for label, words in task.label_words.items()},
            "metrics": list(task.metrics),
        },
        "templates": {
            t.name: {"jinja": t.source, "chat": t.chat, "answer_choices": list(t.answer_choices or ()) or None}
            for t in prepared.templates
        },
    }
    (folder / "tuned.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_kept(folder: Path, backbone: Backbone | None = None) -> Prepared:
    """A tuned model ready to answer: a run's folder or its `tuned/`. Its task has no rows.

    Raises InputError where the folder is none, or does not fit the model.
    """
    inside = folder / "tuned" if (folder / "tuned").is_dir() else folder
    try:
        content = json.loads((inside / "tuned.json").read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{folder}: no tuned/tuned.json: not a finished run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{inside}/tuned.json: not valid JSON: {error}") from None
    for key in ("recipe", "layout", "task", "templates"):
        if not isinstance(content, dict) or key not in content:
            raise InputError(f"{inside}/tuned.json: key {key!r} is missing: not written by this program")
    recipe = validate(Recipe, content["recipe"], f"{inside}/tuned.json recipe")
    task = _task(content["task"], content["templates"])
    templates = [
        Template.from_block(name, TemplateBlock.model_validate(block), task)
        for name, block in content["templates"].items()
    ]
    backbone = backbone or load_backbone(recipe.model)
    prepared = assemble(recipe, task, templates, make_method(recipe.method), backbone)
    if prepared.layout != SlotLayout.from_json(content["layout"]):
        raise InputError(f"{inside}: its slots do not fit this model's tokenizer: it was made with another model")
    prepared.tuner.tunable.load(inside)
    return prepared


def _task(value: dict[str, Any], templates: dict[str, Any]) -> Task:
    return Task(
        name=value["name"],
        kind=value["kind"],
        fields=tuple(value["fields"]),
        target=value["target"],
        references=value["references"],
        labels=tuple(value["labels"]) if value["labels"] else None,
        label_words={label: tuple(words) for label, words in value["label_words"].items()},
        templates={name: TemplateBlock.model_validate(block) for name, block in templates.items()},
        default_template=next(iter(templates)),
        metrics=tuple(value["metrics"]),
        splits={},
    )
