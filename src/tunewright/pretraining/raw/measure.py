"""Loss, perplexity and accuracy on held-out blocks, with intervals over blocks."""

import math
from collections.abc import Sequence

import torch

from tunewright.backbones.examples import Example
from tunewright.evaluation.intervals import Interval, interval_of_mean
from tunewright.training.tuner import Tuner


@torch.no_grad()
def measure(tuner: Tuner, examples: Sequence[Example], batch_size: int) -> dict[str, Interval]:
    """`loss` (nats an asked token, the mean of the blocks' means), `perplexity` (its exponential), `accuracy`."""
    tuner.eval()
    losses: list[float] = []
    hits: list[float] = []
    for at in range(0, len(examples), batch_size):
        batch = tuner.backbone.collate(examples[at : at + batch_size])
        log_probs, right = tuner.answers(batch)
        count = torch.zeros(batch.examples, device=log_probs.device).index_add(
            0, batch.ask_slot, torch.ones_like(log_probs)
        )
        for found, values in ((losses, -log_probs), (hits, right.float())):
            found += (torch.zeros_like(count).index_add(0, batch.ask_slot, values) / count).tolist()
    loss = interval_of_mean(losses, (0.0, math.inf))
    bounds = [None if bound is None else math.exp(bound) for bound in (loss.low, loss.high)]
    return {
        "loss": loss,
        "perplexity": Interval(math.exp(loss.value), *bounds),
        "accuracy": interval_of_mean(hits, (0.0, 1.0)),
    }
