"""Loss, perplexity and accuracy on held-out blocks, with intervals over blocks, and what changed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.evaluation.intervals import interval_of_mean
from tunewright.evaluation.texts import exponential, look_at, noised
from tunewright.objectives.raw_text import Make
from tunewright.training.tuner import Tuner

Losses = dict[str, dict[str, list[float]]]  # text → objective → the loss of each block


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
