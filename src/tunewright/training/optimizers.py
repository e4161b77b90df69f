"""Optimisers, and the learning rate as a pure function of the step."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

from tunewright.training.lion import Lion

Optimizer = Literal["adamw", "adafactor", "adafactor-scaled", "lion", "sgd"]
Schedule = Literal["constant", "linear", "cosine"]


def make_optimizer(
    name: Optimizer, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW, SGD, Lion, Adafactor as the prompt-tuning paper sets it (no parameter scaling, decay 0.8) or scaled.

    `adafactor-scaled` (Shazeer and Stern 2018, §8; T5's pretraining): the rate is relative to each tensor's root mean
    square. T5's fresh word vectors have a standard deviation of 1, its queries of 0.007: no rate fits both.
    """
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay, fused=True)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=weight_decay)
    if name == "lion":
        return Lion(parameters, lr=rate, weight_decay=weight_decay)
    from transformers.optimization import Adafactor

    return Adafactor(
        parameters,
        lr=rate,
        weight_decay=weight_decay,
        decay_rate=-0.8,
        scale_parameter=name == "adafactor-scaled",
        relative_step=False,
        warmup_init=False,
    )


def rate_at(step: int, steps: int, rate: float, schedule: Schedule, warmup: float) -> float:
    """The learning rate of step `step` (0-based) of `steps`; warm-up rises linearly over the first share."""
    rising = math.ceil(warmup * steps)
    if step < rising:
        return rate * (step + 1) / rising
    if schedule == "constant":
        return rate
    done = (step - rising) / max(1, steps - rising)
    if schedule == "linear":
        return rate * (1 - done)
    return rate * 0.5 * (1 + math.cos(math.pi * done))
