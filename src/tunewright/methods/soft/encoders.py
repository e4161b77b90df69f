"""Prompt encoders of P-Tuning (Liu et al. 2021, section 3.2): slots that depend on each other."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

EncoderName = Literal["lstm", "mlp"]


class LstmEncoder(nn.Module):
    """Embedding → two-layer bidirectional LSTM (d/2 a direction) → Linear, ReLU, Linear: the authors' code.

    `parts` are the numbers of slots of each task, whose slots make a sequence of their own.
    """

    def __init__(self, parts: Sequence[int], width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or width // 2
        self.parts = list(parts)
        self.embedding = nn.Embedding(sum(parts), width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(2 * hidden, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self) -> Tensor:
        """[S, d]."""
        sequences = self.embedding.weight.split(self.parts)
        states = [self.lstm(sequence.unsqueeze(0))[0].squeeze(0) for sequence in sequences]  # [s, 2·hidden] each
        vectors: Tensor = self.mlp(torch.cat(states))
        return vectors


class MlpEncoder(nn.Module):
    """Embedding → three linear layers with ReLU between: PEFT's `MLP` reparameterisation."""

    def __init__(self, slots: int, width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or width
        self.embedding = nn.Embedding(slots, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )

    def forward(self) -> Tensor:
        """[S, d]."""
        vectors: Tensor = self.mlp(self.embedding.weight)
        return vectors


def make_encoder(name: EncoderName, parts: Sequence[int], width: int, hidden: int | None, seed: int) -> nn.Module:
    """An encoder in fp32, its start drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = LstmEncoder(parts, width, hidden) if name == "lstm" else MlpEncoder(sum(parts), width, hidden)
    return encoder.float()
