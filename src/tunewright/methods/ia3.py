"""IA3 (Liu et al. 2022): keys, values and inner activations of the feed-forward layers, each scaled by a vector."""

from typing import ClassVar

from peft import IA3Config

from tunewright.methods.adapters import TargetedMethod
from tunewright.methods.base import OptimizerDefaults


class Ia3Tuning(TargetedMethod):
    """Step 0 equals the plain model: the vectors are ones."""

    name: ClassVar[str] = "ia3"
    about: ClassVar[str] = "vectors that scale keys, values and the feed-forward layers' insides (IA3, through PEFT)"
    trains: ClassVar[str] = "one vector beside each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))

    feedforward_modules: list[str] | None = None

    def peft_config(self) -> IA3Config:
        """See AdapterMethod. Named layers alone are all scaled at their output."""
        scaled_at_input = self.feedforward_modules
        if scaled_at_input is None and self.target_modules is not None:
            scaled_at_input = []
        return IA3Config(target_modules=self.target_modules, feedforward_modules=scaled_at_input)
