"""Tuning some of the model's own weights; the rest stays as it is, and only what was trained is kept."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable, copy_into
from tunewright.methods.structure import block_stack, final_norms, norm_modules
from tunewright.prompts.layout import SlotLayout


class PartTuning(Method):
    """A method that trains some of the backbone's own parameters: a subclass says which."""

    @abstractmethod
    def chosen(self, backbone: Backbone) -> list[nn.Parameter]:
        """The parameters to train. Raises InputError where the model has none of them."""

    def chosen_of_reader(self, backbone: Backbone) -> list[nn.Parameter]:
        """Those that make the states a head reads: neither a decoder's nor a vocabulary head's."""
        read = {id(p) for p in backbone.reader.parameters()}
        return [p for p in self.chosen(backbone) if id(p) in read]

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Train what is chosen, with fp32 masters; freeze the rest."""
        train_only(backbone, self.chosen(backbone))
        return PartTunable(backbone)


def train_only(backbone: Backbone, parameters: list[nn.Parameter]) -> None:
    """Freeze the model but for these parameters, which become fp32."""
    backbone.model.requires_grad_(False)
    for parameter in parameters:
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)


class PartTunable(Tunable):
    """The chosen weights, and how they were before."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self._untuned = {name: p.detach().clone() for name, p in self.trained().items()}

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the chosen weights are those of the pretrained model."""
        tuned = {name: p.detach().clone() for name, p in self.trained().items()}
        copy_into(self._weights(), self._untuned, "the untuned weights")
        try:
            yield
        finally:
            copy_into(self._weights(), tuned, "the tuned weights")

    @property
    def detaches(self) -> bool:
        """The untuned weights are kept."""
        return True

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.trained())

    def merge(self) -> None:
        """Nothing to do: the tuned weights are the model's own."""


class BitFit(PartTuning):
    """All bias terms (BitFit, Ben Zaken et al. 2022)."""

    name: ClassVar[str] = "bitfit"
    about: ClassVar[str] = "the bias terms alone (BitFit)"
    trains: ClassVar[str] = "all bias terms; Llama-like models and T5 have none"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=1e-2, auto_rates=(1e-3, 3e-3, 1e-2))

    def chosen(self, backbone: Backbone) -> list[nn.Parameter]:
        """Every parameter that is called `bias`, those of the norms and of a masked model's head with them."""
        found = [p for name, p in backbone.model.named_parameters() if name.rpartition(".")[2] == "bias"]
        if not found:
            raise InputError(
                f"method {self.name}: {backbone.name} has no bias terms ({backbone.model.config.model_type} models are "
                "built without); method layer-norm trains about as few weights and is for every model"
            )
        return found


class LayerNormTuning(PartTuning):
    """Scale and shift of every norm (Zhao et al. 2023, "Tuning LayerNorm in Attention")."""

    name: ClassVar[str] = "layer-norm"
    about: ClassVar[str] = "the norms alone: scales, and shifts where there are any"
    trains: ClassVar[str] = "all LayerNorm or RMSNorm weights"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=1e-2, auto_rates=(3e-3, 1e-2, 3e-2))

    def chosen(self, backbone: Backbone) -> list[nn.Parameter]:
        """The norms' own parameters."""
        found = [p for module in norm_modules(backbone.model).values() for p in module.parameters(recurse=False)]
        if not found:
            raise InputError(f"method {self.name}: {backbone.name} has no norms with weights")
        return found


class LastLayers(PartTuning):
    """The last blocks and the norm behind them (of an encoder-decoder: the decoder's)."""

    name: ClassVar[str] = "last-layers"
    about: ClassVar[str] = "the last blocks, those nearest the answer"
    trains: ClassVar[str] = "the last `layers` blocks (of the decoder, where there is one) and the norm behind them"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(
        learning_rate=3e-4, auto_rates=(1e-4, 3e-4, 1e-3), weight_decay=0.01
    )

    layers: int = Field(2, gt=0, description="how many blocks, counted from the last")

    def chosen(self, backbone: Backbone) -> list[nn.Parameter]:
        """The blocks' parameters and the final norm's."""
        return self._last(backbone, *block_stack(backbone), "decoder")

    def chosen_of_reader(self, backbone: Backbone) -> list[nn.Parameter]:
        """Of an encoder-decoder the encoder's last blocks: a head never sees the decoder."""
        return self._last(backbone, *block_stack(backbone, backbone.reader), "encoder")

    def _last(self, backbone: Backbone, parent: nn.Module, blocks: list[nn.Module], half: str) -> list[nn.Parameter]:
        if self.layers > len(blocks):
            whose = f"its {half} has" if backbone.family == "seq2seq" else "it has"
            raise InputError(
                f"method {self.name}: layers: {self.layers}, {backbone.name}: {whose} {len(blocks)} blocks"
            )
        modules = [*blocks[-self.layers :], *final_norms(parent)]
        return list(dict.fromkeys(p for module in modules for p in module.parameters()))


class EmbeddingTuning(PartTuning):
    """The word embeddings. Where the vocabulary head is the same matrix, it moves with them."""

    name: ClassVar[str] = "embeddings"
    about: ClassVar[str] = "the word embeddings alone (a head tied to them moves along)"
    trains: ClassVar[str] = "the word embeddings, and so the vocabulary head of a model that ties the two"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))

    def chosen(self, backbone: Backbone) -> list[nn.Parameter]:
        """The matrix [V, d] that words are looked up in."""
        return list(backbone.model.get_input_embeddings().parameters())


PARTS: dict[str, type[PartTuning]] = {
    part.name: part for part in (BitFit, LayerNormTuning, LastLayers, EmbeddingTuning)
}
