"""`tunewright import openprompt`: a file of templates, or of label words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.cli.showing import show, show_json
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import write_text
from tunewright.interop.openprompt import import_templates
from tunewright.interop.openprompt_words import Words, is_words_file, read_words
from tunewright.prompts.template_file import readable_yaml


@dataclass
class Wanted:
    """What the command line says."""

    source: Path
    output: Path | None
    fields: dict[str, str]
    verbalizer: Path | None
    choice: int
    labels: list[str]


def import_openprompt(wanted: Wanted, as_json: bool) -> None:
    """Write or print what the file becomes; counts and reasons go to standard error where the file is printed."""
    if wanted.output is not None and wanted.output.exists():
        raise InputError(f"{wanted.output}: already there; choose another output")
    alone = is_words_file(wanted.source)
    if alone and wanted.verbalizer is not None:
        raise InputError(f"{wanted.source}: label words, and so is --verbalizer; a file of templates wanted")
    place = wanted.source if alone else wanted.verbalizer
    if place is None and (wanted.labels or wanted.choice != 1):
        raise InputError("--label and --choice are for label words: give --verbalizer FILE")
    words = read_words(place, wanted.choice, wanted.labels, wanted.fields) if place is not None else None
    lines: list[str] = _told(words, wanted.choice) if words is not None else []
    if alone:
        assert words is not None
        tree: dict[str, Any] = words.block()
        facts: dict[str, Any] = {**tree, "notes": list(lines)}
        lines.insert(0, f"label words read; classes: {len(words.words)}")
    else:
        done = import_templates(wanted.source, wanted.fields, words)
        if not done.templates:
            raise InputError(f"{wanted.source}: no template can be used: {_refusal(done.refused[0])}")
        tree = done.file(wanted.source).model_dump(exclude_defaults=True)
        notes = [*done.notes, *lines]
        facts = {
            "read": done.read, "kept": len(done.templates), "fields": done.fields, "templates": tree["templates"],
            "refused": [{"line": line, "reason": reason} for line, reason in done.refused], "notes": notes,
        }  # fmt: skip
        lines = [
            f"{done.read} templates read: {len(done.templates)} kept, {len(done.refused)} refused",
            *(f"refused: {_refusal(one)}" for one in done.refused),
            f"fields: {', '.join(done.fields) or 'none'} (--field THEIRS=OURS names them otherwise)",
            *(f"note: {note}" for note in notes),
        ]
    text = readable_yaml(tree)
    if wanted.output is not None:
        write_text(wanted.output, text)
    if as_json:
        show_json({"output": None if wanted.output is None else str(wanted.output), **facts})
        return
    for line in lines:
        (say if wanted.output is None else show)(line)
    show(f"written: {wanted.output}" if wanted.output is not None else text.rstrip("\n"))


def _refusal(one: tuple[int, str]) -> str:
    return f"line {one[0]}: {one[1]}"


def _told(words: Words, choice: int) -> list[str]:
    """What is to be said of label words."""
    notes = []
    if words.sets > 1:
        notes.append(f"set {choice} of {words.sets} is taken (--choice N takes another)")
    if words.glued:
        notes.append("<!>: no space stands before the answer")
    if words.shared:
        some = ", ".join(f"{word!r} ({', '.join(classes)})" for word, classes in list(words.shared.items())[:5])
        more = f" and {len(words.shared) - 5} more" if len(words.shared) > 5 else ""
        notes.append(f"left out, since they stand for several classes: {some}{more}")
    if words.classes is None and not words.written:
        notes.append("in the order of the file: the task's labels must have the same order (--label NAME names them)")
    return notes
