"""What remedies against forgetting take of the memory, beside the training itself."""

from collections.abc import Sequence

from tunewright.backbones.examples import Example
from tunewright.forgetting.other_rows import OtherRows
from tunewright.methods.base import OptimizerDefaults
from tunewright.runs.prepare import Prepared
from tunewright.training.memory import gradient_bytes, kept_by_rows
from tunewright.training.tuner import Tuner

# Of the KL term, a number of fp32 for each logit: both log probabilities, their difference, exp, the product.
_KL_FLOATS = 5


def copy_bytes(prepared: Prepared) -> int:
    """What remedies keep through the whole training: the start of the trained weights (L2-SP and EWC share one, WiSE-FT
    has its own), EWC's Fisher information in fp32, KL's frozen copy of the model where nothing can be detached."""
    block, tuner = prepared.recipe.remedies, prepared.tuner
    if block is None:
        return 0
    start = gradient_bytes(tuner)
    found = start if block.l2_sp is not None or block.ewc is not None else 0
    if block.ewc is not None:
        found += sum(4 * p.numel() for p in tuner.tunable.trained().values())
    if block.wise_ft is not None:
        found += start
    if block.kl is not None and not tuner.tunable.detaches:
        found += sum(p.numel() * p.element_size() for p in tuner.model.parameters())
    return found


def pass_bytes(prepared: Prepared, most_logits: int) -> int:
    """What the largest pass over other rows (`replay`, `kl`, one row for `ewc`) keeps and has at hand; 0 without one.

    They come one after the other, and not together with the task's own pass. Wants `prepared.remedies` opened, else 0.
    `most_logits`: bytes of logits that are there together at most, but for KL, which makes all of its own.
    """
    opened = prepared.remedies
    if opened is None:
        return 0
    tuner, block = opened.subject.tuner, opened.block
    found = 0
    if block.replay is not None:
        step = prepared.recipe.training.batch_size or _default_rows(prepared)
        count = max(1, round(step * block.replay.share / (1 - block.replay.share)))
        found = max(found, _a_pass(tuner, _longest(opened.rows["replay"]), count, most_logits))
    if block.ewc is not None:
        found = max(found, _a_pass(tuner, _longest(opened.rows["ewc"]), 1, most_logits))
    if block.kl is not None:
        longest, count = _longest(opened.rows["kl"]), block.kl.batch_size
        logits = _asked(longest) * count * tuner.backbone.vocabulary
        found = max(found, _a_pass(tuner, longest, count, most_logits) + 4 * _KL_FLOATS * logits)
    return found


def _default_rows(prepared: Prepared) -> int:
    """Rows a step where the recipe names none; by tokens it is not known, and the method's own number stands for it."""
    defaults = prepared.method.defaults_for(prepared.family)
    assert isinstance(defaults, OptimizerDefaults)
    return defaults.batch_size


def _a_pass(tuner: Tuner, example: Example, rows: int, most_logits: int) -> int:
    kept = kept_by_rows(tuner, lambda count: tuner.backbone.collate([example] * count), rows)
    return kept.states + kept.copies + 2 * kept.largest + kept.block + 2 * min(kept.logits, most_logits)


def _longest(rows: OtherRows) -> Example:
    examples: Sequence[Example] = [pair.attached for pair in rows.pairs]
    return max(examples, key=lambda example: (example.tokens, _asked(example)))


def _asked(example: Example) -> int:
    return sum(len(view.asks) for view in example.views)
