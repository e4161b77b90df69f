"""From hidden states to logits, only where a label is."""

from collections.abc import Sequence
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


def vocabulary_input(model: PreTrainedModel, states: Tensor) -> Tensor:
    """What the head multiplies with the vocabulary's output vectors: [N, d] → [N, d].

    The states themselves, or what BERT's and RoBERTa's transform, T5's scaling or another constant makes of them.
    """
    config = model.config
    part: Any = model
    if hasattr(model, "cls"):
        return part.cls.predictions.transform(states)
    if hasattr(model, "vocab_projector"):
        return part.vocab_layer_norm(part.activation(part.vocab_transform(states)))
    if hasattr(model, "decoder") and hasattr(model, "head"):
        return part.head(states)
    if getattr(config, "scale_decoder_outputs", False):
        states = states * (config.d_model**-0.5)
    head: Any = getattr(model, "lm_head", None)
    if hasattr(head, "layer_norm") and hasattr(head, "dense"):  # RoBERTa and its kin
        return head.layer_norm(torch.nn.functional.gelu(head.dense(states)))
    if (scale := getattr(config, "logits_scaling", None)) is not None:
        states = states / scale
    if (scale := getattr(config, "logit_scale", None)) is not None:
        states = states * scale
    return states


@torch.no_grad()
def output_vectors(model: PreTrainedModel, ids: Sequence[int], name: str) -> Tensor:
    """The output vectors [len(ids), d] of tokens, fp32: their logits are `vocabulary_input` times these, plus a bias.

    Raises InputError for an architecture whose head has another form.
    """
    layer: Any = model.get_output_embeddings()
    weight: Tensor = layer.weight
    at = torch.tensor(list(ids), device=weight.device)
    vectors = weight[at].float()
    probe = torch.linspace(-1, 1, 2 * weight.shape[1], device=weight.device).view(2, -1).to(weight.dtype)
    # Differences between two states: a bias falls out.
    ours = torch.diff(vocabulary_input(model, probe).float() @ vectors.T, dim=0)
    theirs = torch.diff(vocabulary_head(model, probe)[:, at].float(), dim=0)
    if float((ours - theirs).abs().max()) > 2e-2 * max(1.0, float(theirs.abs().max())):
        raise InputError(f"{name}: the vocabulary head of {model.config.model_type!r} models has a form not known here")
    return vectors
