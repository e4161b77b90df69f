"""Examples padded into tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tunewright.backbones.examples import Example, View


@dataclass(slots=True)
class Batch:
    """What a forward pass takes. R rows (views) of T tokens; N asked tokens; B examples of at most C choices.

    An encoder-decoder also has D decoder rows of U tokens; `decoder_of` [D] names the encoder row of each.
    """

    ids: Tensor  # [R, T] int64, the pad id at soft positions and padding
    soft: Tensor  # [R, T] int64, -1 or a row of the prompt table
    mask: Tensor  # [R, T] bool, False at padding
    ask_row: Tensor  # [N] a row of the states: R (or D for an encoder-decoder)
    ask_position: Tensor  # [N]
    ask_token: Tensor  # [N]
    ask_slot: Tensor  # [N] example · C + choice
    gold: Tensor  # [B] the right label's index, -1 where unknown
    numbers: Tensor  # [B] the target of a regression, NaN elsewhere
    choice_labels: Tensor  # [B, C] the label each choice stands for, -1 beyond the example's choices
    choice_bytes: Tensor  # [B, C] length of each choice in UTF-8 bytes
    last: Tensor  # [R] position of the last real token
    positions: Tensor | None = None  # [R, T] where choices share a context
    types: Tensor | None = None  # [R, T]
    tree: Tensor | None = None  # [R, 1, T, T] bool, who sees whom where choices share a context
    decoder_ids: Tensor | None = None  # [D, U]
    decoder_soft: Tensor | None = None  # [D, U]
    decoder_mask: Tensor | None = None  # [D, U] bool
    decoder_of: Tensor | None = None  # [D]
    weights: Tensor | None = None  # [B] in the loss, fp32; None: all the same
    any_soft: bool = False

    @property
    def examples(self) -> int:
        """B."""
        return int(self.gold.shape[0])

    @property
    def choices(self) -> int:
        """C."""
        return int(self.choice_labels.shape[1])

    @property
    def asked(self) -> int:
        """N."""
        return int(self.ask_token.shape[0])

    def repeated(self, times: int, slots: int) -> "Batch":
        """The batch `times` over, the k-th copy reading the table's rows from k · slots on (copies stand in blocks).

        What is per example (gold, choices) stays as it is: R, N and D grow, B does not.
        """

        states = self.ids.shape[0] if self.decoder_ids is None else self.decoder_ids.shape[0]
        steps = {"soft": slots, "decoder_soft": slots, "ask_row": states, "decoder_of": self.ids.shape[0]}
        alone = {"gold", "numbers", "choice_labels", "choice_bytes", "weights"}
        changed: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not isinstance(value, Tensor) or entry.name in alone:
                continue
            step = steps.get(entry.name, 0)  # -1 (no slot) stays -1
            copies = [torch.where(value >= 0, value + k * step, value) if step else value for k in range(times)]
            changed[entry.name] = torch.cat(copies)
        return replace(self, **changed)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            f.name: value.to(device) for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)


def padded(
    rows: Sequence[Sequence[int]], fill: int, side: Literal["left", "right"] = "right", dtype: type = np.int64
) -> np.ndarray:
    """Rows of unequal length as a matrix [len(rows), longest], `fill` on the `side` given."""
    width = max((len(row) for row in rows), default=0)
    matrix: np.ndarray = np.full((len(rows), width), fill, dtype)
    for i, row in enumerate(rows):
        if side == "right":
            matrix[i, : len(row)] = row
        else:
            matrix[i, width - len(row) :] = row
    return matrix


def tree_mask(view: View, width: int) -> np.ndarray:
    """Who sees whom, bool [width, width]: the context causally, a branch the context and itself causally."""
    length = len(view.ids)
    branch = np.full(width, -2)  # padding belongs to nobody
    branch[:length] = view.branches if view.branches is not None else -1
    causal = np.tril(np.ones((width, width), bool))
    seen = (branch[None, :] == -1) | (branch[None, :] == branch[:, None])
    mask: np.ndarray = causal & seen
    mask[np.arange(width), np.arange(width)] = True  # a padded row sees itself: no softmax over nothing
    return mask


def tree_positions(view: View) -> list[int]:
    """Position of each token: branches all go on from the end of the context."""
    if view.branches is None:
        return list(range(len(view.ids)))
    context = sum(branch == -1 for branch in view.branches)
    next_of: dict[int, int] = {}
    positions = []
    for i, branch in enumerate(view.branches):
        if branch == -1:
            positions.append(i)
        else:
            positions.append(next_of.get(branch, context))
            next_of[branch] = positions[-1] + 1
    return positions


def collate(
    examples: Sequence[Example],
    pad: int,
    *,
    side: Literal["left", "right"] = "right",
) -> Batch:
    """Pad examples into a batch."""
    views = [view for example in examples for view in example.views]
    owner = [b for b, example in enumerate(examples) for _ in example.views]
    width_c = max(example.choices for example in examples)
    ids = padded([view.ids for view in views], pad, side)  # [R, T]
    width = ids.shape[1]
    lengths = np.array([len(view.ids) for view in views])
    shift = width - lengths if side == "left" else np.zeros_like(lengths)
    index = np.arange(width)
    mask = (index[None] >= shift[:, None]) & (index[None] < (shift + lengths)[:, None])

    decoders = [(r, ids_, soft_) for r, view in enumerate(views) for ids_, soft_ in view.decoders]
    first_decoder = np.cumsum([0, *(len(view.decoders) for view in views)])
    asks = [
        (
            (first_decoder[r] + ask.row) if view.decoders else r,
            ask.position if view.decoders else ask.position + shift[r],
            ask.token,
            owner[r] * width_c + ask.choice,
        )
        for r, view in enumerate(views)
        for ask in view.asks
    ]
    ask = torch.tensor(asks, dtype=torch.long).reshape(-1, 4)
    labels = padded([example.choice_labels for example in examples], -1)
    sizes = padded([example.choice_bytes for example in examples], 0)
    soft = padded([view.soft for view in views], -1, side)

    batch = Batch(
        ids=torch.from_numpy(ids),
        soft=torch.from_numpy(soft),
        mask=torch.from_numpy(mask),
        ask_row=ask[:, 0],
        ask_position=ask[:, 1],
        ask_token=ask[:, 2],
        ask_slot=ask[:, 3],
        gold=torch.tensor([example.gold for example in examples]),
        numbers=torch.tensor([example.number for example in examples]),
        choice_labels=torch.from_numpy(labels),
        choice_bytes=torch.from_numpy(sizes),
        last=torch.from_numpy(shift + lengths - 1),
        any_soft=bool((soft >= 0).any()),
    )
    if any(example.weight != 1 for example in examples):
        batch.weights = torch.tensor([example.weight for example in examples])
    if any(view.types is not None for view in views):
        batch.types = torch.from_numpy(padded([view.types or [0] * len(view.ids) for view in views], 0, side))
    if any(view.branches is not None for view in views):
        batch.tree = torch.from_numpy(np.stack([tree_mask(view, width) for view in views])[:, None])
        batch.positions = torch.from_numpy(padded([tree_positions(view) for view in views], 0, side))
    if decoders:
        batch.decoder_ids = torch.from_numpy(padded([d[1] for d in decoders], pad))
        batch.decoder_soft = torch.from_numpy(padded([d[2] for d in decoders], -1))
        batch.decoder_mask = torch.from_numpy(padded([[1] * len(d[1]) for d in decoders], 0)).bool()
        batch.decoder_of = torch.tensor([d[0] for d in decoders])
        batch.any_soft = batch.any_soft or bool((batch.decoder_soft >= 0).any())
    return batch
