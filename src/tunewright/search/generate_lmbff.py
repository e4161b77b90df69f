"""LM-BFF's generated templates (Gao et al. 2021, section 5.2): a T5-like model writes what stands around the answer."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Literal

from pydantic import Field

from tunewright.backbones.load import load_backbone
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared, sample
from tunewright.search.candidates import Candidate
from tunewright.search.joint_decoding import Filled, joint_beam, sentinels
from tunewright.search.words import escaped, first_template, text_fields, texts_of
from tunewright.seeds import seed_of
from tunewright.settings import Strict
from tunewright.tasks.task import Row, Rows

Placement = Literal["before", "after", "between"]


class LMBFFSettings(Strict):
    """How templates are generated."""

    beam: int = Field(100, gt=0, description="templates kept at each step of the decoding, of each placement")
    max_length: int = Field(20, gt=1, description="tokens of a template's words, two ends included")
    model: str | None = Field(None, description="a T5-like model that writes the words; none: the recipe's own")
    placements: list[Literal["before", "after"]] = Field(
        ["before", "after"], min_length=1, description="of the answer to the text; a pair has it between its two texts"
    )
    rows: int = Field(64, gt=0, description="training rows read together, drawn with the seed")
    max_tokens: int = Field(256, gt=7, description="of a row's texts, as the writing model reads them")


def lm_bff(prepared: Prepared, settings: LMBFFSettings, seed: int) -> Iterator[Candidate]:
    """Templates around the text and the answer of the training rows, the likeliest first.

    The model reads `text <extra_id_0> label word <extra_id_1>` (before: the label word first; a pair: between the two
    texts) and fills both places for all rows together. For a causal model, which writes its answer last: `before` is
    left out, a pair stands before the answer as one text, and the words after the answer are cut off; both is said.
    Raises InputError for a model without sentinels, a task without answers in words, and a template without texts.
    """
    task = prepared.task
    if task.kind not in ("classify", "choose"):
        raise InputError(f"lm-bff: a task of kind classify or choose wanted, found {task.kind}")
    template, names = first_template(prepared, "lm-bff"), text_fields(prepared)
    if len(names) > 2:
        raise InputError(f"lm-bff: one or two texts wanted, template {template.name!r} shows {', '.join(names)}")
    placements = _placements(settings, len(names), prepared.backbone.family == "causal")
    writer = _writer(prepared, settings)
    rows = sample(task.split("train"), settings.rows, seed_of("lm-bff", seed) % 2**32)
    return _written(prepared, writer, rows, template, names, placements, settings)


def _written(
    prepared: Prepared,
    writer: Seq2SeqBackbone,
    rows: Rows,
    template: Template,
    names: list[str],
    placements: list[Placement],
    settings: LMBFFSettings,
) -> Iterator[Candidate]:
    causal = prepared.backbone.family == "causal"
    seen: set[str] = set()
    for placement in placements:
        inputs = [ids for row in rows if (ids := _input(writer, template, row, names, placement, settings)) is not None]
        if not inputs:
            raise InputError(f"lm-bff: template {template.name!r} skips every training row drawn")
        own = writer is prepared.backbone
        with prepared.tuner.autocast() if own else nullcontext():
            found = joint_beam(writer, inputs, beam=settings.beam, max_length=settings.max_length)
        if not found:
            say(f"lm-bff: {placement}: no text came to its end; raise max_length or beam, or name another model")
        for filled in found:
            jinja = _template(writer, filled, names, placement, causal)
            if jinja is None or jinja in seen:
                continue
            seen.add(jinja)
            cut = ", cut after the answer" if causal and filled.parts[1] else ""
            yield Candidate(jinja, f"lm-bff {placement}{cut}, log p {filled.log_prob:.2f}", chat=template.chat)


def _placements(settings: LMBFFSettings, texts: int, causal: bool) -> list[Placement]:
    if not causal:
        return ["between"] if texts == 2 else [*dict.fromkeys(settings.placements)]
    if texts == 2:
        say("lm-bff: a causal model answers last: both texts stand before the answer")
        return ["after"]
    if "after" not in settings.placements:
        raise InputError("lm-bff: placements: a causal model answers last: add after")
    if "before" in settings.placements:
        say("lm-bff: a causal model answers last: placement `before` is left out, words after the answer are cut off")
    return ["after"]


def _writer(prepared: Prepared, settings: LMBFFSettings) -> Seq2SeqBackbone:
    """The model that writes; its sentinels are checked first."""
    if settings.model is None and not isinstance(prepared.backbone, Seq2SeqBackbone):
        found = prepared.backbone.family
        raise InputError(f"lm-bff: a T5-like model writes the templates, the recipe's is {found}: name one (model: …)")
    writer = prepared.backbone if settings.model is None else load_backbone(settings.model)
    if not isinstance(writer, Seq2SeqBackbone):
        raise InputError(f"lm-bff: model {settings.model!r}: a T5-like model wanted, found {writer.family}")
    sentinels(writer, 2)
    return writer


def _input(
    writer: Seq2SeqBackbone,
    template: Template,
    row: Row,
    names: list[str],
    placement: Placement,
    settings: LMBFFSettings,
) -> list[int] | None:
    """What the writing model reads of a row; None where the template skips it, or it has no answer.

    A long text loses its beginning where the answer follows it, its end where the answer stands before it.
    """
    prompt = template.render(row)
    if prompt is None or not prompt.target:
        return None
    first, second, _ = sentinels(writer, 2)
    answer = [first, *writer.text.ids_of_words(prompt.target.strip()), second]
    texts = [writer.text.ids_of_words(str(row[name]).strip()) for name in names]
    share = settings.max_tokens // len(texts)
    if placement == "between":
        middle = [*texts[0][-share:], *answer, *texts[1][:share]]
    elif placement == "after":
        middle = [*(i for text in texts for i in text[-share:]), *answer]
    else:
        middle = [*answer, *texts[0][:share]]
    return [*writer.text.before, *middle, *writer.text.after]


def _template(
    writer: Seq2SeqBackbone, filled: Filled, names: list[str], placement: Placement, causal: bool
) -> str | None:
    """The Jinja text; None where the words cannot be written in one."""
    try:
        before, after = (escaped(text) for text in texts_of(writer, filled.parts))
    except ValueError:
        return None
    fields = [f"{{{{ {name} }}}}" for name in names]
    if placement == "before":
        return f"{before} {{{{ answer }}}}{after} {fields[0]}".lstrip()
    if placement == "between":
        return f"{fields[0]}{before} {{{{ answer }}}}{after} {fields[1]}"
    return f"{' '.join(fields)}{before} {{{{ answer }}}}" + ("" if causal else after)
