"""Encoded rows: ids, soft positions and what is asked of the model, before they are padded into a batch."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# state: one state a row is wanted, the one that would predict the first token of the answer
# words, word-ends: a word is labelled, at its first or at its last sub-token
Purpose = Literal["answer", "choices", "generate", "pool", "state", "words", "word-ends"]


class Ask(NamedTuple):
    """One token whose log probability is wanted.

    `position` is where the hidden state that predicts it stands (a causal model: one before the token; a
    masked model: the mask itself), in decoder row `row` for an encoder-decoder, else in the view (row 0).
    Where the state itself is wanted (purpose `state`), `token` says nothing. Where words are labelled, `choice` is the
    word's number and `token` its label (-1: not known).
    """

    row: int
    position: int
    token: int
    choice: int


@dataclass(slots=True)
class View:
    """One row of a forward pass.

    `soft` holds -1 at ordinary tokens, else a row of the prompt table (`ids` holds the pad id there).
    `branches` (causal, several choices in one row): -1 for the shared context, else the choice a token
    belongs to; a token sees the context and its own branch. `decoders` are (ids, soft) of decoder rows.
    """

    ids: list[int]
    soft: list[int]
    asks: list[Ask] = field(default_factory=list)
    types: list[int] | None = None
    branches: list[int] | None = None
    decoders: list[tuple[list[int], list[int]]] = field(default_factory=list)

    @property
    def labels(self) -> list[int]:
        """The asked token at the position that predicts it, -100 elsewhere (first decoder row, if any)."""
        length = len(self.decoders[0][0]) if self.decoders else len(self.ids)
        labels = [-100] * length
        for ask in self.asks:
            if ask.row == 0:
                labels[ask.position] = ask.token
        return labels

    @property
    def tokens(self) -> int:
        """How many tokens a forward pass of this view reads."""
        return len(self.ids) + sum(len(ids) for ids, _ in self.decoders)


@dataclass(slots=True)
class Example:
    """One row, encoded for one purpose: its views and what scoring needs to know of its choices."""

    views: list[View]
    choices: int = 1
    choice_labels: tuple[int, ...] = (0,)
    choice_bytes: tuple[int, ...] = (0,)
    gold: int = -1
    number: float = math.nan  # the target of a regression, less the mean, over the deviation
    unread: int = 0  # words that cannot be labelled: cut off, or without a token
    weight: float = 1.0  # of the row in the loss
    shortened: bool = False
    demonstrations: int = 0  # how many stand in it
    dropped: int = 0  # how many more its prompt had, which did not fit
    drawn: int = -1  # its number in a mixture

    @property
    def content(self) -> Hashable:
        """All that an answer depends on: examples with the same content get the same answer."""
        views = tuple(
            (
                *(tuple(part or ()) for part in (view.ids, view.soft, view.asks, view.types, view.branches)),
                tuple((tuple(ids), tuple(soft)) for ids, soft in view.decoders),
            )
            for view in self.views
        )
        return views, self.choices, self.choice_labels, self.choice_bytes

    @property
    def tokens(self) -> int:
        """The longest view's length: what padding depends on."""
        return max(view.tokens for view in self.views)
