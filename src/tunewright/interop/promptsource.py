"""PromptSource's template files (Bach et al. 2022): read with a loader that knows its two tags only, and written."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.files import write_folder, write_text
from tunewright.interop.promptsource_form import promptsource_form
from tunewright.prompts.compiled import Compiled
from tunewright.prompts.template_file import Readable, TemplateFile, write_templates
from tunewright.settings import PlainLoader, check_size, load_yaml, validate
from tunewright.task_block import PromptSourceBlock, TaskBlock, TemplateBlock
from tunewright.tasks.open import resolve

NAME = "templates.yaml"
_TAGS = ("!Template", "!TemplateMetadata")
_OWN = "tunewright"  # the key that holds a template of ours as it is, so that it comes back unchanged


class _Loader(PlainLoader):
    """Plain values and the two tags as mappings; any other tag is an error."""


def _mapping(loader: yaml.SafeLoader, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


for _tag in _TAGS:
    _Loader.add_constructor(_tag, _mapping)


class _Tagged(dict[str, Any]):
    """A mapping that is written with a tag."""

    tag = ""


class _Template(_Tagged):
    tag = "!Template"


class _Metadata(_Tagged):
    tag = "!TemplateMetadata"


class _Dumper(Readable):
    """Readable YAML with the two tags."""


for _kind in (_Template, _Metadata):
    _Dumper.add_representer(_kind, lambda dumper, value: dumper.represent_mapping(value.tag, dict(value)))


@dataclass
class Imported:
    """What became of a folder: `refused` are (file, template, reason)."""

    files: int = 0
    read: int = 0
    kept: int = 0
    refused: list[tuple[str, str, str]] = field(default_factory=list)


def import_folder(folder: Path, output: Path) -> Imported:
    """Write each `templates.yaml` under `folder` as a file of templates under `output`.

    A template that cannot be read or compiled is left out and named; a file that is no YAML, too.
    Raises InputError where there is no such file at all, or where `output` is there already.
    """
    found = sorted(folder.rglob(NAME)) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder}: no {NAME} in it or below")
    if output.exists():
        raise InputError(f"{output}: already there; choose another output")
    result = Imported(files=len(found))

    def fill(inside: Path) -> None:
        with progress("templates", len(found)) as bar:
            for path in found:
                file = _checked(path, result)
                if file is not None:
                    place = path.parent.relative_to(folder)
                    target = inside / (place if place.parts else Path(file.dataset or "templates"))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_templates(target.with_name(target.name + ".yaml"), file)
                bar.advance()

    write_folder(output, fill)
    return result


def _checked(path: Path, result: Imported) -> TemplateFile | None:
    """The file's usable templates; the others are counted and named in `result`."""
    try:
        tree = read_file(path)
    except InputError as error:
        result.refused.append((str(path), "", str(error).removeprefix(f"{path}: ")))
        return None
    kept: dict[str, TemplateBlock] = {}
    for name, block in blocks_of(tree):
        result.read += 1
        try:
            if isinstance(block, InputError):
                raise block
            if name in kept:
                raise InputError("another template of the file has this name")
            compile_block(block)
        except InputError as error:
            result.refused.append((str(path), name, str(error)))
            continue
        kept[name] = block
    result.kept += len(kept)
    if not kept:
        return None
    subset = tree.get("subset")
    return TemplateFile(dataset=str(tree["dataset"]), subset=None if subset is None else str(subset), templates=kept)


def compile_block(block: TemplateBlock) -> None:
    """Raises InputError where its Jinja is none, or there is no target to learn."""
    lenient = block.promptsource is not None
    made = Compiled("jinja", block.jinja, prefix="", lenient=lenient, fields_of=lambda name: (name,))
    if lenient and not made.may_split:
        raise InputError("jinja: no `|||` between prompt and target")
    if isinstance(block.answer_choices, str):
        Compiled("answer_choices", block.answer_choices, prefix="", lenient=lenient, fields_of=lambda name: (name,))


def read_file(path: Path) -> dict[str, Any]:
    """The keys of a PromptSource file: `dataset`, `subset`, `templates`. Raises InputError with the line."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a safe loader, and two tags)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{f' line {mark.line + 1}' if mark else ''}: {what}") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise InputError(f"{path}: {str(error).partition('; use sys.')[0]}") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("templates"), dict) or "dataset" not in tree:
        raise InputError(f"{path}: not a PromptSource file: keys dataset and templates wanted")
    check_size(tree, str(path))
    return tree


def blocks_of(tree: dict[str, Any]) -> Iterator[tuple[str, TemplateBlock | InputError]]:
    """(name, template) of each; what is no template comes with what is wrong with it."""
    for key, value in tree["templates"].items():
        if not isinstance(value, dict) or not isinstance(value.get("jinja"), str):
            yield str(key), InputError("no template: its text (jinja) is missing")
            continue
        name = str(value.get("name") or key)
        if isinstance(value.get(_OWN), dict):
            try:
                yield name, validate(TemplateBlock, value[_OWN], _OWN)
            except InputError as error:
                yield name, error
            continue
        choices = value.get("answer_choices")
        if choices is not None and not isinstance(choices, str):
            yield name, InputError(f"answer_choices: text wanted, found {type(choices).__name__}")
            continue
        other = {k: v for k, v in value.items() if k not in ("answer_choices", "jinja", "name", "metadata", "id")}
        known = {"id": str(value.get("id", key)), "metadata": value.get("metadata") or {}, **other}
        try:
            source = validate(PromptSourceBlock, known, "!Template")
        except InputError as error:
            yield name, error
            continue
        yield name, TemplateBlock(jinja=value["jinja"], answer_choices=choices, promptsource=source)


def write_file(path: Path, file: TemplateFile, task: TaskBlock | None = None) -> None:
    """Write templates as PromptSource has them; imported ones come out as they went in, ours are those of `task`.

    Raises InputError naming a template that PromptSource has no form for.
    """
    templates = {}
    for name, block in file.templates.items():
        value = _imported(name, block) if block.promptsource is not None else _own(name, block, task)
        templates[value["id"]] = value
    tree: dict[str, Any] = {"dataset": file.dataset}
    if file.subset is not None:
        tree["subset"] = file.subset
    text = yaml.dump({**tree, "templates": templates}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    write_text(path, text)


def export_task(name: str, path: Path) -> tuple[list[str], dict[str, str]]:
    """Write the templates of a task (its catalog name or file): the names written, and why others are not.

    An imported file of templates (`name` is its path) comes out as it went in.
    Raises InputError where none can be written.
    """
    if (imported := _templates_alone(Path(name))) is not None:
        write_file(path, imported)
        return list(imported.templates), {}
    task = resolve(name)
    written: dict[str, TemplateBlock] = {}
    left_out = {}
    for key, value in task.templates.items():
        block = TemplateBlock(jinja=value) if isinstance(value, str) else value
        try:
            promptsource_form(key, block, task)
            written[key] = block
        except InputError as error:
            left_out[key] = str(error)
    if not written:
        raise InputError(f"{name}: " + ("; ".join(left_out.values()) or "it has no templates"))
    write_file(path, TemplateFile(dataset=task.name or name, templates=written), task)
    return list(written), left_out


def _templates_alone(path: Path) -> TemplateFile | None:
    """The file of templates at `path`; None where it is no file, or a task's."""
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    tree = load_yaml(path)
    if not isinstance(tree, dict) or not set(tree) <= set(TemplateFile.model_fields):
        return None
    return validate(TemplateFile, tree, str(path))


def _imported(name: str, block: TemplateBlock) -> _Template:
    known = block.promptsource
    assert known is not None
    more = known.model_extra or {}
    return _Template(
        answer_choices=block.answer_choices, id=known.id, jinja=block.jinja, metadata=_Metadata(known.metadata),
        name=name, reference=known.reference, **more,
    )  # fmt: skip


def _own(name: str, block: TemplateBlock, task: TaskBlock | None) -> _Template:
    if task is None:
        raise InputError(f"template {name!r}: it is one of ours; its task is wanted to write it for PromptSource")
    jinja, choices = promptsource_form(name, block, task)
    languages: dict[str, Any] = {"choices_in_prompt": "answer_choices" in block.jinja, "languages": ["en"]}
    metadata = _Metadata(**languages, metrics=list(task.metrics or ()), original_task=True)
    return _Template(
        answer_choices=choices, id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}\n{block.jinja}")), jinja=jinja,
        metadata=metadata, name=name, reference="", **{_OWN: block.model_dump(exclude_defaults=True)},
    )  # fmt: skip
