"""Loss, perplexity and accuracy on held-out blocks, with intervals over blocks, and what changed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunewright.backbones.examples import Example
from tunewright.evaluation.intervals import Interval, interval_of_mean
from tunewright.pretraining.raw.objectives import Make
from tunewright.seeds import numpy_random
from tunewright.training.tuner import Tuner

Losses = dict[str, dict[str, list[float]]]  # text → objective → the loss of each block


@dataclass
class Looked:
    """What some blocks say of a model."""

    scores: dict[str, Interval]
    losses: list[float]


@torch.no_grad()
def look_at(tuner: Tuner, examples: Sequence[Example], batch_size: int) -> Looked:
    """`loss` (nats an asked token, the mean of the blocks' means), `perplexity` (its exponential), `accuracy`.

    A block of which nothing is asked (one document a token) counts in neither.
    """
    tuner.eval()
    losses: list[float] = []
    hits: list[float] = []
    asked = [example for example in examples if any(view.asks for view in example.views)]
    for at in range(0, len(asked), batch_size):
        batch = tuner.backbone.collate(asked[at : at + batch_size])
        log_probs, right = tuner.answers(batch)
        count = torch.zeros(batch.examples, device=log_probs.device).index_add(
            0, batch.ask_slot, torch.ones_like(log_probs)
        )
        for found, values in ((losses, -log_probs), (hits, right.float())):
            found += (torch.zeros_like(count).index_add(0, batch.ask_slot, values) / count).tolist()
    loss = interval_of_mean(losses, (0.0, math.inf))
    return Looked(
        {"loss": loss, "perplexity": exponential(loss), "accuracy": interval_of_mean(hits, (0.0, 1.0))}, losses
    )


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


def measure_texts(
    tuner: Tuner, makers: Mapping[str, Make], texts: Mapping[str, Sequence[Sequence[int]]], batch_size: int
) -> tuple[dict[str, dict[str, Any]], Losses]:
    """Every objective on every text: by text its scores as JSON, and the losses of its blocks."""
    scores: dict[str, dict[str, Any]] = {}
    losses: Losses = {}
    for text, held_out in texts.items():
        found: dict[str, Any] = {}
        losses[text] = {}
        for stage, (name, make) in enumerate(makers.items()):
            looked = look_at(tuner, noised(make, held_out, stage), batch_size)
            found[name] = {metric: interval.to_json() for metric, interval in looked.scores.items()}
            losses[text][name] = looked.losses
        scores[text] = {"blocks": len(held_out), "tokens_a_block": len(held_out[0]), "objectives": found}
    return scores, losses


def changes(before: Losses, after: Losses) -> dict[str, dict[str, dict[str, float | None]]]:
    """How many times as high the perplexity is after as before, by text and objective, paired by block."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for text, by_objective in after.items():
        found[text] = {}
        for name, losses in by_objective.items():
            rises = [b - a for a, b in zip(before[text][name], losses)]
            found[text][name] = exponential(interval_of_mean(rises, (-math.inf, math.inf))).to_json()
    return found
