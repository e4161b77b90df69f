"""`tuned/`: what is kept of a run, enough to answer new rows without the data it was tuned on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import Precision
from tunewright.errors import InputError
from tunewright.methods.base import Method
from tunewright.methods.registry import make_method
from tunewright.prompts.demonstrations import PoolRow
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.runs.at_endpoint import Ready, assemble_at
from tunewright.runs.demonstrations import FILE, read_pools, write_pools
from tunewright.runs.folder import recipe_tree
from tunewright.runs.prepare import Opened, Prepared, assemble_all
from tunewright.settings import validate
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import Task


def write_kept(folder: Path, prepared: Ready) -> None:
    """Write the tuned weights and `tuned.json` into `folder` (made beforehand, renamed when whole).

    A run of several tasks has `parts` there, each with the `task` and `templates` that a run of one has itself.
    """
    layout = SlotLayout()
    if isinstance(prepared, Prepared):
        prepared.tuner.tunable.save(folder)
        layout = prepared.layout
    content = {"recipe": recipe_tree(prepared.recipe), "layout": layout.to_json()}
    if prepared.several:
        content["parts"] = [_part_json(part) for part in prepared.parts]
    else:
        content |= _part_json(prepared)
    pools = [(one.task, one.templates, one.demonstrator.pool) for one in prepared.parts if one.demonstrator is not None]
    if pools:
        write_pools(folder / FILE, pools)
    (folder / "tuned.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _part_json(part: Ready) -> dict[str, Any]:
    task = part.task
    content: dict[str, Any] = {
        "task": {
            "name": task.name,
            "kind": task.kind,
            "fields": list(task.fields),
            "target": task.target,
            "references": task.references,
            "labels": list(task.labels) if task.labels else None,
            "label_words": {label: list(words) for label, words in task.label_words.items()},
            "metrics": list(task.metrics),
            "columns": dict(task.columns),
            "numbers": list(task.numbers),
        },
        "templates": {t.name: t.block().model_dump(exclude_defaults=True) for t in part.templates},
    }
    if part.template_accuracy is not None:
        content["template_accuracy"] = {t.name: value for t, value in zip(part.templates, part.template_accuracy)}
    return content


@dataclass(frozen=True)
class Kept:
    """What `tuned.json` says, before any model is loaded."""

    inside: Path  # the folder it stands in
    recipe: Recipe
    opened: list[Opened]
    layout: SlotLayout


def read_kept(folder: Path) -> Kept:
    """The `tuned.json` of a run's folder, or of its `tuned/`. Raises InputError where the folder is none."""
    inside = folder / "tuned" if (folder / "tuned").is_dir() else folder
    try:
        content = json.loads((inside / "tuned.json").read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{folder}: no tuned/tuned.json: not a finished run") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{inside}/tuned.json: not valid JSON: {error}") from None
    parts = content["parts"] if isinstance(content, dict) and "parts" in content else [content]
    for key, places in (("recipe", [content]), ("layout", [content]), ("task", parts), ("templates", parts)):
        if any(not isinstance(place, dict) or key not in place for place in places):
            raise InputError(f"{inside}/tuned.json: key {key!r} is missing: not written by this program")
    recipe = validate(Recipe, content["recipe"], f"{inside}/tuned.json recipe")
    opened = []
    for alone, part in zip(recipe.apart(), parts):
        task = _task(part["task"], part["templates"])
        templates = [
            Template.from_block(
                name,
                TemplateBlock.model_validate(block),
                task,
                prefix=f"{task.name}/{name}" if recipe.several else None,
            )
            for name, block in part["templates"].items()
        ]
        accuracy = part.get("template_accuracy")
        kept = tuple(float(accuracy[template.name]) for template in templates) if accuracy else None
        opened.append(Opened(alone, task, templates, kept))
    return Kept(inside, recipe, opened, SlotLayout.from_json(content["layout"]))


def load_kept(folder: Path, backbone: Backbone | None = None, precision: Precision | None = None) -> Prepared:
    """A tuned model ready to answer: a run's folder or its `tuned/`. Its tasks have no rows.

    `precision`: what to compute in, where not as the run did.
    Raises InputError where the folder is none, or does not fit the model, or the model is behind an API.
    """
    kept = read_kept(folder)
    if isinstance(kept.recipe.model, EndpointBlock):
        raise InputError(f"{folder}: its model is {kept.recipe.model_name}, whose weights cannot be reached")
    if backbone is None:
        from tunewright.runs.merged import load_model  # its model may be a run too

        backbone = load_model(kept.recipe.model)
    method = make_method(kept.recipe.method).kept_in(kept.inside)
    recipe = kept.recipe
    if precision is not None:
        recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": precision})})
    prepared = assemble_all(recipe, kept.opened, method, backbone, _pools(kept, method))
    if prepared.layout != kept.layout:
        raise InputError(f"{kept.inside}: its slots do not fit this model's tokenizer: it was made with another model")
    prepared.tuner.tunable.load(kept.inside)
    return prepared


def load_answering(folder: Path) -> Ready:
    """The same where answers alone are wanted: a model behind an API will do. Raises InputError as `load_kept`."""
    kept = read_kept(folder)
    if isinstance(kept.recipe.model, EndpointBlock):
        method = make_method(kept.recipe.method)
        return assemble_at(kept.recipe, kept.opened, method, _pools(kept, method))
    return load_kept(folder)


def _pools(kept: Kept, method: Method) -> list[list[PoolRow]] | None:
    """What the run's in-context examples are taken from, where its method or one of its tasks has any."""
    if method.demonstrations() is None and not any(one.recipe.exemplars for one in kept.opened):
        return None
    return read_pools(kept.inside / FILE, [(one.task, one.templates) for one in kept.opened])


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
        columns=value.get("columns", {}),
        numbers=tuple(value.get("numbers", ())),
        splits={},
    )
