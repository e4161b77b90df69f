"""Instruction induction (Honovich et al. 2022; APE, Zhou et al. 2022): a model sees rows and says what was asked."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.backbones.load import load_backbone
from tunewright.backbones.sampling import Sampling
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.methods.base import Tunable
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Segment, Text
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.candidates import Candidate
from tunewright.search.instructions import cleaned, instruction_template, key_of
from tunewright.search.words import first_template, text_fields
from tunewright.seeds import numpy_random, seed_of
from tunewright.settings import Strict
from tunewright.tasks.task import Row, Rows
from tunewright.training.tuner import Tuner

Form = Literal["plain", "chat"]
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
    model: str | None = Field(None, description="a model that writes; none: the recipe's own")
    forms: list[Form] = Field(
        ["plain", "chat"], min_length=1, description="text to be continued, or the model's chat template; in turn"
    )


def induce(prepared: Prepared, settings: InduceSettings, seed: int) -> Iterator[Candidate]:
    """Templates of instructions that a model draws from demonstrations, in the order drawn, none twice.

    The recipe's model answers as it is untuned. Raises InputError for a masked model (name another), a task without
    answers in words and a template without texts.
    """
    task = prepared.task
    if task.kind == "tag":
        raise InputError("induce: instructions for tasks of kind tag are not induced")
    template, names = first_template(prepared, "induce"), text_fields(prepared)
    tuner = _writer(prepared, settings)
    chats = bool(tuner.backbone.tokenizer.chat_template)
    forms = [form for form in dict.fromkeys(settings.forms) if form == "plain" or chats]
    if not forms:
        raise InputError(f"induce: {tuner.backbone.name} has no chat template; use forms: [plain]")
    return _drawn(prepared, tuner, template, names, forms, settings, seed)


def _drawn(
    prepared: Prepared,
    tuner: Tuner,
    template: Template,
    names: list[str],
    forms: list[Form],
    settings: InduceSettings,
    seed: int,
) -> Iterator[Candidate]:
    writer, seen, refused = tuner.backbone, set[str](), 0
    for number in range(settings.samples):
        form = forms[number % len(forms)]
        rows = _demonstrations(prepared, template, settings.examples, seed, number)
        rows, example = _fitting(writer, rows, names, form, settings)
        drawn = Sampling(settings.temperature, settings.top_p, seed_of("induce", seed, number) % 2**32)
        with prepared.tuner.tunable.detached():
            (text,) = tuner.generate(writer.collate([example], "left"), settings.max_new_tokens, drawn)
        whole = len(writer.text.ids_of_words(text)) < settings.max_new_tokens - 1  # the end token and a first space
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
    writer: Backbone, rows: list[tuple[Row, str]], names: Sequence[str], form: Form, settings: InduceSettings
) -> tuple[list[tuple[Row, str]], Example]:
    """As many of the rows as fit, cut shorter only where not even one does; and the question about them."""
    limit, room = settings.max_tokens, settings.max_new_tokens
    for count in range(len(rows), 0, -1):
        try:
            prompt = asked(rows[:count], names, form)
            (example,) = writer.encode_many([prompt], SlotLayout(), "generate", max_tokens=limit, room=room)
        except InputError:
            continue
        if not example.shortened or count == 1:
            return rows[:count], example
    raise InputError(
        f"induce: not one demonstration fits beside {room} new tokens: max_tokens is {limit}, "
        f"{writer.name} reads {writer.positions()}"
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


def _demonstrations(
    prepared: Prepared, template: Template, count: int, seed: int, number: int
) -> list[tuple[Row, str]]:
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


def _writer(prepared: Prepared, settings: InduceSettings) -> Tuner:
    """The model that writes; the recipe's own with what it was prepared with."""
    if settings.model is None:
        if prepared.backbone.family == "masked":
            raise InputError("induce: a masked model writes no instructions: name one that does (model: …)")
        return prepared.tuner
    backbone: Backbone = load_backbone(settings.model)
    if backbone.family == "masked":
        raise InputError(f"induce: model {settings.model!r}: a causal or seq2seq model wanted, found masked")
    backbone.model.requires_grad_(False)
    return Tuner(backbone, Tunable(backbone), prepared.tuner.precision).eval()
