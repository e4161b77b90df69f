"""VeRA (Kopiczko et al. 2024): random low-rank matrices that all layers share, and trained vectors that scale them."""

from typing import ClassVar

from peft import VeraConfig
from pydantic import Field

from tunewright.methods.adapters import TargetedMethod
from tunewright.methods.base import OptimizerDefaults


class VeraTuning(TargetedMethod):
    """Step 0 equals the plain model: one of the two vectors is zero."""

    name: ClassVar[str] = "vera"
    about: ClassVar[str] = "trained vectors that scale shared random low-rank matrices (VeRA, through PEFT)"
    trains: ClassVar[str] = "two vectors beside each target module (of equal shapes in all layers)"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))

    rank: int = Field(256, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    save_projection: bool = Field(
        True, description="keep the random matrices too; without them they are drawn anew, which another torch may not"
    )

    def peft_config(self) -> VeraConfig:
        """See AdapterMethod."""
        return VeraConfig(
            r=self.rank,
            vera_dropout=self.dropout,
            target_modules=self.target_modules,
            save_projection=self.save_projection,
        )
