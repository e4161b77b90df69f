"""Instruction induction (Honovich et al. 2022; APE, Zhou et al. 2022): a model sees rows and says what was asked."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from tunewright.backbones.sampling import Sampling
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.prompts.segments import Answer, Prompt, Segment, Text
from tunewright.prompts.template import Template
from tunewright.recipe import ModelKey
from tunewright.runs.at_endpoint import Ready
from tunewright.search.candidates import Candidate
from tunewright.search.instructions import cleaned, instruction_template, key_of
from tunewright.search.words import first_template, text_fields
from tunewright.search.writers import Form, Writer, writer_of
from tunewright.seeds import numpy_random, seed_of
from tunewright.settings import Strict
from tunewright.tasks.task import Row, Rows

_OPENING = (
    "I gave a friend an instruction. Based on the instruction they produced the following input-output pairs:\n\n"
)
_ENDING = {
    "plain": "The instruction was to",
    "chat": "What was the instruction? Write the instruction only, as one sentence that could be given to somebody "
    "else.",
}


class InduceSettings(Strict):
    """How instructions are asked for."""

    examples: int = Field(5, gt=0, description="training rows shown, of all labels in turn; drawn afresh each time")
    samples: int = Field(20, gt=0, description="instructions asked for")
    temperature: float = Field(0.9, gt=0)
    top_p: float = Field(0.9, gt=0, le=1)
    max_new_tokens: int = Field(50, gt=0)
    max_tokens: int = Field(1024, gt=7, description="of the demonstrations, the question and the answer")
    model: ModelKey | None = Field(None, description="a model that writes, of files or an API; none: the recipe's own")
    forms: list[Form] = Field(
        ["plain", "chat"], min_length=1, description="text to be continued, or the model's chat template; in turn"
    )


def induce(prepared: Ready, settings: InduceSettings, seed: int) -> Iterator[Candidate]:
    """Templates of instructions that a model draws from demonstrations, in the order drawn, none twice.

    The recipe's model answers as it is untuned. Raises InputError for a masked model (name another), a task without
    answers in words and a template without texts.
    """
    task = prepared.task
    if task.kind == "tag":
        raise InputError("induce: instructions for tasks of kind tag are not induced")
    template, names = first_template(prepared, "induce"), text_fields(prepared)
    writer = writer_of(prepared, settings.model)
    forms = [form for form in dict.fromkeys(settings.forms) if form in writer.forms]
    if not forms:
        way = "has no chat template" if writer.forms == ("plain",) else "is asked in chats"
        raise InputError(f"induce: {writer.name} {way}; use forms: [{', '.join(writer.forms)}]")
    return _drawn(prepared, writer, template, names, forms, settings, seed)


def _drawn(
    prepared: Ready,
    writer: Writer,
    template: Template,
    names: list[str],
    forms: list[Form],
    settings: InduceSettings,
    seed: int,
) -> Iterator[Candidate]:
    seen, refused = set[str](), 0
    for number in range(settings.samples):
        form = forms[number % len(forms)]
        rows = _demonstrations(prepared, template, settings.examples, seed, number)
        rows, prompt = _fitting(writer, rows, names, form, settings)
        drawn = Sampling(settings.temperature, settings.top_p, seed_of("induce", seed, number) % 2**32)
        text, whole = writer.write(prompt, settings.max_tokens, settings.max_new_tokens, drawn)
        instruction = cleaned(text, [str(row[name]) for row, _ in rows for name in names], whole=whole)
        if instruction is None or key_of(instruction) in seen:
            refused += 1
            continue
        seen.add(key_of(instruction))
        jinja = instruction_template(instruction, names, lists_choices=prepared.task.kind == "choose")
        yield Candidate(jinja, f"induced ({form}, sample {number + 1})", chat=template.chat)
    if refused:
        say(f"induce: {refused} of {settings.samples} texts were no instruction, or one seen before")


def _fitting(
    writer: Writer, rows: list[tuple[Row, str]], names: Sequence[str], form: Form, settings: InduceSettings
) -> tuple[list[tuple[Row, str]], Prompt]:
    """As many of the rows as fit, cut shorter only where not even one does; and the question about them."""
    limit, room = settings.max_tokens, settings.max_new_tokens
    for count in range(len(rows), 0, -1):
        prompt = asked(rows[:count], names, form)
        if writer.fits(prompt, limit, room, cut=count == 1):
            return rows[:count], prompt
    raise InputError(
        f"induce: not one demonstration fits beside {room} new tokens: max_tokens is {limit}, {writer.reads}"
    )


def asked(rows: Sequence[tuple[Row, str]], names: Sequence[str], form: Form) -> Prompt:
    """The demonstrations and the question; special tokens in rows' texts stay characters."""
    segments: list[Segment] = [Text(_OPENING)]
    for row, target in rows:
        for name in names:
            label = "Input" if len(names) == 1 else name.replace("_", " ").capitalize()
            segments += [Text(f"{label}: "), Text(str(row[name]).strip(), name), Text("\n")]
        segments += [Text("Output: "), Text(target.strip(), "answer"), Text("\n\n")]
    return Prompt((*segments, Text(_ENDING[form]), Answer()), "", chat=form == "chat")


def _demonstrations(prepared: Ready, template: Template, count: int, seed: int, number: int) -> list[tuple[Row, str]]:
    """Training rows with their answers, labels in turn, drawn for this sample."""
    train, task = prepared.task.split("train"), prepared.task
    order = [int(i) for i in numpy_random("induce", seed, number).permutation(len(train))]
    found: list[tuple[Row, str]] = []
    for index in _in_turn(train, order, task.target, task.labels):
        row = train[index]
        prompt = template.render(row)
        if prompt is not None and prompt.target.strip():
            found.append((row, prompt.target))
        if len(found) == count:
            break
    if not found:
        raise InputError(f"induce: template {template.name!r} skips every training row")
    return found


def _in_turn(rows: Rows, order: Sequence[int], target: str, labels: Sequence[str] | None) -> Iterator[int]:
    """The order, but one row of each label after the other; labels in the order in which they come first."""
    if labels is None:
        yield from order
        return
    column = rows.columns[target]
    groups: dict[str, list[int]] = {}
    for index in order:
        groups.setdefault(str(column[index]), []).append(index)
    for turn in range(max(map(len, groups.values()), default=0)):
        yield from (mine[turn] for mine in groups.values() if turn < len(mine))
