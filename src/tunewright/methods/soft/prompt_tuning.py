"""Prompt tuning (Lester, Al-Rfou and Constant 2021): only the prompt table is trained."""

from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, OptimizerDefaults, Placement, Setting, Tunable
from tunewright.methods.soft import starts
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Soft


class PromptTuning(Method):
    """`length` trained vectors in the input, or the slots that the template itself has."""

    name: ClassVar[str] = "prompt-tuning"
    about: ClassVar[str] = "trained vectors in the input, the model itself frozen (Lester et al. 2021)"
    trains: ClassVar[str] = "the prompt table: slots × width"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1), schedule="linear"
    )

    length: int = Field(20, gt=0, description="slots, where the template has none of its own")
    placement: Placement | None = Field(None, description="none: front, for causal models after the fields")
    init: starts.Start = "sampled-vocab"
    text: str | None = Field(None, description="the words that `init: text` starts from")
    bound: float = Field(0.5, gt=0, description="of the random-uniform start")

    @model_validator(mode="after")
    def _text_given(self) -> "PromptTuning":
        if (self.init == "text") != (self.text is not None):
            raise ValueError("init: text and text: WORDS go together")
        return self

    def slots(self) -> tuple[Soft, Placement | None]:
        """The slots added to a template without any."""
        return Soft("prompt", self.length), self.placement

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze the backbone and start the table."""
        if not layout.rows:
            raise InputError("method prompt-tuning: the layout has no slots")
        backbone.model.requires_grad_(False)
        rows = [self._start(backbone, group, setting) for group in layout.groups]
        return PromptTable(backbone, torch.cat([row.cpu() for row in rows]))

    def _start(self, backbone: Backbone, group: SlotGroup, setting: Setting) -> Tensor:
        length, key = group.length, group.name
        if group.words is not None:
            return starts.from_text(backbone, length, group.words)
        if self.init == "random-uniform":
            return starts.random_uniform(length, backbone.width, self.bound, setting.seed, key)
        if self.init == "class-label":
            return starts.class_label(backbone, length, setting.labels, setting.seed, key)
        if self.init == "text":
            return starts.from_text(backbone, length, self.text or "")
        return starts.sampled_vocab(backbone, length, setting.seed, key)


class PromptTable(Tunable):
    """The table itself, in fp32."""

    def __init__(self, backbone: Backbone, start: Tensor) -> None:
        super().__init__(backbone)
        self.prompt = nn.Parameter(start.float().to(backbone.device))

    def table(self) -> Tensor | None:
        """[S, d]."""
        return self.prompt
