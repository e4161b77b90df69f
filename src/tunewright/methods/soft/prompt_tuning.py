"""Prompt tuning (Lester, Al-Rfou and Constant 2021): only the prompt table is trained."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunewright.backbones.base import Backbone, Family
from tunewright.errors import InputError
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable
from tunewright.methods.soft.soft import SoftMethod, SoftTunable
from tunewright.prompts.layout import SlotLayout

# Section 3 and appendix A of the paper: 100 slots, label starts, Adafactor at a constant 0.3, early stopping.
LESTER = OptimizerDefaults(
    learning_rate=0.3,
    auto_rates=(0.1, 0.3, 1.0),
    optimizer="adafactor",
    schedule="constant",
    weight_decay=1e-5,
    steps=30_000,
    batch_size=32,
    patience=10,
    evaluate_every=500,
)
LESTER_SETTINGS: dict[str, Any] = {"length": 100, "init": "class-label", "placement": "front"}


class PromptTuning(SoftMethod):
    """`length` trained vectors in the input, or the slots that the template itself has.

    Word-embedding tuning is this method on a template whose words are slots: `soft("It was")` starts from the words'
    vectors, and only those positions change.
    """

    name: ClassVar[str] = "prompt-tuning"
    about: ClassVar[str] = "trained vectors in the input, the model itself frozen (Lester et al. 2021)"
    trains: ClassVar[str] = "the prompt table: slots × width"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))
    by_family: ClassVar[Mapping[Family, OptimizerDefaults]] = {
        "masked": OptimizerDefaults(learning_rate=1e-1, auto_rates=(3e-2, 1e-1, 3e-1))
    }

    preset: Literal["lester2021"] | None = Field(
        None, description="the paper's settings for T5: 100 slots in front, label starts, Adafactor at 0.3"
    )
    ensemble: int = Field(1, gt=0, description="so many prompts, trained and asked side by side in one batch")
    vote: Literal["sum", "majority"] = Field("sum", description="of an ensemble: summed scores, or a vote")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        """A preset fills in what the recipe leaves out."""
        if isinstance(values, dict) and values.get("preset") == "lester2021":
            filled = {**LESTER_SETTINGS, **values}
            if "length" not in values and isinstance(values.get("init"), dict):  # as long as the prompt it starts from
                del filled["length"]
            return filled
        return values

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """The preset's, else those that were found to learn on models of the family (benchmarks/sweeps)."""
        return LESTER if self.preset == "lester2021" else super().defaults_for(family)

    @property
    def table_only(self) -> bool:
        """Not with several prompts, which answer each row together."""
        return self.ensemble == 1

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze the backbone and start the table; each prompt of an ensemble starts from a seed of its own.

        Raises InputError where they would all start alike: they would stay alike.
        """
        backbone.model.requires_grad_(False)
        seeds = [setting.seed + 1000 * member for member in range(self.ensemble)]
        tables = [self.start(backbone, layout, replace(setting, seed=seed)) for seed in seeds]
        if self.ensemble > 1 and all(torch.equal(tables[0], table) for table in tables[1:]):
            raise InputError(
                f"method.ensemble: its {self.ensemble} prompts would all start from the same vectors; "
                "sampled-vocab, random-uniform, or class-label with more slots than labels draw different ones"
            )
        return PromptTable(backbone, layout, torch.cat(tables), self.ensemble, self.vote)


class PromptTable(SoftTunable):
    """The table itself, in fp32.

    The prompts of an ensemble do not see each other: the loss is the mean of theirs, so each has the gradient it would
    have alone, divided by their number (which AdamW and Adafactor take out again; clipping sees them together).
    """

    def __init__(
        self,
        backbone: Backbone,
        layout: SlotLayout,
        start: Tensor,
        members: int = 1,
        vote: Literal["sum", "majority"] = "sum",
    ) -> None:
        super().__init__(backbone, layout)
        self.prompt = nn.Parameter(start.float().to(backbone.device))  # [members · S, d]
        self._members, self.vote = members, vote

    @property
    def members(self) -> int:
        """The ensemble's size."""
        return self._members

    def table(self) -> Tensor | None:
        """[members · S, d]."""
        return self.prompt

    @torch.no_grad()
    def put(self, table: Tensor) -> None:
        """Copy a table in."""
        self.prompt.copy_(table)
