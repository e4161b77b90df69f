"""Whether a run's slots stand where PEFT puts virtual tokens: one group before everything else."""

import re
from pathlib import Path

from tunewright.errors import InputError
from tunewright.prompts.layout import SlotGroup
from tunewright.prompts.segments import Answer, Prompt, Text
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared

_OPENS = re.compile(r"\{\{-?\s*soft\([^{}()]*\)\s*-?\}\}")  # the text of a template that begins with its slots
_PAIR = re.compile(r"\bsep\b")
_ADVICE = "tune with method.placement: very-front and a template without slots"


def check_front(run: Path, part: Prepared) -> None:
    """Raise InputError unless a task's prompts have one group of slots before everything else, in every row."""
    for template in part.templates:
        group = _group(run, part, template)
        if group.side == "decoder":
            raise InputError(f"{run}: its slots stand in the decoder, PEFT's virtual tokens before the encoder's input")
        if template.slots and (len(template.slots) > 1 or not _OPENS.match(template.source)):
            raise InputError(
                f"{run}: PEFT puts its virtual tokens before everything, and once; the template {template.name!r} does "
                f"not simply begin with its slots: {_ADVICE}"
            )
        ids, soft = _example(part, template)
        if soft[: group.length] != list(range(group.start, group.start + group.length)):
            special = ids[0] in part.backbone.tokenizer.all_special_ids
            first = repr(part.backbone.tokenizer.decode(ids[:1])) if special else "text"
            raise InputError(f"{run}: PEFT puts virtual tokens before everything; here {first} comes first: {_ADVICE}")
        types = int(getattr(part.backbone.model.config, "type_vocab_size", 0) or 0)
        if part.backbone.family == "masked" and types > 1 and _PAIR.search(template.source):
            raise InputError(
                f"{run}: PEFT drops token types, and the template {template.name!r} is a pair ({{{{ sep }}}})"
            )


def _example(part: Prepared, template: Template) -> tuple[list[int], list[int]]:
    """Ids and soft index of a made-up row, with the slots where this run has them."""
    segments = (Text("text", "text"), Text(" "), Answer())
    if template.slots:
        asked = Prompt((template.slots[0], *segments), "", chat=template.chat)
    else:
        asked = part.own_slots(Prompt(segments, "", chat=template.chat))
    (example,) = part.backbone.encode_many([asked], part.layout, "pool")
    return example.views[0].ids, example.views[0].soft


def _group(run: Path, part: Prepared, template: Template) -> SlotGroup:
    """The group of a template's own slots, else the one that the method adds to this task's prompts."""
    wanted = {template.slots[0].slot} if template.slots else {f"{part.task.name}/prompt", "shared/prompt"}
    for group in part.layout.groups:
        if group.name in wanted:
            return group
    raise InputError(f"{run}: the task {part.task.name!r} has no slots")
