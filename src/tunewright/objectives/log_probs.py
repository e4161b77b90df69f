"""Log probabilities of the asked tokens, without a second matrix as large as the logits."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

AT_ONCE = 2**26  # logits kept at a time: 128 MiB in bf16
_ROWS = 16  # logits worked on at a time: their numbers stay in the processor's cache


class _Picked(torch.autograd.Function):
    """log softmax of [N, V] at `tokens` [N]; keeps the logits and [N] for the way back, whose gradient is made once."""

    @staticmethod
    def forward(context: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        whole = torch.cat([torch.logsumexp(part.float(), -1) for part in logits.split(_ROWS)])  # [N]
        context.save_for_backward(logits, tokens, whole)
        return logits.gather(-1, tokens.unsqueeze(-1)).squeeze(-1).float() - whole

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, tokens, whole = context.saved_tensors
        back = torch.empty_like(logits)
        parts = (x.split(_ROWS) for x in (logits, tokens, whole, gradients[0], back))
        for logit, token, total, gradient, out in zip(*parts):
            share = (logit.float() - total.unsqueeze(-1)).exp_().mul_(-gradient.unsqueeze(-1))
            share.scatter_add_(-1, token.unsqueeze(-1), gradient.unsqueeze(-1))
            out.copy_(share)
        return back, None


def picked_log_probs(logits: Tensor, tokens: Tensor) -> Tensor:
    """log softmax of [N, V] at `tokens` [N], computed in fp32 a few rows at a time, forward and backward."""
    if not len(tokens):  # nothing asked: an empty result that is still a part of the graph
        return logits.float().sum(-1)
    picked: Tensor = _Picked.apply(logits, tokens)
    return picked


def asked_log_probs(head: Callable[[Tensor], Tensor], states: Tensor, tokens: Tensor, vocabulary: int) -> Tensor:
    """Log probabilities [N] of `tokens` [N], `head` making the logits [N, V] of states [N, d].

    More logits than `AT_ONCE` (training on every token of a text) are never there together: they are made a part
    after the other, and once more on the way back.
    """
    rows = max(1, AT_ONCE // vocabulary)

    def part(some: Tensor, of: Tensor) -> Tensor:
        return picked_log_probs(head(some), of)

    if len(states) <= rows:
        return part(states, tokens)
    parts = zip(states.split(rows), tokens.split(rows))
    if not torch.is_grad_enabled():
        return torch.cat([part(some, of) for some, of in parts])
    return torch.cat([checkpoint(part, some, of, use_reentrant=False) for some, of in parts])
