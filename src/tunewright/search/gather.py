"""Candidates collected from the generators: each compiled, rendered on every row, and different from the others."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.console import Bar, progress, say
from tunewright.endpoints.faults import Ended
from tunewright.errors import InputError
from tunewright.files import write_jsonl
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.runs.at_endpoint import Ready
from tunewright.runs.prepare import Prepared
from tunewright.search.candidates import READ_WEIGHTS, Candidate, generator
from tunewright.search.recipe import TemplatesBlock
from tunewright.search.scorer import RowScore, Scorer
from tunewright.task_block import TemplateBlock

_DRAWS = 20  # a generator is left when so many times the wanted number came out of it


@dataclass
class Entry:
    """A candidate in the race. `prompts` are those of the deciding rows, `scores` of the first so many of them."""

    number: int
    candidate: Candidate
    block: TemplateBlock
    template: Template
    prompts: list[Prompt]
    scores: list[RowScore] = field(default_factory=list)
    refused: str | None = None


@dataclass
class Stream:
    """A generator at work, and how many candidates came out of it."""

    name: str
    candidates: Iterator[Candidate]
    made: int = 0


@dataclass
class Gathered:
    """What came out of the generators. `refused`: (how, template, reason)."""

    entries: list[Entry]
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    equal: int = 0  # candidates whose prompts are those of an earlier one


def open_streams(prepared: Ready, block: TemplatesBlock) -> list[Stream]:
    """The generators called, their settings checked; no candidate is made yet."""
    streams: list[Stream] = []
    for keys in block.generators:
        own = {key: value for key, value in keys.items() if key != "name"}
        if keys["name"] in READ_WEIGHTS and not isinstance(prepared, Prepared):
            raise InputError(
                f"search.generators: {keys['name']} reads the weights of a model, and those of "
                f"{prepared.recipe.model_name} cannot be reached; use rules or induce"
            )
        make, settings = generator(keys["name"], own)
        streams.append(Stream(keys["name"], make(prepared, settings, prepared.recipe.training.seed)))
    return streams


def gather(prepared: Ready, streams: list[Stream], wanted: int, scorer: Scorer, kept: Path) -> Gathered:
    """The recipe's templates and as many candidates as `wanted`, from each of the streams in turn.

    They are written to the file `kept` once all are there; where it exists already they come from it.
    """
    if kept.is_file():
        return _again(prepared, scorer, kept)
    seen: set[int] = set()
    found = Gathered([])
    for template in prepared.templates:
        if not template.slots:  # those with slots are what AutoPrompt fills
            _add(found, seen, scorer, given(template), template.block(), template)
    if found.refused and not found.entries:
        raise InputError(f"template {prepared.templates[0].name!r}: {found.refused[0][2]}")
    with progress("candidates", wanted) as bar:
        _fill(found, seen, prepared.templates[0], streams, wanted, scorer, bar)
    if not found.entries:
        raise InputError(f"no generator made a template that can be asked{_why(found)}")
    lines = [_line(entry.candidate) for entry in found.entries]
    refused = [{"refused": reason, "how": how, "jinja": jinja} for how, jinja, reason in found.refused]
    write_jsonl(kept, [{"equal": found.equal}, *lines, *refused])
    return found


def given(template: Template) -> Candidate:
    """A template of the recipe as a candidate."""
    choices = template.answer_choices if isinstance(template.answer_choices, tuple) else None
    return Candidate(template.source, f"given: {template.name}", choices, chat=template.chat)


def _fill(
    found: Gathered,
    seen: set[int],
    start: Template,
    streams: list[Stream],
    wanted: int,
    scorer: Scorer,
    bar: Bar,
) -> None:
    bar.advance(len(found.entries))
    for _ in range(_DRAWS * wanted):
        for stream in list(streams):
            if len(found.entries) >= wanted:
                return
            candidate = next(stream.candidates, None)
            if candidate is None:
                streams.remove(stream)
                say(f"generator {stream.name}: {stream.made} candidates, and no more")
                continue
            stream.made += 1
            if _add(found, seen, scorer, candidate, None, start):
                bar.advance(1, candidate.how)


def _add(
    found: Gathered, seen: set[int], scorer: Scorer, candidate: Candidate, block: TemplateBlock | None, start: Template
) -> bool:
    """Take a candidate in, unless it cannot be asked or asks what another one asks already."""
    number = len(found.entries)
    try:
        block = block or candidate.block(start)
        template = Template.from_block(f"candidate-{number}", block, start.task)
        if template.slots:
            raise InputError("it has soft slots")
        prompts = scorer.prompts(template)
        key = hash(tuple(prompts))
        if key in seen:
            found.equal += 1
            return False
        scorer.look(template)
    except Ended:
        raise
    except InputError as error:
        found.refused.append((candidate.how, candidate.jinja, str(error)))
        return False
    seen.add(key)
    found.entries.append(Entry(number, candidate, block, template, prompts))
    return True


def _why(found: Gathered) -> str:
    return f"; the first one was refused: {found.refused[0][2]}" if found.refused else ""


def _line(candidate: Candidate) -> dict[str, Any]:
    line: dict[str, Any] = {"how": candidate.how, "jinja": candidate.jinja}
    if candidate.answer_choices is not None:
        line["answer_choices"] = list(candidate.answer_choices)
    return line | {"score": candidate.score, "chat": candidate.chat}


def _again(prepared: Ready, scorer: Scorer, kept: Path) -> Gathered:
    """The candidates of an earlier start."""
    found = Gathered([])
    starts: Sequence[Template] = prepared.templates
    own = {f"given: {template.name}": template for template in starts}
    for text in kept.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if "equal" in line:
            found.equal = line["equal"]
        elif "refused" in line:
            found.refused.append((line["how"], line["jinja"], line["refused"]))
        else:
            choices = tuple(line["answer_choices"]) if "answer_choices" in line else None
            candidate = Candidate(line["jinja"], line["how"], choices, line["score"], line["chat"])
            block = own[candidate.how].block() if candidate.how in own else candidate.block(starts[0])
            template = Template.from_block(f"candidate-{len(found.entries)}", block, starts[0].task)
            entry = Entry(len(found.entries), candidate, block, template, scorer.prompts(template))
            found.entries.append(entry)
    return found
