"""A new head on the pooled states, trained with the encoder: the classic fine-tuning of BERT (Devlin 2019)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable
from tunewright.methods.parts import PARTS, train_only
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of


class HeadTuning(Method):
    """A linear head over the labels (one output for a number); no template is needed."""

    name: ClassVar[str] = "head"
    about: ClassVar[str] = "a classification or regression head on pooled states, trained with the network"
    trains: ClassVar[str] = "the head and all weights, or (`backbone`) a part of them or none"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=1e-4, auto_rates=(3e-5, 1e-4, 3e-4), weight_decay=0.01
    )

    own_head: ClassVar[bool] = True

    backbone: Literal["trained", "frozen", "bitfit", "layer-norm", "last-layers", "embeddings"] = Field(
        "trained", description="which of the network's weights are trained with the head; a method's name: its part"
    )
    pooling: Literal["auto", "first", "last", "mean"] = "auto"
    dropout: float = Field(0.1, ge=0, lt=1)

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Put the head on; its start is drawn from the seed."""
        if setting.kind not in ("classify", "regress"):
            raise InputError(f"method head: tasks of kind classify or regress wanted, found {setting.kind}")
        if self.backbone == "trained":
            backbone.model.float().requires_grad_(True)
        else:
            part = PARTS[self.backbone]().chosen(backbone) if self.backbone != "frozen" else []
            train_only(backbone, part)
        outputs = len(setting.labels) if setting.kind == "classify" else 1
        pooling = self.pooling
        if pooling == "auto":  # causal models have seen the whole text only at its last token
            pooling = "last" if backbone.family == "causal" else "mean"
        return HeadTunable(backbone, PooledHead(backbone.width, outputs, self.dropout, pooling, setting.seed))


class PooledHead(nn.Module):
    """States [R, T, d] → [R, outputs]."""

    def __init__(self, width: int, outputs: int, dropout: float, pooling: str, seed: int) -> None:
        super().__init__()
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, outputs)
        generator = torch.Generator().manual_seed(seed_of("head", seed) % 2**63)
        nn.init.normal_(self.linear.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor, mask: Tensor, last: Tensor) -> Tensor:
        """`mask` [R, T] is False at padding; `last` [R] is the last real position."""
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).to(states.dtype)  # [R, T, 1]
            pooled = (states * weights).sum(1) / weights.sum(1)  # [R, d]
        else:
            at = last if self.pooling == "last" else torch.zeros_like(last)
            pooled = states[torch.arange(len(states), device=states.device), at]  # [R, d]
        return self.linear(self.dropout(pooled.float()))


class HeadTunable(Tunable):
    """Holds the head."""

    def __init__(self, backbone: Backbone, head: PooledHead) -> None:
        super().__init__(backbone)
        self.pooled = head.to(backbone.device)

    def head(self) -> nn.Module | None:
        """The pooled head."""
        return self.pooled
