"""P-Tuning (Liu et al. 2021, "GPT Understands, Too"): pseudo tokens whose vectors an encoder makes."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from tunewright.backbones.base import Backbone, Family
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable, copy_into, load_model_files
from tunewright.methods.soft import starts
from tunewright.methods.soft.encoders import EncoderName, make_encoder
from tunewright.methods.soft.soft import PromptStart, SoftMethod, SoftTunable
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of


class PTuning(SoftMethod):
    """An encoder in training, a plain table afterwards.

    With `init: none`, the authors' form, a slot's vector is the encoder's output alone. Slots that have a start (anchor
    words of the template, `soft("capital")`, or another `init`) are shifted so that training begins right there.
    """

    name: ClassVar[str] = "p-tuning"
    about: ClassVar[str] = "pseudo tokens made by a small encoder, dropped after training (Liu et al. 2021)"
    trains: ClassVar[str] = "the prompt encoder (kept: the table); with tune_model all weights too"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=1e-3, auto_rates=(3e-4, 1e-3, 3e-3))
    by_family: ClassVar[Mapping[Family, OptimizerDefaults]] = {
        "masked": OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))
    }

    length: int = Field(6, gt=0, description="slots, where the template has none of its own (the paper: 3 + 3)")
    init: starts.Start | PromptStart | Literal["none"] = "sampled-vocab"  # type: ignore[assignment]
    encoder: EncoderName = Field("lstm", description="lstm: the authors' BiLSTM + MLP; mlp: PEFT's three layers")
    hidden: int | None = Field(None, gt=0, description="none: half the width a direction (lstm), the width (mlp)")
    tune_model: bool = Field(False, description="train the model's weights together with the prompt")
    model_rate: float = Field(0.02, gt=0, description="with tune_model: the model's learning rate over the prompt's")

    @property
    def table_only(self) -> bool:
        """Not where the model is tuned too."""
        return not self.tune_model

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Make the encoder; freeze the backbone unless it is tuned too."""
        start, has_start = self._starts(backbone, layout, setting)
        if self.tune_model:
            backbone.model.float()
        backbone.model.requires_grad_(self.tune_model)
        encoder = make_encoder(
            self.encoder,
            _parts(layout, setting),
            backbone.width,
            self.hidden,
            seed_of("p-tuning", setting.seed) % 2**63,
        )
        with torch.no_grad():
            base = torch.where(has_start.unsqueeze(-1), start - encoder(), 0.0)  # [S, d]
        return EncodedPrompt(backbone, layout, base, encoder, self.model_rate if self.tune_model else None)

    def _starts(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> tuple[Tensor, Tensor]:
        """The start [S, d] and which slots have one, bool [S]."""
        if self.init != "none":
            return self.start(backbone, layout, setting), torch.ones(layout.rows, dtype=torch.bool)
        plain = self.model_copy(update={"init": "sampled-vocab"}).start(backbone, layout, setting)
        own = [group.words is not None for group in layout.groups for _ in range(group.length)]
        return plain, torch.tensor(own)


def _parts(layout: SlotLayout, setting: Setting) -> list[int]:
    """How many slots each task has, in the table's order: those of one task stand together."""
    tasks = [setting.task_of(group.name) for group in layout.groups]
    runs = groupby(zip(tasks, layout.groups), key=lambda pair: pair[0])
    return [sum(group.length for _, group in run) for _, run in runs]


class EncodedPrompt(SoftTunable):
    """Base + encoder. After `load` the encoder is gone and the base is the table as it was saved."""

    def __init__(
        self, backbone: Backbone, layout: SlotLayout, base: Tensor, encoder: nn.Module, model_rate: float | None
    ) -> None:
        super().__init__(backbone, layout)
        self.encoder: nn.Module | None = encoder.to(backbone.device)
        self.model_rate = model_rate
        self.register_buffer("base", base.float().to(backbone.device))

    def table(self) -> Tensor | None:
        """[S, d]."""
        base: Tensor = self.get_buffer("base")
        return base if self.encoder is None else base + self.encoder()

    def rate_of(self, name: str) -> float:
        """The model's weights, where they are trained, learn more slowly."""
        return self.model_rate if self.model_rate is not None and name.startswith("model.") else 1.0

    def save(self, folder: Path) -> None:
        """The prompt's files, and with tune_model the model's folder beside them."""
        super().save(folder)
        if self.model_rate is not None:
            self.backbone.model.save_pretrained(folder)
            self.backbone.tokenizer.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Read them back, without the encoder."""
        super().load(folder)
        if self.model_rate is not None:
            inside = {name: p for name, p in self.trained().items() if name.startswith("model.")}
            copy_into(inside, load_model_files(folder), str(folder))

    @torch.no_grad()
    def put(self, table: Tensor) -> None:
        """Fix the table; the encoder is dropped."""
        self.encoder = None
        self.register_buffer("base", table.float())
