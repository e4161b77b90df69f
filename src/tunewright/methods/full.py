"""Full tuning with a template (prompt-oriented): every weight of the backbone is trained."""

from pathlib import Path
from typing import ClassVar

from torch import nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable, copy_into, load_model_files
from tunewright.methods.layers import LayerwiseMethod, freeze, layer_shares
from tunewright.prompts.layout import SlotLayout


class FullTuning(LayerwiseMethod):
    """All weights (those not frozen); the answer is asked through the template and the vocabulary head."""

    name: ClassVar[str] = "full"
    about: ClassVar[str] = "the whole network, asked with a template (prompt-oriented)"
    trains: ClassVar[str] = "all weights, or those that `freeze` leaves"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=5e-5, auto_rates=(2e-5, 5e-5, 1e-4), weight_decay=0.01
    )

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Train everything that is not frozen. Raises InputError where that is nothing, or a pattern names nothing."""
        backbone.model.float().requires_grad_(True)
        freeze(backbone.model, self.freeze)
        if not any(parameter.requires_grad for parameter in backbone.model.parameters()):
            raise InputError("method.freeze: nothing is left to train")
        return FullTunable(backbone, self.layer_decay)


class FullTunable(Tunable):
    """The backbone itself."""

    keeps_model = True

    def __init__(self, backbone: Backbone, layer_decay: float = 1.0) -> None:
        super().__init__(backbone)
        self._shares = {} if layer_decay == 1 else rate_shares(backbone, backbone.model, layer_decay)

    def rate_of(self, name: str) -> float:
        """By the block's height."""
        return self._shares.get(name, 1.0)

    def save(self, folder: Path) -> None:
        """A model's folder that transformers loads by itself, fp32 throughout."""
        self.backbone.model.save_pretrained(folder)
        self.backbone.tokenizer.save_pretrained(folder)

    def merge(self) -> None:
        """Nothing to do: the tuned weights are the model's own."""

    def load(self, folder: Path) -> None:
        """Read the weights back; tied weights stand in the file once."""
        copy_into(self.trained(), load_model_files(folder), str(folder))


def rate_shares(backbone: Backbone, read: nn.Module, layer_decay: float) -> dict[str, float]:
    """`layer_shares` of the part of the model that is read, by the names of `Tunable.trained`."""
    shares = layer_shares(read, layer_decay)
    return {f"model.{name}": shares.get(id(p), 1.0) for name, p in backbone.model.named_parameters()}
