"""Which part of a run's rows never changes, and whether it is read once and kept."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from tunewright.backbones.constant_prefix import ConstantPrefixes, bytes_a_token, can_keep
from tunewright.backbones.prefix_store import PrefixStore, room
from tunewright.methods.base import OptimizerDefaults
from tunewright.runs.prepare import Prepared, sample
from tunewright.training.loop import Plan

_ROWS = 64  # looked at


@dataclass(frozen=True)
class Constant:
    """Of a row's `tokens` so many are `constant`, on average; `bytes` keep those of one row."""

    constant: float
    tokens: float
    bytes: float


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
    a_step = training.batch_size or defaults.batch_size
    if training.batch_tokens is not None:
        a_step = max(1, training.batch_tokens // training.max_tokens)
    if training.packing or training.gradient_checkpointing:  # rows begin in mid-sequence; checkpoints take no cache
        return None
    if prepared.mixture is not None:  # a row comes in another wording and form each time
        return None
    if plan.steps * a_step < 2 * rows or (found := constant_part(prepared)) is None:
        return None
    looked_at = sum(len(part.validation()) for part in prepared.parts)
    wordings = max(len(part.templates) for part in prepared.parts)  # a row has another prefix in each template
    if (rows + looked_at) * wordings * found.bytes > room(folder):
        return None
    return ConstantPrefixes(prepared.backbone, PrefixStore(folder if folder.is_dir() else None))
