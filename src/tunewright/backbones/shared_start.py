"""Answers behind one encoder row: the decoder's first position and its reading of the encoder's states, made once."""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from tunewright.backbones.batch import Batch

# Architectures whose answers were checked to score the same so as apart (tests/backbones).
LENDS = frozenset({"t5", "bart"})


class _Lent:
    """A layer's keys and values of the encoder's states, [R, heads, T, head_dim], given out as [D, …].

    Only while the layer works: kept for all layers at once they would take as much memory as a large model.
    """

    def __init__(self, layer: Any, rows: Tensor) -> None:
        self._layer, self._rows = layer, rows

    @property
    def keys(self) -> Tensor:
        return self._layer.keys.index_select(0, self._rows)

    @property
    def values(self) -> Tensor:
        return self._layer.values.index_select(0, self._rows)


def can_share(model_type: str, batch: Batch) -> bool:
    """Whether some encoder row has several answers, and nothing is trained (dropout would fall alike on all)."""
    assert batch.decoder_of is not None
    return not torch.is_grad_enabled() and len(batch.decoder_of) > len(batch.ids) and model_type in LENDS


def shared_states(
    decoder: Any, encoded: Tensor, mask: Tensor, of: Tensor, x: Tensor, past: EncoderDecoderCache | None
) -> Tensor:
    """Decoder states [D, U, d] for input x [D, U, d], whose first position is the same in all rows of an encoder row.

    `encoded` [R, T, d], `mask` [R, T]; `of` [D] names each row's encoder row, in order. `past`: a deep prompt, R rows.
    """
    first = torch.searchsorted(of, torch.arange(len(encoded), device=of.device))  # [R]
    past = past or EncoderDecoderCache(DynamicCache(), DynamicCache())
    start = decoder(
        inputs_embeds=x[first, :1],
        encoder_hidden_states=encoded,
        encoder_attention_mask=mask,
        past_key_values=past,
        use_cache=True,
    ).last_hidden_state[of]  # [D, 1, d]
    if x.shape[1] == 1:
        return start
    past.self_attention_cache.batch_select_indices(of)
    lent: list[Any] = [_Lent(layer, of) for layer in past.cross_attention_cache.layers]
    past.cross_attention_cache.layers = lent
    rest = decoder(
        inputs_embeds=x[:, 1:],
        encoder_hidden_states=encoded[of],
        encoder_attention_mask=mask[of],
        past_key_values=past,
        use_cache=False,
    ).last_hidden_state
    return torch.cat([start, rest], 1)
