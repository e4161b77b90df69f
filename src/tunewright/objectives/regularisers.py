"""What is added to a loss against forgetting, as formulas over named weights and logits."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]


def l2_sp(weights: Weights, start: Weights) -> Tensor:
    """Σ (θ − θ0)² over all trained weights: L2-SP of Li, Grandvalet & Davoine (2018), eq. 4, without its factor.

    Weights of a new head count from their own start, too.
    """
    return torch.stack([(weights[name] - start[name]).square().sum() for name in weights]).sum()


def ewc(weights: Weights, start: Weights, fisher: Weights) -> Tensor:
    """½ Σ F·(θ − θ0)²: elastic weight consolidation, Kirkpatrick et al. (2017), eq. 3, without λ.

    F is the diagonal of the Fisher information at θ0 (`diagonal_fisher`).
    """
    parts = [(fisher[name] * (weights[name] - start[name]).square()).sum() for name in weights]
    return torch.stack(parts).sum() / 2


def diagonal_fisher(log_likelihoods: Iterable[Tensor], weights: Weights) -> dict[str, Tensor]:
    """F = 1/N Σ_n (∂ log p(y_n | x_n) / ∂θ)², the empirical Fisher information's diagonal, fp32, shaped as the weights.

    `log_likelihoods` gives one scalar a row, Σ_t log p of what stands there, made with the weights as they are now.
    A weight that takes no part in any row has F = 0. Raises ValueError without rows.
    """
    found = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    count = 0
    for value in log_likelihoods:
        gradients = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
        for total, gradient in zip(found.values(), gradients):
            if gradient is not None:
                total += gradient.float().square()
        count += 1
    if not count:
        raise ValueError("no rows to make the Fisher information from")
    return {name: total / count for name, total in found.items()}


def kl_from_original(original: Tensor, tuned: Tensor) -> Tensor:
    """KL(p ‖ q) = Σ_v p·(log p − log q) of two models' logits [N, V], the mean over N; p is the original's.

    Only the tuned model's logits get a gradient.
    """
    p = original.detach().float().log_softmax(-1)
    q = tuned.float().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1).mean()


def interpolated(start: Weights, end: Weights, alpha: float) -> dict[str, Tensor]:
    """(1 − α)·θ0 + α·θ1: WiSE-FT, Wortsman et al. (2022), eq. 1. Exactly the ends at 0 and 1."""
    if alpha in (0.0, 1.0):
        return {name: (end if alpha else start)[name].detach().clone() for name in end}
    return {name: (1 - alpha) * start[name].detach() + alpha * end[name].detach() for name in end}
