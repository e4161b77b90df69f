"""Adds a method's own slots to a prompt whose template has none."""

from dataclasses import replace
from typing import Literal

from tunewright.prompts.segments import Answer, Prompt, Segment, Soft, Text

Placement = Literal["very-front", "front", "after-fields", "end"]


def with_slots(prompt: Prompt, soft: Soft, placement: Placement) -> Prompt:
    """`prompt` with `soft` put in.

    very-front: before everything, BOS or CLS too (PEFT's place). front: before the template's text. after-fields: after
    the last text of the row (front, where there is none). end: before the first trained answer and the white space that
    belongs to it: `…Topic:` slots ` ` answer.
    """
    segments = list(prompt.segments)
    if placement in ("very-front", "front"):
        new: list[Segment] = [replace(soft, first=placement == "very-front"), *segments]
    elif placement == "after-fields":
        after = max((i + 1 for i, s in enumerate(segments) if isinstance(s, Text) and s.from_row), default=0)
        new = [*segments[:after], soft, *segments[after:]]
    else:
        new = _before_answer(segments, soft)
    return replace(prompt, segments=tuple(new))


def _before_answer(segments: list[Segment], soft: Soft) -> list[Segment]:
    place = next((i for i, s in enumerate(segments) if isinstance(s, Answer) and s.trained), len(segments))
    before, rest = segments[:place], segments[place:]
    last = before[-1] if before else None
    if isinstance(last, Text) and not last.from_row:
        words = last.text.rstrip()
        kept: list[Segment] = [Text(words)] if words else []
        tail: list[Segment] = [Text(last.text[len(words) :])] if len(words) < len(last.text) else []
        return [*before[:-1], *kept, soft, *tail, *rest]
    return [*before, soft, *rest]
