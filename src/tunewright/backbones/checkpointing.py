"""Gradient checkpointing (Chen et al. 2016): a block's inner states are computed again on the way back."""

import warnings

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError


def checkpoint_blocks(backbone: Backbone) -> None:
    """Keep only what enters each block, while training; loss and gradients stay the same.

    Through transformers, non-reentrant: gradients pass frozen blocks without a need for the word vectors to ask for
    one (the hook that transformers sets for that is taken off: it would send gradients through frozen blocks in vain).
    Raises InputError for an architecture without it.
    """
    model = backbone.model
    if not model.supports_gradient_checkpointing:
        kind = model.config.model_type
        raise InputError(f"training.gradient_checkpointing: {kind} models ({backbone.name}) have no such blocks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its name changes in transformers 6
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.disable_input_require_grads()
