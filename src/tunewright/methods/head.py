"""A new head on the states, trained with the network: the classic fine-tuning of BERT (Devlin et al. 2019)."""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from safetensors.torch import save_file
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable, copy_into, load_safetensors
from tunewright.methods.full import rate_shares
from tunewright.methods.layers import LayerwiseMethod, freeze
from tunewright.methods.parts import PARTS, train_only
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of

STANDARD = "standard"  # the tensor in the kept file: mean and standard deviation


class HeadTuning(LayerwiseMethod):
    """A linear head: over the labels, with one output for a number, or over the tags of each word. No template."""

    name: ClassVar[str] = "head"
    about: ClassVar[str] = "a head for labels, a number or the tags of words, trained with the network"
    trains: ClassVar[str] = (
        "the head and the weights that make the states it reads, or (`backbone`) a part of them or none"
    )
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=1e-4, auto_rates=(3e-5, 1e-4, 3e-4), weight_decay=0.01
    )

    own_head: ClassVar[bool] = True

    backbone: Literal["trained", "frozen", "bitfit", "layer-norm", "last-layers", "embeddings"] = Field(
        "trained", description="which of the network's weights are trained with the head; a method's name: its part"
    )
    pooling: Literal["auto", "first", "last", "mean"] = Field(
        "auto", description="of the states, for one label or number a row; auto: last of causal models, else mean"
    )
    subtoken: Literal["first", "last"] = Field(
        "first", description="of each word, for tags: the token whose state is read"
    )
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _something_to_decay(self) -> "HeadTuning":
        if self.backbone != "trained" and (self.freeze or self.layer_decay != 1):
            raise ValueError(f"freeze and layer_decay are for backbone: trained, not for backbone: {self.backbone}")
        return self

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Put the head on; its start is drawn from the seed."""
        if setting.kind not in ("classify", "regress", "tag"):
            raise InputError(f"method head: tasks of kind classify, regress or tag wanted, found {setting.kind}")
        if setting.kind != "tag" and self.subtoken != "first":
            raise InputError(f"method head: subtoken is for tasks of kind tag, this one is of kind {setting.kind}")
        if setting.kind == "tag" and self.pooling != "auto":
            raise InputError("method head: pooling is for one label or number a row; tags are read at each word")
        if self.backbone == "trained":
            backbone.model.float().requires_grad_(False)
            backbone.reader.requires_grad_(True)  # neither a vocabulary head nor a decoder
            freeze(backbone.model, self.freeze)
        else:
            part = PARTS[self.backbone]().chosen_of_reader(backbone) if self.backbone != "frozen" else []
            train_only(backbone, part)
        if setting.kind == "tag":
            words: Literal["words", "word-ends"] = "words" if self.subtoken == "first" else "word-ends"
            tagger = WordHead(backbone.width, len(setting.tags), self.dropout, setting.seed)
            return HeadTunable(backbone, tagger, words, layer_decay=self.layer_decay)
        outputs = len(setting.labels) if setting.kind == "classify" else 1
        pooling = self.pooling
        if pooling == "auto":  # causal models have seen the whole text only at its last token
            pooling = "last" if backbone.family == "causal" else "mean"
        head = PooledHead(backbone.width, outputs, self.dropout, pooling, setting.seed)
        standard = setting.standard if setting.kind == "regress" else None
        return HeadTunable(backbone, head, "pool", standard, layer_decay=self.layer_decay)


class WordHead(nn.Module):
    """A state a word [N, d] → [N, outputs]."""

    def __init__(self, width: int, outputs: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, outputs)
        generator = torch.Generator().manual_seed(seed_of("head", seed) % 2**63)
        nn.init.normal_(self.linear.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, states: Tensor) -> Tensor:
        """See the class. In fp32 also where the network computes in bf16: a number's eighth bit would be its last."""
        with torch.autocast(states.device.type, enabled=False):
            return self.linear(self.dropout(states.float()))


class PooledHead(WordHead):
    """States [R, T, d] → [R, outputs]."""

    def __init__(self, width: int, outputs: int, dropout: float, pooling: str, seed: int) -> None:
        super().__init__(width, outputs, dropout, seed)
        self.pooling = pooling

    def forward(self, states: Tensor, mask: Tensor, last: Tensor) -> Tensor:  # type: ignore[override]
        """`mask` [R, T] is False at padding; `last` [R] is the last real position."""
        if self.pooling == "mean":
            weights = mask.unsqueeze(-1).float()  # [R, T, 1]; in bf16 there is no 257
            pooled = (states * weights).sum(1) / weights.sum(1)  # [R, d]
        else:
            at = last if self.pooling == "last" else torch.zeros_like(last)
            pooled = states[torch.arange(len(states), device=states.device), at]  # [R, d]
        return super().forward(pooled)


class HeadTunable(Tunable):
    """Holds the head, and what its numbers are to be multiplied by and added to."""

    def __init__(
        self,
        backbone: Backbone,
        head: WordHead,
        reads: Literal["pool", "words", "word-ends"],
        standard: tuple[float, float] | None = None,
        *,
        layer_decay: float = 1.0,
    ) -> None:
        super().__init__(backbone)
        self.pooled = head.to(backbone.device)
        self.reads = reads
        self._number = standard is not None
        self.standard = standard or (0.0, 1.0)
        self._shares = {} if layer_decay == 1 else rate_shares(backbone, backbone.reader, layer_decay)

    def rate_of(self, name: str) -> float:
        """By the block's height; the head's is whole."""
        return self._shares.get(name, 1.0)

    def head(self) -> nn.Module | None:
        """The head."""
        return self.pooled

    def save(self, folder: Path) -> None:
        """The trained weights and, of a regression, the mean and standard deviation of its training targets."""
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.trained().items()}
        if self._number:
            tensors[STANDARD] = torch.tensor(self.standard, dtype=torch.float64)
        save_file(tensors, folder / "weights.safetensors", metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote; a regression's file of an older version has no mean and deviation: 0 and 1."""
        values = load_safetensors(folder / "weights.safetensors")
        copy_into(self.trained(), values, str(folder))
        if self._number:
            mean, deviation = values.get(STANDARD, torch.tensor([0.0, 1.0])).tolist()
            self.standard = (mean, deviation)
