"""Texts drawn, not the likeliest ones: how, and from which seed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from tunewright.seeds import seed_of


@dataclass(frozen=True)
class Sampling:
    """`temperature` divides the logits; of the tokens the likeliest with `top_p` of the probability are drawn from."""

    temperature: float
    top_p: float
    seed: int

    def settings(self) -> dict[str, Any]:
        """What transformers' `generate` is told."""
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, "top_k": 0}


GREEDY: dict[str, Any] = {"do_sample": False}


@contextmanager
def drawing(sampling: Sampling | None, device: torch.device) -> Iterator[None]:
    """Inside, torch's random numbers start from the sampling's seed; outside nothing has changed."""
    if sampling is None:
        yield
        return
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device], device_type=device.type):
        torch.manual_seed(seed_of("sampling", sampling.seed) % 2**63)
        yield
