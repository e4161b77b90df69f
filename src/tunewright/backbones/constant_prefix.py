"""What stands before the first slot never changes where the weights are frozen: its keys and values are made once.

Only what follows is then read again in every epoch. Loss and gradient are those of the whole row.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from tunewright.backbones.base import Backbone
from tunewright.backbones.batch import Batch
from tunewright.backbones.causal import TREE_READY
from tunewright.backbones.prefix_store import PrefixStore


class ConstantPrefixes:
    """Keys and values [layers, 2, heads, length, head_dim] of each constant prefix seen so far, by its ids.

    Each prefix is read alone: in bf16 its numbers would otherwise depend on the batch they were made in, and a resumed
    run would not end with the same weights.
    """

    def __init__(self, backbone: Backbone, store: PrefixStore | None = None) -> None:
        self.backbone = backbone
        self.store = store or PrefixStore()

    def states(self, batch: Batch, table: Tensor) -> tuple[Tensor, Batch] | None:
        """States [R, U, d] of what follows the prefixes, and the batch with what is asked counted from there.

        None where a row has no slot, or nothing before it. Rows are padded on the right.
        """
        slots = batch.soft >= 0
        first = slots.int().argmax(1)  # [R]
        if not bool(slots.any(1).all()) or not bool((first > 0).all()):
            return None
        kept = [self._prefix(batch.ids[row, :length]) for row, length in enumerate(first.tolist())]
        past = _stacked(kept, int(first.max()))
        span = int((batch.last + 1 - first).max())  # U
        place = first.unsqueeze(1) + torch.arange(span, device=first.device)  # [R, U]
        place = torch.minimum(place, batch.last.unsqueeze(1))  # behind a row's end: its last token, seen by nobody
        positions = place if batch.positions is None else batch.positions.gather(1, place)
        x = self.backbone.embed(batch.ids.gather(1, place), batch.soft.gather(1, place), table)  # [R, U, d]
        seen = torch.cat([_past_seen(first, span), _new_seen(batch, first, place)], -1).unsqueeze(1)  # [R, 1, U, P + U]
        bias = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill(~seen, torch.finfo(x.dtype).min)
        out = self.backbone.model.base_model(
            inputs_embeds=x, attention_mask=bias, position_ids=positions, past_key_values=past, use_cache=True
        )
        moved = replace(batch, ask_position=batch.ask_position - first[batch.ask_row])
        return out.last_hidden_state, moved

    @torch.no_grad()
    def _prefix(self, ids: Tensor) -> Tensor:
        key = ids.cpu().numpy().tobytes()
        found = self.store.kept.get(key)
        if found is None:
            cache = DynamicCache()
            self.backbone.model.base_model(input_ids=ids.unsqueeze(0), past_key_values=cache, use_cache=True)
            layers: list[Any] = cache.layers
            made = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in layers])
            found = self.store.put(key, made)
        return found


def _stacked(kept: list[Tensor], width: int) -> DynamicCache:
    """A cache of its own for each pass (the model adds to it), prefixes padded on the right to `width`."""
    padded = torch.stack([nn.functional.pad(kv, (0, 0, 0, width - kv.shape[3])) for kv in kept], 2)  # [L,2,R,h,P,e]
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(padded):
        cache.update(keys, values, layer)
    return cache


def _past_seen(first: Tensor, span: int) -> Tensor:
    """bool [R, U, P]: each row sees its own prefix."""
    columns = torch.arange(int(first.max()), device=first.device)
    return (columns < first.unsqueeze(1)).unsqueeze(1).expand(-1, span, -1)


def _new_seen(batch: Batch, first: Tensor, place: Tensor) -> Tensor:
    """bool [R, U, U]: what follows sees what stands before it there, and of the choices its own only."""
    span = place.shape[1]
    inside = first.unsqueeze(1) + torch.arange(span, device=first.device) <= batch.last.unsqueeze(1)  # [R, U]
    causal = torch.ones(span, span, dtype=torch.bool, device=first.device).tril()
    seen = causal & inside.unsqueeze(1)
    if batch.tree is not None:
        rows = torch.arange(len(place), device=place.device)[:, None, None]
        seen = seen & batch.tree[rows, 0, place.unsqueeze(2), place.unsqueeze(1)]
    return seen | torch.eye(span, dtype=torch.bool, device=first.device)


def can_keep(backbone: Backbone) -> bool:
    """Whether what stands before the slots is constant: a frozen causal model without dropout."""
    config = backbone.model.config
    if backbone.family != "causal" or config.model_type not in TREE_READY:
        return False
    if getattr(config, "sliding_window", None) is not None or any(p.requires_grad for p in backbone.model.parameters()):
        return False
    return not any(value for name, value in config.to_dict().items() if "drop" in name and isinstance(value, float))


def bytes_a_token(backbone: Backbone) -> int:
    """Bytes of the keys and values of one token in all layers."""
    config = backbone.model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = next(backbone.model.parameters()).element_size()
    return int(config.num_hidden_layers * 2 * heads * width * size)
