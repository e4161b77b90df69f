"""Updates that rotate or mirror a layer's weights, so that angles between them stay: OFT (Qiu et al. 2023) and HRA
(Yuan et al. 2024)."""

from typing import ClassVar

from peft import HRAConfig, OFTConfig
from pydantic import Field

from tunewright.methods.adapters import TargetedMethod
from tunewright.methods.base import OptimizerDefaults


class OftTuning(TargetedMethod):
    """A rotation of each block of a layer's inputs; step 0 is the identity."""

    name: ClassVar[str] = "oft"
    about: ClassVar[str] = "a trained rotation of the inputs of chosen layers, block by block (OFT, through PEFT)"
    trains: ClassVar[str] = "a skew-symmetric matrix for each block of each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))

    block_size: int = Field(32, gt=1, description="PEFT takes the nearest one that divides a layer's width")
    dropout: float = Field(0.0, ge=0, lt=1)

    def peft_config(self) -> OFTConfig:
        """See AdapterMethod."""
        return OFTConfig(
            oft_block_size=self.block_size, module_dropout=self.dropout, target_modules=self.target_modules
        )


class HraTuning(TargetedMethod):
    """Householder reflections of a layer's inputs; step 0 is the identity: they stand in equal pairs."""

    name: ClassVar[str] = "hra"
    about: ClassVar[str] = "a chain of trained Householder reflections before chosen layers (HRA, through PEFT)"
    trains: ClassVar[str] = "`rank` vectors of the input's width beside each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=1e-2, auto_rates=(3e-3, 1e-2, 3e-2))

    rank: int = Field(8, gt=0, multiple_of=2, description="number of reflections; even, so that the start is none")

    def peft_config(self) -> HRAConfig:
        """See AdapterMethod."""
        return HRAConfig(r=self.rank, target_modules=self.target_modules)
