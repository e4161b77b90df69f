"""A new head on the pooled states, trained with the encoder: the classic fine-tuning of BERT (Devlin 2019)."""

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable
from tunewright.methods.full import rate_shares
from tunewright.methods.layers import LayerwiseMethod, freeze
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of


class HeadTuning(LayerwiseMethod):
    """A linear head over the labels (one output for a number); no template is needed."""

    name: ClassVar[str] = "head"
    about: ClassVar[str] = "a classification or regression head on pooled states, trained with the network"
    trains: ClassVar[str] = (
        "the head and the weights that make the states it reads (the head alone with backbone: frozen)"
    )
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=1e-4, auto_rates=(3e-5, 1e-4, 3e-4), weight_decay=0.01
    )

    own_head: ClassVar[bool] = True

    backbone: Literal["trained", "frozen"] = "trained"
    pooling: Literal["auto", "first", "last", "mean"] = "auto"
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _something_to_decay(self) -> "HeadTuning":
        if self.backbone == "frozen" and (self.freeze or self.layer_decay != 1):
            raise ValueError("backbone: frozen trains the head alone; leave freeze and layer_decay out")
        return self

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Put the head on; its start is drawn from the seed."""
        if setting.kind not in ("classify", "regress"):
            raise InputError(f"method head: tasks of kind classify or regress wanted, found {setting.kind}")
        backbone.model.requires_grad_(False)
        if self.backbone == "trained":
            backbone.model.float()
            backbone.reader.requires_grad_(True)  # neither a vocabulary head nor a decoder
            freeze(backbone.model, self.freeze)
        outputs = len(setting.labels) if setting.kind == "classify" else 1
        pooling = self.pooling
        if pooling == "auto":  # causal models have seen the whole text only at its last token
            pooling = "last" if backbone.family == "causal" else "mean"
        head = PooledHead(backbone.width, outputs, self.dropout, pooling, setting.seed)
        return HeadTunable(backbone, head, self.layer_decay)


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

    def __init__(self, backbone: Backbone, head: PooledHead, layer_decay: float = 1.0) -> None:
        super().__init__(backbone)
        self.pooled = head.to(backbone.device)
        self._shares = {} if layer_decay == 1 else rate_shares(backbone, backbone.reader, layer_decay)

    def rate_of(self, name: str) -> float:
        """By the block's height; the head's is whole."""
        return self._shares.get(name, 1.0)

    def head(self) -> nn.Module | None:
        """The pooled head."""
        return self.pooled
