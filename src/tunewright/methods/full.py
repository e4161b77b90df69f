"""Full tuning with a template (prompt-oriented): every weight of the backbone is trained."""

from pathlib import Path
from typing import ClassVar

from tunewright.backbones.base import Backbone
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable, copy_into, load_model_files
from tunewright.prompts.layout import SlotLayout


class FullTuning(Method):
    """All weights; the answer is asked through the template and the vocabulary head."""

    name: ClassVar[str] = "full"
    about: ClassVar[str] = "the whole network, asked with a template (prompt-oriented)"
    trains: ClassVar[str] = "all weights"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=5e-5, auto_rates=(2e-5, 5e-5, 1e-4), weight_decay=0.01
    )

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Train everything."""
        backbone.model.float().requires_grad_(True)
        return FullTunable(backbone)


class FullTunable(Tunable):
    """The backbone itself."""

    def save(self, folder: Path) -> None:
        """A model's folder that transformers loads by itself."""
        self.backbone.model.save_pretrained(folder)
        self.backbone.tokenizer.save_pretrained(folder)

    def merge(self) -> None:
        """Nothing to do: the tuned weights are the model's own."""

    def load(self, folder: Path) -> None:
        """Read the weights back; tied weights stand in the file once."""
        copy_into(self.trained(), load_model_files(folder), str(folder))
