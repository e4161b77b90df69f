"""Deep prompts: keys and values that stand before the input in every layer, [P, layers, 2, heads, head_dim]."""

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache


def prefix_cache(deep: Tensor, rows: int, dtype: torch.dtype) -> DynamicCache:
    """A cache in which every one of `rows` rows has already read the prefix.

    Made anew for each pass: attention appends to it, by copies, so the prefix itself is never written to.
    """
    layers = deep.to(dtype).permute(1, 2, 3, 0, 4).unsqueeze(2)  # [layers, 2, 1, heads, P, head_dim]
    layers = layers.expand(-1, -1, rows, -1, -1, -1)
    return DynamicCache([(keys, values) for keys, values in layers])


def decoder_cache(deep: Tensor, rows: int, dtype: torch.dtype) -> EncoderDecoderCache:
    """The same for a decoder's self-attention; nothing is known yet of the encoder's states."""
    return EncoderDecoderCache(prefix_cache(deep, rows, dtype), DynamicCache())


def read_cache(cache: DynamicCache) -> Tensor | None:
    """What one row left in a cache, [T, layers, 2, heads, head_dim] in fp32; None where it is nothing, or differs."""
    both = [getattr(layer, kind, None) for layer in cache.layers for kind in ("keys", "values")]
    kept = [tensor for tensor in both if tensor is not None]
    if len({tensor.shape for tensor in kept}) != 1 or len(kept) != len(both):
        return None
    stacked = torch.stack(kept).unflatten(0, (-1, 2))  # [layers, 2, 1, heads, T, head_dim]
    return stacked.squeeze(2).permute(3, 0, 1, 2, 4).float()
