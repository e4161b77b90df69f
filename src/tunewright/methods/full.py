"""Full tuning with a template (prompt-oriented): every weight of the backbone is trained."""

from pathlib import Path
from typing import ClassVar

import torch

from tunewright.backbones.base import Backbone
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable, copy_into, load_safetensors
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

    def load(self, folder: Path) -> None:
        """Read the weights back; tied weights stand in the file once."""
        values: dict[str, torch.Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            values |= {f"model.{name}": value for name, value in load_safetensors(file).items()}
        copy_into(self.trained(), values, str(folder))
