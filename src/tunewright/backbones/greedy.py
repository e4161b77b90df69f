"""Greedy answers of a causal model: what all rows begin with is read once, and rows leave the batch as they end."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from tunewright.backbones.batch import Batch
from tunewright.backbones.common_start import common_start
from tunewright.backbones.heads import vocabulary_head

LEFT = 7 / 8  # share of a batch's rows that still write: below it the others are taken out


@torch.no_grad()
def write_greedily(
    model: Any, batch: Batch, x: Tensor, cache: DynamicCache, ends: Collection[int], most: int
) -> list[list[int]]:
    """At most `most` tokens a row, the end token left out.

    `batch` is left-padded, x [R, T, d] are its vectors; `cache` is what one row has read before (empty, or a prefix).
    """
    rows, before, start = len(x), cache.get_seq_length(), common_start(batch)
    reader = _Reader(model, cache)
    if start:
        first = x.shape[1] - int(batch.mask[0].sum())
        reader.read(x.new_ones(1, before + start).long(), inputs_embeds=x[:1, first : first + start])
    if rows > 1 and before + start:
        cache.batch_repeat_interleave(rows)
    lengths = batch.mask.sum(1) - start  # [R]
    width = int(lengths.max())
    own = torch.arange(width, device=x.device) >= (width - lengths).unsqueeze(1)  # [R, width]
    seen = torch.cat([own.new_ones(rows, before + start), own], 1).long()  # [R, P + width]
    state = reader.read(seen, inputs_embeds=x[:, -width:])  # [R, d]
    found: list[list[int]] = [[] for _ in range(rows)]
    writing = torch.arange(rows, device=x.device)  # the rows in the batch
    stops = torch.tensor(sorted(ends), device=x.device)
    alive = torch.ones(rows, dtype=torch.bool, device=x.device)
    for step in range(most):
        tokens = vocabulary_head(model, state).argmax(-1)  # [R]
        alive &= ~torch.isin(tokens, stops)
        for row, token, on in zip(writing.tolist(), tokens.tolist(), alive.tolist()):
            if on:
                found[row].append(token)
        left = int(alive.sum())
        if not left or step + 1 == most:
            break
        if left < LEFT * len(alive):
            keep = alive.nonzero().squeeze(1)
            cache.batch_select_indices(keep)
            writing, seen, tokens, alive = (t[keep] for t in (writing, seen, tokens, alive))
        seen = torch.cat([seen, seen.new_ones(len(seen), 1)], 1)
        state = reader.read(seen, input_ids=tokens.unsqueeze(1))
    return found


class _Reader:
    """Passes over what is new, behind what the cache holds."""

    def __init__(self, model: Any, cache: DynamicCache) -> None:
        self.model, self.cache = model, cache

    def read(self, seen: Tensor, **new: Tensor) -> Tensor:
        """`seen` [R, P + T]: 0 at padding. The last state of each row, [R, d]."""
        (inputs,) = new.values()
        positions = (seen.cumsum(1) - 1).clamp(min=0)[:, -inputs.shape[1] :]  # [R, T]
        out = self.model.base_model(
            attention_mask=seen, position_ids=positions, past_key_values=self.cache, use_cache=True, **new
        )
        return out.last_hidden_state[:, -1]
