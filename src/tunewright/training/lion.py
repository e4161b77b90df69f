"""Lion (Chen et al. 2023): one buffer for each weight instead of AdamW's two."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """θ ← θ − lr·(sign(β1·m + (1−β1)·g) + λ·θ), then m ← β2·m + (1−β2)·g (algorithm 2; β1 0.9, β2 0.99).

    Every weight moves by the rate itself, so that rates are 3 to 10 times below AdamW's and the weight decay as many
    times above (§5).
    """

    def __init__(self, parameters: Any, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; weights without a gradient stay as they are and get no buffer."""
        for group in self.param_groups:
            rate, decay, (first, second) = group["lr"], group["weight_decay"], group["betas"]
            for parameter in group["params"]:
                gradient: Tensor | None = parameter.grad
                if gradient is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum: Tensor = state["momentum"]
                update = momentum.lerp(gradient, 1 - first).sign_()
                parameter.mul_(1 - rate * decay).add_(update, alpha=-rate)
                momentum.lerp_(gradient, 1 - second)
