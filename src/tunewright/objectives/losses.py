"""Losses from the log probabilities of what was asked."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.backbones.batch import Batch


def answer_loss(log_probs: Tensor, batch: Batch | None = None) -> Tensor:
    """Σ −log p over the asked tokens [N]: answer tokens and end token (the caller divides by the step's count).

    `batch` weighs each row's tokens, where its rows have weights.
    """
    if batch is None or batch.weights is None:
        return -log_probs.sum()
    return -(log_probs * batch.weights[batch.ask_slot // batch.choices]).sum()


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
    """Σ over examples (weighted, where the batch says so) of the cross-entropy between the labels' scores and the right
    label: [B, C] → scalar."""
    return _weighted(label_scores(scores, batch.choice_labels), batch.gold, batch.weights)


def head_loss(outputs: Tensor, gold: Tensor, numbers: Tensor | None, weights: Tensor | None = None) -> Tensor:
    """Σ cross-entropy of a head's outputs [B, L] (or [N, L], of words), or Σ squared error of `numbers` [B].

    `weights` [B] (of classification): what each row counts.
    """
    if numbers is not None:
        return F.mse_loss(outputs.squeeze(-1), numbers, reduction="sum")
    return _weighted(outputs, gold, weights)


def _weighted(scores: Tensor, gold: Tensor, weights: Tensor | None) -> Tensor:
    """Σ of the rows' cross-entropies, [B, L] and [B] → scalar."""
    if weights is None:
        return F.cross_entropy(scores, gold, reduction="sum")
    return (F.cross_entropy(scores, gold, reduction="none") * weights).sum()
