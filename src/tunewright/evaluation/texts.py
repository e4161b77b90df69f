"""Loss, perplexity and accuracy of a model on blocks of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tunewright.backbones.examples import Example
from tunewright.evaluation.intervals import Interval, interval_of_mean
from tunewright.objectives.raw_text import Make
from tunewright.seeds import numpy_random
from tunewright.training.tuner import Tuner


@dataclass
class Looked:
    """What some blocks say of a model. `losses`: a number a block, whose mean is the loss."""

    scores: dict[str, Interval]
    losses: list[float]


@torch.no_grad()
def look_at(tuner: Tuner, examples: Sequence[Example], batch_size: int) -> Looked:
    """`loss` (nats an asked token), `perplexity` (its exponential), `accuracy`: each token counts the same.

    A block of which nothing is asked (one document a token) counts in neither.
    """
    tuner.eval()
    nats: list[float] = []
    hits: list[float] = []
    counts: list[float] = []
    asked = [example for example in examples if any(view.asks for view in example.views)]
    for at in range(0, len(asked), batch_size):
        batch = tuner.backbone.collate(asked[at : at + batch_size])
        log_probs, right = tuner.answers(batch)
        count = torch.zeros(batch.examples, device=log_probs.device).index_add(
            0, batch.ask_slot, torch.ones_like(log_probs)
        )
        counts += count.tolist()
        for found, values in ((nats, -log_probs), (hits, right.float())):
            found += torch.zeros_like(count).index_add(0, batch.ask_slot, values).tolist()
    losses = by_block(nats, counts)
    loss, accuracy = interval_of_mean(losses, (0.0, math.inf)), interval_of_mean(by_block(hits, counts), (0.0, 1.0))
    return Looked({"loss": loss, "perplexity": exponential(loss), "accuracy": accuracy}, losses)


def by_block(sums: Sequence[float], counts: Sequence[float]) -> list[float]:
    """A number a block whose mean is Σ sums / Σ counts, and whose spread is that ratio's (its linearisation, Cochran
    1977 §6.3). With equal counts: each block's own mean."""
    if len(set(counts)) == 1:
        return [value / counts[0] for value in sums]
    ratio, usual = sum(sums) / sum(counts), sum(counts) / len(counts)
    return [ratio + (value - ratio * count) / usual for value, count in zip(sums, counts)]


def measure(tuner: Tuner, examples: Sequence[Example], batch_size: int) -> dict[str, Interval]:
    """The scores of `look_at`."""
    return look_at(tuner, examples, batch_size).scores


def exponential(loss: Interval) -> Interval:
    """The perplexity of a mean loss, or how many times as high it became for a difference of two."""
    bounds = [None if bound is None else math.exp(bound) for bound in (loss.low, loss.high)]
    return Interval(math.exp(loss.value), *bounds)


def noised(make: Make, held_out: Sequence[Sequence[int]], stage: int) -> list[Example]:
    """Held-out blocks with noise that is the same at every look."""
    return [make(block, numpy_random("held-out-noise", stage, i)) for i, block in enumerate(held_out)]
