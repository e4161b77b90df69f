"""When optimiser steps end, and how long forward, backward and optimiser take: the same clock for both sides."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


def now() -> float:
    """Seconds, after an accelerator has done what it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


@contextmanager
def step_ends() -> Iterator[list[float]]:
    """The times at which optimiser steps ended, whoever's optimiser it is."""
    ends: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: ends.append(now()))
    try:
        yield ends
    finally:
        hook.remove()


@contextmanager
def parts_of(model: torch.nn.Module) -> Iterator[dict[str, float]]:
    """Seconds spent in `model`'s forward, in backward, and in optimiser steps."""
    spent: dict[str, float] = defaultdict(float)
    started: dict[str, float] = {}

    def start(part: str) -> None:
        started[part] = now()

    def stop(part: str) -> None:
        spent[part] += now() - started[part]

    plain = torch.Tensor.backward

    def backward(self: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        start("backward")
        plain(self, *args, **kwargs)
        stop("backward")

    hooks = [
        model.register_forward_pre_hook(lambda *_: start("forward")),
        model.register_forward_hook(lambda *_: stop("forward")),
        register_optimizer_step_pre_hook(lambda *_: start("optimizer")),
        register_optimizer_step_post_hook(lambda *_: stop("optimizer")),
    ]
    torch.Tensor.backward = backward  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        torch.Tensor.backward = plain  # type: ignore[method-assign]
        for hook in hooks:
            hook.remove()
