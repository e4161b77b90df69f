"""Several rows in one sequence, each seeing itself alone: no padding between rows of unequal length."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tunewright.backbones.batch import Batch


def block_mask(document_ids: Tensor) -> Tensor:
    """Who sees whom: ids [B, T] of the document that each token belongs to (-1: padding) → bool [B, 1, T, T].

    A token sees itself and what stands before it in its own document. Padding sees itself alone: a softmax over
    nothing is no number. The tokens of a document stand next to each other, and its positions start at 0.
    """
    length = document_ids.shape[1]
    same = document_ids.unsqueeze(2) == document_ids.unsqueeze(1)  # [B, T, T]
    seen = same & (document_ids >= 0).unsqueeze(2)
    seen = seen & torch.ones(length, length, dtype=torch.bool, device=document_ids.device).tril()
    return (seen | torch.eye(length, dtype=torch.bool, device=document_ids.device)).unsqueeze(1)


def bins(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which rows share a sequence of at most `capacity` tokens: first-fit decreasing (a longer row stands alone)."""
    filled: list[int] = []
    members: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        place = next((b for b, used in enumerate(filled) if used + lengths[i] <= capacity), None)
        if place is None:
            place = len(filled)
            filled.append(0)
            members.append([])
        filled[place] += lengths[i]
        members[place].append(i)
    return members


def packed(batch: Batch, capacity: int) -> Batch:
    """A causal batch, padded on the right, with its R rows in fewer ones of at most `capacity` tokens.

    Positions start anew at each row, choices that share a context still see their own branch only, and what is asked
    is asked in the same order: log probabilities are those of the unpacked batch. By an explicit 4-D mask, since
    transformers finds the borders by positions alone only where no mask and no cache is given, and else lets rows see
    each other without a word. `last` is each sequence's last token.
    """
    lengths = (batch.last + 1).tolist()
    rows = bins(lengths, capacity)
    width = max(sum(lengths[r] for r in members) for members in rows)
    target = batch.ids.new_zeros(len(lengths))  # [R] the sequence a row goes to
    offset = batch.ids.new_zeros(len(lengths))  # [R] and its first position there
    for b, members in enumerate(rows):
        at = 0
        for r in members:
            target[r], offset[r], at = b, at, at + lengths[r]
    source = batch.mask.nonzero(as_tuple=True)  # [tokens] row, position
    goal = (target[source[0]], offset[source[0]] + source[1])
    positions = batch.positions if batch.positions is not None else torch.arange(batch.ids.shape[1]).to(batch.ids)

    def moved(values: Tensor, fill: int) -> Tensor:
        whole = values.new_full((len(rows), width), fill)
        whole[goal] = values.expand_as(batch.ids)[source]
        return whole

    documents = moved(torch.arange(len(lengths)).to(batch.ids).unsqueeze(1), -1)
    seen = block_mask(documents)
    if batch.tree is not None:
        for r, length in enumerate(lengths):
            start = int(offset[r])
            own = slice(start, start + length)
            seen[target[r], 0, own, own] &= batch.tree[r, 0, :length, :length]
    return replace(
        batch,
        ids=moved(batch.ids, 0),
        soft=moved(batch.soft, -1),
        mask=documents >= 0,
        positions=moved(positions, 0),
        tree=seen,
        ask_row=target[batch.ask_row],
        ask_position=batch.ask_position + offset[batch.ask_row],
        last=(documents >= 0).sum(1) - 1,
    )
