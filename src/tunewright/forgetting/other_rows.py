"""Rows of other tasks and general text, as remedies read them while training."""

from collections.abc import Sequence
from typing import NamedTuple

from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.evaluation.texts import noised
from tunewright.forgetting.battery import Item
from tunewright.forgetting.subject import Subject
from tunewright.seeds import numpy_random

BLOCK_TOKENS = 128


class Pair(NamedTuple):
    """A row as the tuned model reads it, and as the original does; both are asked the same tokens in the same order."""

    attached: Example
    detached: Example


class OtherRows:
    """The rows of some tasks with their answers, and blocks of raw text.

    Which ones a step reads depends on the seed and the step alone.
    """

    def __init__(self, subject: Subject, items: Sequence[Item], rows: int, seed: int) -> None:
        """At most `rows` rows (or blocks) of each. Raises InputError where none is left."""
        self.seed = seed
        self.pairs = [pair for item in items for pair in _pairs(subject, item, rows)]
        if not self.pairs:
            raise InputError("remedies: the other tasks give no row that this model can be asked about")

    def draw(self, what: str, step: int, count: int) -> list[Pair]:
        """`count` rows for a step, without repeating one as far as they go; `what` tells draws of one step apart."""
        random = numpy_random("other rows", what, self.seed, step)
        chosen = random.choice(len(self.pairs), size=count, replace=count > len(self.pairs))
        return [self.pairs[i] for i in chosen]


def _pairs(subject: Subject, item: Item, rows: int) -> list[Pair]:
    if item.text:
        plain = noised(subject.objective(), subject.blocks(item, rows, BLOCK_TOKENS), 1)
        return [Pair(subject.with_front(example), example) for example in plain]
    some = range(min(rows, len(item.rows)))
    both = [subject.encoder(item, attached=side).examples(some, 0, "answer") for side in (True, False)]
    found = [Pair(a, d) for a, d in zip(*both) if a is not None and d is not None]
    return [pair for pair in found if _asked(pair.attached) == _asked(pair.detached) != []]


def _asked(example: Example) -> list[int]:
    return [ask.token for view in example.views for ask in view.asks]
