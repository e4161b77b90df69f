"""Losses from the log probabilities of what was asked."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.backbones.batch import Batch


def answer_loss(log_probs: Tensor) -> Tensor:
    """Σ −log p over the asked tokens [N]: answer tokens and end token (the caller divides by the step's count)."""
    return -log_probs.sum()


def choice_scores(log_probs: Tensor, batch: Batch) -> Tensor:
    """Σ log p of each choice's tokens: [N] → [B, C]; -inf beyond an example's choices."""
    flat = torch.zeros(batch.examples * batch.choices, dtype=log_probs.dtype, device=log_probs.device)
    scores = flat.index_add(0, batch.ask_slot, log_probs).view(batch.examples, batch.choices)  # [B, C]
    return scores.masked_fill(batch.choice_labels < 0, -torch.inf)


def label_scores(scores: Tensor, choice_labels: Tensor) -> Tensor:
    """log Σ p over the choices that stand for the same label: [B, C] → [B, L].

    With one word a label this changes nothing; with several, a label's probability is that any of its words
    is the answer.
    """
    labels = int(choice_labels.max()) + 1
    member = F.one_hot(choice_labels.clamp(min=0), labels).bool() & (choice_labels >= 0).unsqueeze(-1)  # [B, C, L]
    if bool((member.sum(1) <= 1).all()):  # one word a label: exact, no logsumexp
        return torch.where(member, scores.unsqueeze(-1), 0.0).sum(1).masked_fill(~member.any(1), -torch.inf)
    spread = scores.unsqueeze(-1).masked_fill(~member, -torch.inf)  # [B, C, L]
    return torch.logsumexp(spread, 1)


def choice_loss(scores: Tensor, batch: Batch) -> Tensor:
    """Σ over examples of the cross-entropy between the labels' scores and the right label: [B, C] → scalar."""
    return F.cross_entropy(label_scores(scores, batch.choice_labels), batch.gold, reduction="sum")


def head_loss(outputs: Tensor, gold: Tensor, numbers: Tensor | None) -> Tensor:
    """Σ cross-entropy of a head's outputs [B, L] (or [N, L], of words), or Σ squared error of `numbers` [B]."""
    if numbers is not None:
        return F.mse_loss(outputs.squeeze(-1), numbers, reduction="sum")
    return F.cross_entropy(outputs, gold, reduction="sum")
