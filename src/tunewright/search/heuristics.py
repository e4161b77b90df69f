"""Variants of a template by rule: wording, form, position, punctuation, case, options (docs/hard-prompts.md)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, zip_longest
from typing import Any

from tunewright.backbones.base import Family
from tunewright.prompts.template import Template
from tunewright.runs.at_endpoint import Ready
from tunewright.search.candidates import Candidate
from tunewright.search.shape import ANSWER, MARKS, Shape, fitted, shape_of, write
from tunewright.seeds import python_random
from tunewright.settings import Strict
from tunewright.task_block import Kind

VERBS: dict[str, tuple[str, ...]] = {
    "classify": ("Classify", "Name", "Choose", "Determine", "Decide on", "Identify", "Tell", "State"),
    "choose": ("Choose", "Pick", "Select", "Find", "Determine", "Decide on", "Name", "Give"),
    "generate": ("Write", "Give", "State", "Provide", "Formulate", "Produce", "Find", "Add"),
}
LEADS: dict[str, tuple[str, ...]] = {
    "classify": ("The {noun} is", "It is", "It was", "In short:", "All in all, it is"),
    "choose": ("The {noun} is", "So it is", "The right one is", "That is", "In short:"),
    "generate": ("The {noun} is:", "In short:", "In other words:", "That is to say:", "Here is the {noun}:"),
}
Edit = Callable[[str], str]


@dataclass(frozen=True)
class Rule:
    """One change of a shape. Two rules of one `axis` exclude each other."""

    name: str
    axis: str
    change: Callable[[Shape], Shape]


class RulesSettings(Strict):
    """Rules have none."""


def rules(prepared: Ready, settings: RulesSettings, seed: int) -> Iterator[Candidate]:
    """Variants of the recipe's templates: one rule each at first, then pairs of rules of different kinds.

    The single ones come axis by axis in turn, so that the first few differ as much as they can; pairs in an order
    drawn with `seed`.
    """
    first, *others = prepared.templates
    streams = [variants(first, prepared.family, seed)]
    streams += [map(partial(_with_words, t), variants(t, prepared.family, seed)) for t in others]
    for group in zip_longest(*streams):
        yield from (candidate for candidate in group if candidate is not None)


def _with_words(template: Template, candidate: Candidate) -> Candidate:
    """Variants of another template than the first keep that template's words."""
    if candidate.answer_choices is not None:
        return candidate
    choices = template.answer_choices if isinstance(template.answer_choices, tuple) else template.first_words
    return replace(candidate, answer_choices=choices)


def variants(template: Template, family: Family, seed: int = 0) -> Iterator[Candidate]:
    """The different variants of one template, never itself. Kinds: classify, choose, generate."""
    seen: set[tuple[str, tuple[str, ...] | None]] = {(_key(template.source), None)}
    for candidate in _all(template, family, seed):
        key = (_key(candidate.jinja), candidate.answer_choices)
        if key not in seen:
            seen.add(key)
            yield replace(candidate, chat=template.chat)


def _key(source: str) -> str:
    """The text without the blanks inside braces, and without an answer at the end, where it goes anyway."""
    return re.sub(r"\{\{\s*|\s*\}\}", "", source.removesuffix(ANSWER))


def _all(template: Template, family: Family, seed: int) -> Iterator[Candidate]:
    kind, shape = template.task.kind, shape_of(template)
    axes: dict[str, list[Candidate]] = {}
    own = fitted(_with_answer(template.source), family) or template.source
    thing = "text" if shape is None else shape.thing
    for name, axis, edit in (*EDITS, *_around(kind, thing)):
        source = fitted(_with_answer(edit(_with_answer(template.source))), family)
        if source is not None:
            axes.setdefault(axis, []).append(Candidate(source, f"rule: {name}"))
    for name, case in CASES.items():
        if (words := _cased_words(template, case)) is not None:
            axes.setdefault("words", []).append(Candidate(own, f"rule: answers in {name}", words))
    usable = [] if shape is None else shape_rules(shape, kind, family)
    if shape is not None:
        for rule in usable:
            axes.setdefault(rule.axis, []).append(_made(shape, (rule,), kind, family))
    for group in zip_longest(*axes.values()):
        yield from (candidate for candidate in group if candidate is not None)
    if shape is not None:
        pairs = [pair for pair in combinations(usable, 2) if pair[0].axis != pair[1].axis]
        python_random("template rules", template.name, seed).shuffle(pairs)
        for pair in pairs:
            yield _made(shape, pair, kind, family)


def _made(shape: Shape, applied: tuple[Rule, ...], kind: Kind, family: Family) -> Candidate:
    for rule in applied:
        shape = rule.change(shape)
    return Candidate(write(shape, kind, family), "rule: " + " + ".join(rule.name for rule in applied))


# ---- rules that build the prompt anew from its fields ---------------------------------------------------


def shape_rules(shape: Shape, kind: Kind, family: Family) -> list[Rule]:
    """The rules that make sense for a shape, a kind of task and a family."""
    found: list[Rule] = []

    def add(name: str, axis: str, **changes: Any) -> None:
        found.append(Rule(name, axis, lambda s, c=changes: replace(s, **c)))  # type: ignore[misc]

    for verb in VERBS[kind]:
        add(f"verb {verb.lower()}", "instruction", instruction=f"{verb} the {shape.noun} of the {shape.thing}.")
    add("question what", "instruction", instruction=f"What is the {shape.noun} of the {shape.thing}?")
    if kind == "classify":
        add("question which", "instruction", instruction=f"Which {shape.noun} does the {shape.thing} have?")
    if shape.written is not None:
        add("own words", "instruction", instruction=shape.written)
    base = f"{VERBS[kind][1]} the {shape.noun} of the {shape.thing}."
    found.append(
        Rule(
            "field before instruction",
            "position",
            lambda s: replace(s, after=True, instruction=s.instruction or s.written or base),
        )
    )
    for lead in LEADS[kind]:
        lead = lead.format(noun=shape.noun)
        add(f"cloze {lead!r}", "form", lead=lead)
    for cue in ("Answer:", "Label:" if kind == "classify" else "Output:", "", "=>", f"{shape.noun.capitalize()} ="):
        add(f"cue {cue!r}" if cue else "no cue", "form", cue=cue)
    if family != "causal":
        add("answer first", "form", first=True)
    if kind in ("classify", "choose"):
        add("options in a line", "options", options="line")
        add("options as a list", "options", options="bullets")
        found.append(
            Rule("options in brackets", "options", lambda s: replace(s, options="brackets", instruction=_asked(s)))
        )
        found.append(Rule("options with or", "options", lambda s: replace(s, options="or", instruction=_asked(s))))

    def _asked(s: Shape) -> str:
        return s.instruction or f"What is the {shape.noun} of the {shape.thing}?"

    for body in ("named", "quoted", "tagged", "said"):
        add(f"field {body}", "body", body=body)
    add("blank lines", "gap", gap="\n\n")
    add("one line", "gap", gap=" ")
    if family != "masked":
        add("answer on its own line", "place", before_answer="\n")
    if len(shape.fields) > 1:
        found.append(Rule("fields reversed", "order", lambda s: replace(s, fields=s.fields[::-1])))
    return found


# ---- rules that keep the template's words ---------------------------------------------------------------


def _with_answer(source: str) -> str:
    """The answer's place written out; nothing for a template with `|||`, whose target is its own."""
    return source if ANSWER in source or "|||" in source else f"{source}{ANSWER}"


def on_words(edit: Edit) -> Edit:
    """An edit of the template's own words; what stands in braces stays."""

    def change(source: str) -> str:
        return "".join(part if MARKS.fullmatch(part) else edit(part) for part in MARKS.split(source))

    return change


def _capitals(text: str) -> str:
    return re.sub(r"(?<![\w'])[a-z]", lambda m: m.group().upper(), text)


def _cue(words: str) -> Edit:
    """The last line's words before the answer replaced."""

    def change(source: str) -> str:
        before, mark, behind = source.partition(ANSWER)
        parts = MARKS.split(before)
        above, line_break, line = parts[-1].rpartition("\n")
        if not mark or not line.strip() or not (line_break or (parts[-2:-1] and parts[-2].startswith("{%"))):
            return source
        return "".join((*parts[:-1], above, line_break, words, mark, behind))

    return change


EDITS: tuple[tuple[str, str, Edit], ...] = (
    ("lower case", "case", on_words(str.lower)),
    ("upper case", "case", on_words(str.upper)),
    ("capitals", "case", on_words(_capitals)),
    ("lines doubled", "lines", on_words(lambda text: re.sub(r"\n+", "\n\n", text))),
    ("lines joined", "lines", on_words(lambda text: re.sub(r"\n+", " ", text))),
    ("no colons", "punctuation", on_words(lambda text: text.replace(":", ""))),
    ("dashes for colons", "punctuation", on_words(lambda text: text.replace(":", " -"))),
    ("stop before the line", "punctuation", on_words(lambda text: re.sub(r"^\n", ".\n", text))),
    ("cue Answer:", "own cue", _cue("Answer: ")),
    ("cue A:", "own cue", _cue("A: ")),
)


def _around(kind: Kind, thing: str) -> list[tuple[str, str, Edit]]:
    """Edits that put something before the whole template, or before the line of the answer."""
    front = [("Read and answer", "front", _in_front(f"Read the {thing} and answer.\n"))]
    if kind == "generate":
        return front
    options = "{{ answer_choices | join(', ') }}"
    return [
        ("Answer with one of", "front", _in_front(f"Answer with one of: {options}.\n")),
        ("options before the cue", "own options", _before_last_line(f"Options: {options}\n")),
        *front,
    ]


def _in_front(words: str) -> Edit:
    return lambda source: f"{words}{source}"


def _before_last_line(words: str) -> Edit:
    def change(source: str) -> str:
        before, mark, behind = source.partition(ANSWER)
        parts = MARKS.split(before)
        above, line_break, line = parts[-1].rpartition("\n")
        return "".join((*parts[:-1], above, line_break, words, line, mark, behind)) if mark and line_break else source

    return change


CASES: dict[str, Edit] = {
    "lower case": str.lower,
    "upper case": str.upper,
    "capitals": lambda text: text[:1].upper() + text[1:],
}


def _cased_words(template: Template, case: Edit) -> tuple[str, ...] | None:
    """The label words in another case, None where that changes nothing or makes two of them equal."""
    if template.task.kind != "classify" or isinstance(template.answer_choices, str):
        return None
    words = template.first_words or ()
    changed = tuple(case(word) for word in words)
    return changed if changed != words and len(set(changed)) == len(words) else None
