"""One answer from what several templates say of a row."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Ensemble = Literal["none", "mean", "vote", "weighted"]


def combined(scores: Sequence[Tensor], how: Ensemble, weights: Sequence[float] = ()) -> Tensor:
    """Scores [L] of several templates → log of what they say together, [L].

    mean: the mean of the labels' probabilities. vote: the shares of the votes. weighted: the mean of the probabilities
    weighted with `weights`, each template's accuracy on rows that are not scored here: PET's weights (Schick & Schütze
    2021, §3: the accuracy before training, on the training rows; here on the validation rows, of the model that
    answers). Where all are 0 they count alike.
    """
    if how == "vote":
        return voted(scores)
    log_p = torch.stack([s.log_softmax(-1) for s in scores])  # [templates, L]
    if how == "mean" or not any(weights):
        return log_p.logsumexp(0) - math.log(len(scores))
    shares = torch.tensor(weights, dtype=log_p.dtype)
    return (log_p + (shares / shares.sum()).log().unsqueeze(-1)).logsumexp(0)  # in logarithms: nothing underflows


def voted(scores: Sequence[Tensor]) -> Tensor:
    """Scores [..., L] of several prompts → log shares [..., L] of their votes; equal votes are told apart by the mean
    probability."""
    means = torch.stack([s.softmax(-1) for s in scores]).mean(0)  # [..., L]
    votes = torch.stack([F.one_hot(s.argmax(-1), s.shape[-1]) for s in scores]).sum(0)  # [..., L]
    return ((votes + means) / (len(scores) + 1)).log()
