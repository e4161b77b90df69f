"""No tuning: the model as it is (zero-shot)."""

from typing import ClassVar

from tunewright.backbones.base import Backbone
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable
from tunewright.prompts.layout import SlotLayout


class NoTuning(Method):
    """The zero-shot baseline."""

    name: ClassVar[str] = "none"
    about: ClassVar[str] = "the model as it is, asked with the template"
    trains: ClassVar[str] = "nothing"
    defaults: ClassVar[OptimizerDefaults | None] = None
    wants_weights: ClassVar[bool] = False

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze everything."""
        backbone.model.requires_grad_(False)
        return Tunable(backbone)
