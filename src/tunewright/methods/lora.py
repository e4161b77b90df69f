"""LoRA (Hu et al. 2021) and DoRA (Liu et al. 2024) through PEFT's layers."""

from typing import ClassVar

from peft import LoraConfig
from pydantic import Field

from tunewright.methods.adapters import TargetedMethod
from tunewright.methods.base import OptimizerDefaults


class LoraTuning(TargetedMethod):
    """A low-rank update beside chosen weight matrices; the matrices themselves stay as they are.

    Step 0 equals the plain model: B is zero.
    """

    name: ClassVar[str] = "lora"
    about: ClassVar[str] = "low-rank updates beside the attention's matrices (LoRA, through PEFT)"
    trains: ClassVar[str] = "two thin matrices beside each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))
    dora: ClassVar[bool] = False

    rank: int = Field(8, gt=0)
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    rslora: bool = Field(False, description="scale by alpha/√rank (Kalajdzievski 2023) in the place of alpha/rank")

    def peft_config(self) -> LoraConfig:
        """See AdapterMethod."""
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self.target_modules,
            use_rslora=self.rslora,
            use_dora=self.dora,
        )


class DoraTuning(LoraTuning):
    """LoRA for a matrix's direction, and its columns' lengths trained beside."""

    name: ClassVar[str] = "dora"
    about: ClassVar[str] = "LoRA for the direction of a matrix, with trained lengths (DoRA, through PEFT)"
    trains: ClassVar[str] = "two thin matrices and a vector of lengths beside each target module"
    dora: ClassVar[bool] = True
