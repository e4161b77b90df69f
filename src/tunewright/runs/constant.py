"""Which part of a run's rows never changes, and whether it is read once and kept."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tunewright.backbones.constant_encodings import ConstantEncodings, can_keep_encodings, has_dropout
from tunewright.backbones.constant_prefix import ConstantPrefixes, bytes_a_token, can_keep
from tunewright.backbones.prefix_store import PrefixStore, room
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.methods.base import OptimizerDefaults
from tunewright.runs.looks import objective_of, purpose_in_training
from tunewright.runs.prepare import Prepared, sample
from tunewright.training.loop import Plan

_ROWS = 64  # looked at


@dataclass(frozen=True)
class Constant:
    """Of a row's `tokens` so many are `constant`, on average; `bytes` keep those of one row.

    `looks`: they are read once in looks at validation only.
    """

    constant: float
    tokens: float
    bytes: float
    looks: bool = False


def constant_part(prepared: Prepared) -> Constant | None:
    """What stands before the first slot of some training rows; None where nothing constant does."""
    if prepared.backbone.plain or not prepared.layout.rows or not can_keep(prepared.backbone):
        return None
    before, tokens = [], []
    for part in prepared.parts:
        rows = sample(part.task.split("train"), _ROWS, 0)
        for example in part.encoder(rows).examples(range(len(rows)), 0, "answer"):
            if example is None:
                continue
            soft = example.views[0].soft
            first = next((i for i, slot in enumerate(soft) if slot >= 0), 0)
            if not first:
                return None  # such a row's batch is read whole
            before.append(first)
            tokens.append(len(soft))
    if not before:
        return None
    return Constant(fmean(before), fmean(tokens), fmean(before) * bytes_a_token(prepared.backbone))


def constant_prefixes(
    prepared: Prepared, plan: Plan, defaults: OptimizerDefaults, rows: int, folder: Path
) -> ConstantPrefixes | None:
    """A store for what stands before the slots, where training reads its rows twice or more and there is room."""
    training = prepared.recipe.training
    if training.packing or training.gradient_checkpointing:  # rows begin in mid-sequence; checkpoints take no cache
        return None
    if prepared.mixture is not None:  # a row comes in another wording and form each time
        return None
    if not _come_again(prepared, plan, defaults, rows) or (found := constant_part(prepared)) is None:
        return None
    if _rows_kept(prepared, rows) * found.bytes > room(folder):
        return None
    return ConstantPrefixes(prepared.backbone, PrefixStore(folder if folder.is_dir() else None))


def constant_encoder(prepared: Prepared) -> Constant | None:
    """What an encoder reads of some training rows; None where slots are in it, it is trained, or there is none."""
    if prepared.backbone.plain or not can_keep_encodings(prepared.backbone):
        return None
    reader, read, tokens = prepared.backbone.reader, [], []
    for part in prepared.parts:
        rows = sample(part.task.split("train"), _ROWS, 0)
        purpose = purpose_in_training(prepared, objective_of(prepared))
        for example in part.encoder(rows).examples(range(len(rows)), 0, purpose):
            if example is None:
                continue
            if any(slot >= 0 for slot in example.views[0].soft):
                return None
            read.append(len(example.views[0].ids))
            tokens.append(example.tokens)
    if not read:
        return None
    size = fmean(read) * prepared.backbone.width * next(reader.parameters()).element_size()
    return Constant(fmean(read), fmean(tokens), size, looks=has_dropout(reader))


def constant_encodings(
    prepared: Prepared, plan: Plan, defaults: OptimizerDefaults, rows: int, folder: Path
) -> tuple[ConstantEncodings | None, int]:
    """A store for encoder states of rows that are read again, and the bytes it will hold; None where there are none.

    Training rows are kept where they come twice or more and the model has no dropout, validation's where there are two
    looks or more.
    """
    if prepared.mixture is not None or (found := constant_encoder(prepared)) is None:
        return None, 0
    again = not found.looks and _come_again(prepared, plan, defaults, rows)
    looks = plan.steps // plan.evaluate_every if plan.evaluate_every else 0
    kept = int(_rows_kept(prepared, rows if again else 0) * found.bytes)
    if (looks < 2 and not again) or kept > room(folder):
        return None, 0
    store = PrefixStore(folder if folder.is_dir() else None)
    return ConstantEncodings(prepared.backbone, store, in_training=again), kept


def keep_encodings(prepared: Prepared, encodings: ConstantEncodings | None) -> None:
    """Let the backbone use the store (None: no longer)."""
    if isinstance(prepared.backbone, Seq2SeqBackbone):
        prepared.backbone.encodings = encodings


def _come_again(prepared: Prepared, plan: Plan, defaults: OptimizerDefaults, rows: int) -> bool:
    """Whether training reads its rows twice or more."""
    training = prepared.recipe.training
    a_step = training.batch_size or defaults.batch_size
    if training.batch_tokens is not None:
        a_step = max(1, training.batch_tokens // training.max_tokens)
    return plan.steps * a_step >= 2 * rows


def _rows_kept(prepared: Prepared, rows: int) -> int:
    """So many of training and those of validation, in each of a task's templates."""
    looked_at = sum(len(part.validation()) for part in prepared.parts)
    return (rows + looked_at) * max(len(part.templates) for part in prepared.parts)
