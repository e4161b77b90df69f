"""OpenPrompt's template files (Ding et al. 2022): one template a line, written as a file of templates of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import InputError
from tunewright.interop.openprompt_jinja import Fields, jinja_of
from tunewright.interop.openprompt_parse import Piece, pieces_of, text_of
from tunewright.interop.openprompt_words import Words
from tunewright.prompts.compiled import Compiled
from tunewright.prompts.template_file import TemplateFile
from tunewright.task_block import TemplateBlock

# OpenPrompt's class is told by a file's name; what the class trains is the method's business here.
_METHODS = {
    "ptuning": "slots go through an encoder in OpenPrompt: `method: p-tuning` does so",
    "soft_template": "OpenPrompt puts slots in front of everything: `method: prompt-tuning` does so",
    "prefix": "a prefix in every layer is no template: `method: prefix-tuning` trains one",
}


@dataclass
class Imported:
    """What became of a file: templates by name, `refused` as (line, reason), the fields read, what is to be told."""

    templates: dict[str, TemplateBlock] = field(default_factory=dict)
    read: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def file(self, path: Path) -> TemplateFile:
        """The file of templates."""
        return TemplateFile(about=f"from OpenPrompt's {path.name}", templates=self.templates)


def import_templates(path: Path, names: Mapping[str, str], words: Words | None = None) -> Imported:
    """The templates of an OpenPrompt file. `names`: what `text_a`, `text_b`, and meta's names are called here.

    Without any, `text_a` is `text` in a file that has no `text_b`. With `words` each template gets them. A line that
    cannot be a template is refused and named. Raises InputError for a file without templates, or an unused name.
    """
    lines = _lines(path)
    parsed: list[tuple[int, list[Piece] | InputError]] = []
    for number, line in lines:
        try:
            parsed.append((number, _pieces(line)))
        except InputError as error:
            parsed.append((number, error))
    if not any(isinstance(found, InputError) or any(p.kind == "mask" for p in found) for _, found in parsed):
        raise InputError(f'{path}: no template in it: no line has {{"mask"}}')
    pieces = [piece for _, found in parsed if not isinstance(found, InputError) for piece in found]
    known = {piece.value for piece in pieces if piece.kind in ("placeholder", "meta")}
    for name in names:
        if name not in known:
            told = f"it reads {', '.join(sorted(known))}" if known else "it reads no field"
            raise InputError(f"{path}: no template has {name!r} (--field): {told}")
    defaults = {} if "text_b" in known else {"text_a": "text"}
    fields, notes = Fields(defaults | dict(names)), dict.fromkeys(_told(path))
    result = Imported(read=len(parsed))
    stem = re.sub(r"[^\w.-]+", "-", path.stem).removesuffix("_template") or "template"
    keys = words.block() if words is not None else {}
    for number, found in parsed:
        name = stem if len(parsed) == 1 else f"{stem}-{number}"
        try:
            if isinstance(found, InputError):
                raise found
            own = Fields(fields.names)
            result.templates[name] = _block(found, own, name, words, keys, notes)
            fields.read |= own.read
        except InputError as error:
            result.refused.append((number, str(error)))
    result.fields, result.notes = list(fields.read), list(notes)
    return result


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = text_of(path, "templates").replace("\r\n", "\n").split("\n")
    return [(number, line.rstrip()) for number, line in enumerate(lines, 1) if line.strip()]


def _pieces(line: str) -> list[Piece]:
    try:
        return pieces_of(line)
    except RecursionError:
        raise InputError("nested too deeply") from None


def _block(
    pieces: list[Piece], fields: Fields, name: str, words: Words | None, keys: dict[str, Any], notes: dict[str, None]
) -> TemplateBlock:
    masks = sum(piece.kind == "mask" for piece in pieces)
    if masks != 1:
        told = "nothing is asked" if not masks else "one answer a template here, as one text"
        raise InputError(f'{masks or "no"} {{"mask"}}: {told}')
    glued = words is not None and words.glued
    jinja = jinja_of(pieces, fields, name=name, spaced=not glued, notes=notes)
    Compiled("jinja", jinja, prefix=name, lenient=False, fields_of=lambda field: (field,))
    return TemplateBlock(jinja=jinja, **keys)


def _told(path: Path) -> list[str]:
    return [told for part, told in _METHODS.items() if part in path.stem]
