"""Prompts that ask without content: what a calibration compares a row's answer with.

They are made from a row's rendered prompt, by the marks that say which text came from the row, and not from a changed
row: conditions, loops, filters and random wordings of the template stay as this row has them, and a field left empty
is not a blank row to be skipped.
"""

from collections.abc import Collection
from dataclasses import replace

from tunewright.prompts.segments import Answer, Prompt, Segment, Soft, Text


def content_free(prompt: Prompt, text: str, kept: Collection[str] = ()) -> Prompt:
    """The prompt with `text` wherever the row's own stands, but for the fields in `kept` (the choices of a row).

    An empty text keeps its place, so that slots put after the fields stand where they stood.
    """
    segments = [
        Text(text, s.field) if isinstance(s, Text) and s.field is not None and s.field not in kept else s
        for s in prompt.segments
    ]
    return replace(_unanswered(prompt), segments=tuple(segments))


def domain_prompt(prompt: Prompt) -> Prompt:
    """The template's own words right before the answer: those after the last text of the row that stands before it.

    `Question: … Answer:` becomes ` Answer:`, the domain premise of Holtzman et al. 2021 (§3: most often the end of the
    prompt). Where the answer stands in the middle, its own words up to the row's next text follow. All slots stay.
    """
    at = next(i for i, s in enumerate(prompt.segments) if isinstance(s, Answer))
    before, after = prompt.segments[:at], prompt.segments[at:]
    first = max((i + 1 for i, s in enumerate(before) if _of_row(s)), default=0)
    end = next((i for i, s in enumerate(after) if _of_row(s)), len(after))
    slots_before = [s for s in before[:first] if isinstance(s, Soft)]
    slots_after = [s for s in after[end:] if isinstance(s, Soft)]
    return replace(_unanswered(prompt), segments=(*slots_before, *before[first:], *after[:end], *slots_after))


def _of_row(segment: Segment) -> bool:
    return isinstance(segment, Text) and segment.from_row


def _unanswered(prompt: Prompt) -> Prompt:
    """Without the row's answer: rows that differ in it alone ask the same."""
    return replace(prompt, target="", references=(), gold=None)
