"""`tunewright list` and `tunewright show`: what there is to choose from."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import list_table, show, show_json

if TYPE_CHECKING:
    from tunewright.backbones.catalog import ModelEntry
    from tunewright.tasks.task import Task

_LISTS = ("tasks", "methods", "models", "templates", "mixtures")
_THINGS = ("task", "method", "model", "template")


def list_(
    what: Annotated[str, typer.Argument(metavar="tasks|methods|models|templates|mixtures", show_default=False)],
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="For templates: the task.")] = None,
    as_json: Json = False,
) -> None:
    """List the tasks and models of the catalog, the methods, the shipped mixtures, or a task's templates (of all tasks,
    without TASK).
    """
    _known(what, _LISTS)
    if task is not None and what != "templates":
        from tunewright.errors import InputError

        raise InputError(f"list {what}: takes no further word, found {task!r}")
    ways = {"tasks": _tasks, "methods": _methods, "models": _models, "mixtures": _mixtures}
    found = _templates(task) if what == "templates" else ways[what]()
    if as_json:
        show_json(found)
        return
    table = list_table(*found[0])
    for entry in found:
        table.add_row(*(", ".join(v) if isinstance(v, list) else str(v or "") for v in entry.values()))
    show(table)


def show_(
    what: Annotated[str, typer.Argument(metavar="task|method|model|template", show_default=False)],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name; a template's is TASK/TEMPLATE.")],
    row: Annotated[
        bool, typer.Option("--row", help="For a template: render one row (the task's data may be downloaded).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one task, method, model or template: what it is and its settings."""
    _known(what, _THINGS)
    found = {"task": _task, "method": _method, "model": _model, "template": lambda n: _template(n, row)}[what](name)
    if as_json:
        show_json(found)
        return
    table = list_table("", "")
    table.show_header = False
    settings = found.pop("settings", None)
    for key, value in found.items():
        if value not in (None, [], {}):
            table.add_row(key.replace("_", " "), _text(value))
    show(table)
    if settings:
        lines = list_table("setting", "default", "type", "meaning")
        for setting in settings:
            lines.add_row(*(str(setting[key]) for key in ("name", "default", "type", "meaning")))
        show(lines)


def _mixtures() -> list[dict[str, Any]]:
    from tunewright.mixtures.block import mixture_names, read_mixture, task_count

    found = [(name, read_mixture(name)) for name in mixture_names()]
    return [{"mixture": name, "tasks": task_count(block), "about": block.about} for name, block in found]


def _known(word: str, words: tuple[str, ...]) -> None:
    from tunewright.errors import InputError, did_you_mean

    if word not in words:
        raise InputError(f"{word!r} is none of {', '.join(words)}{_hint(did_you_mean(word, words))}")


def _hint(text: str) -> str:
    return text if "did you mean" in text else ""


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_text(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _tasks() -> list[dict[str, Any]]:
    from tunewright.tasks.catalog import catalog_entry, catalog_names

    entries = [(name, catalog_entry(name)) for name in catalog_names()]
    return [
        {
            "name": name,
            "kind": e.kind or "text",
            "cluster": e.cluster,
            "source": _source(e),
            "templates": len(e.templates),
            "about": e.about,
        }
        for name, e in entries
    ]


def _source(block: Any) -> str:
    if block.package:
        return f"package {block.package.name}"
    if block.generator:
        return "made here"
    if block.hub is None:
        return f"no hub: {block.origin}"
    return f"hub {block.hub if isinstance(block.hub, str) else block.hub.id}"


def _methods() -> list[dict[str, Any]]:
    from tunewright.methods.registry import METHODS, method_class

    classes = [(name, method_class(name)) for name in METHODS]
    return [{"name": name, "trains": c.trains, "families": list(c.families), "about": c.about} for name, c in classes]


def _models() -> list[dict[str, Any]]:
    from tunewright.backbones.catalog import model_catalog

    return [
        {
            "name": name,
            "family": entry.family,
            "hub": entry.hub,
            "without a hub": _without_hub(name, entry),
            "about": entry.about,
        }
        for name, entry in model_catalog().items()
    ]


def _without_hub(name: str, entry: "ModelEntry") -> str | None:
    from tunewright.backbones.fetch import made_folder

    if entry.wheel:
        return f"package {entry.wheel.name}"
    if entry.made_by:
        return "made" if made_folder(name).is_dir() else f"tunewright pretrain {entry.made_by}"
    return None


def _templates(task: str | None) -> list[dict[str, Any]]:
    from tunewright.tasks.catalog import catalog_names
    from tunewright.tasks.open import resolve

    found = []
    for name in [task] if task else catalog_names():
        for key, block in resolve(name).templates.items():
            jinja = block if isinstance(block, str) else block.jinja
            found.append({"task": name, "name": key, "jinja": jinja})
    return found or [{"task": task, "name": None, "jinja": None}]


def _task(name: str) -> dict[str, Any]:
    from tunewright.tasks.open import resolve

    return resolve(name).model_dump(exclude_none=True, exclude_defaults=True, mode="json")


def _method(name: str) -> dict[str, Any]:
    from dataclasses import asdict

    from tunewright.methods.registry import method_class

    cls = method_class(name)
    properties = cls.model_json_schema().get("properties", {})
    return {
        "name": name,
        "about": cls.about,
        "trains": cls.trains,
        "families": list(cls.families),
        "optimizer": asdict(cls.defaults) if cls.defaults else None,
        "optimizer_by_family": {family: asdict(defaults) for family, defaults in cls.by_family.items()},
        "settings": [
            {"name": key, "default": p.get("default"), "type": _type(p), "meaning": p.get("description", "")}
            for key, p in properties.items()
        ],
    }


def _type(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words: `integer above 0`, `front, end or null`."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    limits = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "up to"}
    words = [f"{word} {schema[key]:g}" for key, word in limits.items() if key in schema]
    inner = f" of {_type(schema['items'])}" if "items" in schema else ""
    return " ".join([schema.get("type", "any") + inner, *words])


def _model(name: str) -> dict[str, Any]:
    from tunewright.backbones.catalog import model_catalog
    from tunewright.errors import InputError, did_you_mean

    entry = model_catalog().get(name)
    if entry is None:
        raise InputError(f"no model {name!r} in the catalog{did_you_mean(name, model_catalog())}")
    return {"name": name, **entry.model_dump(exclude_none=True)}


def _template(name: str, with_row: bool) -> dict[str, Any]:
    from tunewright.errors import InputError, did_you_mean
    from tunewright.task_block import TemplateBlock
    from tunewright.tasks.open import resolve

    task, slash, key = name.rpartition("/")
    if not slash:
        raise InputError(f"template {name!r}: TASK/TEMPLATE wanted, e.g. bbc-news/plain")
    block = resolve(task)
    if key not in block.templates:
        raise InputError(f"task {task} has no template {key!r}{did_you_mean(key, block.templates)}")
    found = block.templates[key]
    found = TemplateBlock.model_validate({"jinja": found}) if isinstance(found, str) else found
    content = {"task": task, "name": key, **found.model_dump(exclude_none=True)}
    if with_row:
        content |= _rendered(task, found, key)
    return content


def _rendered(name: str, block: Any, key: str) -> dict[str, Any]:
    """The first training row that the template does not skip."""
    from tunewright.prompts.template import Template
    from tunewright.tasks.open import open_task

    task: Task = open_task(name, partial=True)
    template = Template.from_block(key, block, task)
    rows = task.split("train")
    for i in range(len(rows)):
        prompt = template.render(rows[i])
        if prompt is not None:
            return {"row": rows.ids[i], "prompt": prompt.text(), "target": prompt.target}
    return {}
