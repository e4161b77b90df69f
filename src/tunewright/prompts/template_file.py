"""Files of templates: what `template: {file: FILE}` reads, and what imports and searches write."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from tunewright.errors import InputError, did_you_mean
from tunewright.files import write_text
from tunewright.settings import Strict, load_yaml, validate
from tunewright.task_block import NamedTemplates, TemplateBlock, TemplateFileBlock


class TemplateFile(Strict):
    """The templates of one data set, by name."""

    dataset: str | None = None
    subset: str | None = None
    about: str | None = None
    templates: NamedTemplates = Field(min_length=1)


def read_templates(wanted: TemplateFileBlock) -> dict[str, TemplateBlock]:
    """The templates named, or all of the file. Raises InputError for a file that holds none, or an unknown name."""
    path = Path(wanted.file)
    found = validate(TemplateFile, load_yaml(path), str(path)).templates
    for name in wanted.names or ():
        if name not in found:
            raise InputError(f"{path}: no template {name!r}{did_you_mean(name, found)}")
    return {name: found[name] for name in wanted.names or found}


def write_templates(path: Path, file: TemplateFile) -> None:
    """Write a file that `read_templates` reads."""
    write_text(path, readable_yaml(file.model_dump(exclude_defaults=True)))


def readable_yaml(tree: dict[str, Any]) -> str:
    """A tree of plain values as YAML for people."""
    return yaml.dump(tree, Dumper=Readable, sort_keys=False, allow_unicode=True, width=120)


class Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not any(line.endswith((" ", "\t")) for line in text.split("\n")) else None
    if any(sign in text for sign in "\x85\u2028\u2029"):  # line breaks to YAML, which come back as others
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Readable.add_representer(str, _text)
