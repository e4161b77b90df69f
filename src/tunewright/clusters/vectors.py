"""A vector for each text, from any model: the mean of the states of what it reads, at length one."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.backbones.load import load_backbone
from tunewright.backbones.vectors import mean_of_states
from tunewright.clusters.texts import Texts
from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.prompts.detached import without_slots
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Text
from tunewright.runs.kept import Kept, load_kept, read_kept
from tunewright.runs.prepare import Prepared
from tunewright.tasks.task import Rows
from tunewright.training.batches import cut
from tunewright.training.rows import RowEncoder

MAX_TOKENS = 256
BATCH_TOKENS = 8192
_FIRST = 4  # rows by which a tuned model must differ from the untuned one
_NO_SLOTS = SlotLayout()


@dataclass(frozen=True)
class Side:
    """A model's vectors [n, d] of all texts. `cut`: how many texts were cut to `max_tokens`."""

    label: str
    vectors: np.ndarray
    cut: int
    max_tokens: int


def plain_side(texts: Texts, model: str, max_tokens: int | None) -> Side:
    """The texts as they are, read by a model that nobody tuned. Raises InputError where there is no such model."""
    backbone, limit = load_backbone(model), max_tokens or MAX_TOKENS
    prompts = [Prompt((Text(text, "text"), Answer()), "") for text in texts.texts]
    names = [f"row {name}" for name in texts.names]
    examples = backbone.encode_many(prompts, _NO_SLOTS, "pool", max_tokens=limit, names=names)
    return _side("untuned", backbone, examples, limit)


def both_sides(texts: Texts, model: str | None, run: Path, max_tokens: int | None) -> list[Side]:
    """The untuned and the tuned model; both read the rows as the run does, in its template.

    The tuned model has its soft prompts where the run has them (their states count in the mean, too). Computed in
    fp32, so that the two differ in the tuning alone. Raises InputError for a run whose vectors are those of the
    untuned model, or that has no one vector a text.
    """
    if max_tokens is not None:
        raise InputError("--max-tokens: with --tuned the rows are cut as the run cut them (its training.max_tokens)")
    kept = read_kept(run)
    if model is not None and model != kept.recipe.local_model:
        raise InputError(f"--model {model}: {run} tuned {kept.recipe.local_model}; leave --model out")
    number = _check(kept, texts, run)
    opened = kept.opened[number]
    template = opened.templates[0]
    rows = _rows_for(template.fields_used() - {opened.task.target, opened.task.references}, texts, run)
    backbone, limit = load_backbone(kept.recipe.local_model), kept.recipe.training.max_tokens
    plain = RowEncoder(rows, [template], backbone, _NO_SLOTS, limit, kept.recipe.training.seed, without_slots)
    untuned = _side("untuned", backbone, _all(plain, run), limit)  # first: tuned weights are put over the model's
    prepared = load_kept(run, backbone, "fp32").parts[number]
    table, deep = _what_is_attached(prepared, run)
    examples = _all(replace(prepared.encoder(rows), templates=[template]), run)
    seen = any(row >= 0 for view in examples[0].views for row in view.soft)
    inside = any(name.startswith("model.") for name in prepared.tuner.tunable.trained())
    first = mean_vectors(backbone, examples[:_FIRST], table, deep)
    unseen = table is not None and not (seen or inside)  # slots of the decoder alone
    if unseen or np.allclose(first, untuned.vectors[:_FIRST], atol=1e-6):
        raise InputError(f"{run}: what was tuned leaves the model's vectors as they were; nothing to set beside them")
    return [untuned, _side("tuned", backbone, examples, limit, table, deep)]


@torch.no_grad()
def mean_vectors(
    backbone: Backbone, examples: Sequence[Example], table: Tensor | None = None, deep: Tensor | None = None,
    title: str | None = None,
) -> np.ndarray:  # fmt: skip
    """Vectors [n, d] of examples made for `pool`, fp32, at length one; an encoder-decoder's are its encoder's."""
    backbone.model.eval()
    order = sorted(range(len(examples)), key=lambda i: -examples[i].tokens)
    found = np.zeros((len(examples), backbone.width), np.float32)
    with nullcontext() if title is None else progress(title, len(examples)) as bar:
        at = 0
        for part in cut([examples[i] for i in order], None, BATCH_TOKENS):
            batch = backbone.collate(part)
            given = table if batch.any_soft else None
            if backbone.family == "seq2seq":
                states = backbone.encoder_states(batch, given)  # [R, T, d]
            else:
                states = backbone.states(batch, given, deep)
            found[order[at : at + len(part)]] = mean_of_states(states, batch.mask).cpu().numpy()
            at += len(part)
            if bar is not None:
                bar.advance(len(part))
    return found


def _side(
    label: str, backbone: Backbone, examples: Sequence[Example], limit: int, table: Tensor | None = None,
    deep: Tensor | None = None,
) -> Side:  # fmt: skip
    vectors = mean_vectors(backbone, examples, table, deep, f"vectors, {label}")
    return Side(label, vectors, sum(example.shortened for example in examples), limit)


def _check(kept: Kept, texts: Texts, run: Path) -> int:
    """Which of the run's tasks reads the texts. Raises InputError where a run has none, or no vectors of its own."""
    method = kept.recipe.method
    if method["name"] in ("none", "in-context"):
        raise InputError(f"{run}: method {method['name']} tunes nothing; its vectors are the untuned model's")
    if method["name"] == "head" and method.get("backbone") == "frozen":
        raise InputError(f"{run}: only the head was tuned; its vectors are the untuned model's")
    names = [one.task.name for one in kept.opened]
    if len(names) == 1:
        return 0
    if texts.source not in names:
        raise InputError(f"{run}: tuned on {', '.join(names)}; cluster the rows of one of these")
    return names.index(texts.source)


def _rows_for(used: set[str], texts: Texts, run: Path) -> Rows:
    """What the run's template reads: its one field holds the text; several have to be the rows' own."""
    if len(used) == 1:
        return Rows({next(iter(used)): texts.texts}, texts.rows.ids)
    for name in sorted(used):
        if name not in texts.rows.columns:
            fields = ", ".join(sorted(used))
            raise InputError(f"{run}: its template shows {fields}; {texts.source} has no field {name!r}")
    return texts.rows


def _what_is_attached(prepared: Prepared, run: Path) -> tuple[Tensor | None, Tensor | None]:
    """The soft prompt's table [S, d] and the deep prompt."""
    tunable = prepared.tuner.tunable
    if tunable.members > 1:
        raise InputError(f"{run}: {tunable.members} prompts answer together; a text has no one vector")
    with torch.no_grad():
        table, deep = tunable.table(), tunable.layer_kv()
    if deep is not None and prepared.backbone.family == "seq2seq":
        raise InputError(f"{run}: its prefix stands before the decoder; the encoder's vectors are the untuned model's")
    return table, deep


def _all(encoder: RowEncoder, run: Path) -> list[Example]:
    found = encoder.examples(range(len(encoder.rows)), 0, "pool")
    for example, name in zip(found, encoder.rows.ids):
        if example is None:
            raise InputError(f"{run}: its template leaves row {name} empty")
    return [example for example in found if example is not None]
