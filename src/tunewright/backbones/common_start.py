"""What all rows of a batch begin with, read once: instructions, in-context examples, a soft prompt in front."""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from tunewright.backbones.batch import Batch

WORTH = 256  # tokens that need not be read: fewer do not pay for a second pass through the layers


def common_start(batch: Batch) -> int:
    """How many positions all rows begin with alike, ids and slots; each keeps one of its own, and all that is asked.

    Rows may be padded on either side.
    """
    lengths = batch.mask.sum(1)  # [R]
    most = int(lengths.min()) - 1
    if batch.ask_row.numel() and batch.decoder_ids is None:
        most = min(most, int(batch.ask_position.min()))
    if len(lengths) < 2 or most < 1:
        return 0
    first = batch.mask.int().argmax(1, keepdim=True)  # [R, 1]
    at = first + torch.arange(most, device=lengths.device)  # [R, most]
    both = torch.stack([batch.ids.gather(1, at), batch.soft.gather(1, at)])  # [2, R, most]
    alike = (both == both[:, :1]).all(1).all(0)  # [most]
    return int(alike.long().cumprod(0).sum())


def worth_sharing(batch: Batch) -> int:
    """`common_start` where nothing is trained and it saves enough, else 0."""
    if torch.is_grad_enabled():
        return 0
    start = common_start(batch)
    return start if start * (len(batch.ids) - 1) >= WORTH else 0


def states_behind(model: Any, batch: Batch, x: Tensor, start: int) -> Tensor:
    """Last hidden states [R, T, d] of right-padded rows x [R, T, d], their first `start` positions read once."""
    cache = DynamicCache(config=model.config)
    first = model.base_model(inputs_embeds=x[:1, :start], past_key_values=cache, use_cache=True).last_hidden_state
    cache.batch_repeat_interleave(len(x))
    rest = x[:, start:]
    place = torch.arange(start, x.shape[1], device=x.device).expand(len(x), -1)  # [R, U]
    bias = None
    if batch.tree is not None:
        assert batch.positions is not None
        place = batch.positions[:, start:]
        seen = batch.tree[:, :, start:]  # [R, 1, U, T]
        bias = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill_(~seen, torch.finfo(x.dtype).min)
    out = model.base_model(
        inputs_embeds=rest, attention_mask=bias, position_ids=place, past_key_values=cache, use_cache=True
    )
    return torch.cat([first.expand(len(x), -1, -1), out.last_hidden_state], 1)
