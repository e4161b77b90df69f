"""What a training block asks for that not every model or method can do."""

from tunewright.backbones.base import Backbone
from tunewright.backbones.causal import CausalBackbone
from tunewright.errors import InputError
from tunewright.methods.base import Tunable
from tunewright.recipe import TrainingBlock


def check_training(training: TrainingBlock, backbone: Backbone, tunable: Tunable) -> None:
    """Raise InputError where the training block asks for what this model or method cannot do."""
    if training.gradient_checkpointing and tunable.prefix_length:
        raise InputError("training.gradient_checkpointing: a prefix is kept as keys and values, which it throws away")
    if not training.packing:
        return
    if tunable.head() is not None:
        raise InputError("training.packing: a head pools the states of a whole sequence, which would be several rows")
    if not isinstance(backbone, CausalBackbone):
        raise InputError(f"training.packing: for causal models; {backbone.name} is {backbone.family}")
    if not backbone.takes_masks:
        kind = backbone.model.config.model_type
        raise InputError(f"training.packing: {kind} models ({backbone.name}) were not checked to keep rows apart")
