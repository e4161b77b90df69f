"""From hidden states to logits, only where a label is."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tunewright.errors import InputError


def vocabulary_head(model: PreTrainedModel, states: Tensor) -> Tensor:
    """Logits [N, V] from the states [N, d] that the model's own forward gives to its head.

    The usual forms: a linear layer (with the scaling and soft cap that some configurations ask for), BERT's
    `cls`, RoBERTa's `lm_head`, DistilBERT's and ModernBERT's. Checked against the model's own forward by
    `check_head` when a backbone is loaded.
    """
    config = model.config
    part: Any = model  # its parts are looked up by name
    if hasattr(model, "cls"):  # BERT and its kin
        return part.cls(states)
    if hasattr(model, "vocab_projector"):  # DistilBERT
        states = part.activation(part.vocab_transform(states))
        return part.vocab_projector(part.vocab_layer_norm(states))
    if hasattr(model, "decoder") and hasattr(model, "head"):  # ModernBERT
        return part.decoder(part.head(states))
    if getattr(config, "scale_decoder_outputs", False):  # T5 with tied embeddings
        states = states * (config.d_model**-0.5)
    if hasattr(model, "lm_head"):
        logits = part.lm_head(states)
    else:
        logits = part.get_output_embeddings()(states)
    if hasattr(model, "final_logits_bias"):  # BART
        logits = logits + part.final_logits_bias.to(logits.dtype)
    if (scale := getattr(config, "logits_scaling", None)) is not None:  # Granite
        logits = logits / scale
    if (scale := getattr(config, "logit_scale", None)) is not None:  # Cohere
        logits = logits * scale
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:  # Gemma
        logits = torch.tanh(logits / cap) * cap
    return logits


@torch.no_grad()
def check_head(model: PreTrainedModel, logits: Tensor, expected: Tensor, name: str) -> None:
    """Raise InputError unless our logits are the model's own: an architecture whose head has another form."""
    wide = max(1.0, float(expected.abs().max()))
    if logits.shape != expected.shape or float((logits - expected).abs().max()) > 2e-2 * wide:
        raise InputError(f"{name}: the vocabulary head of {model.config.model_type!r} models has a form not known here")
