"""Training rows of several tasks as one list, and how often each task is drawn."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.mixtures.rates import shares
from tunewright.seeds import numpy_random
from tunewright.training.rows import RowEncoder


class MixedRows:
    """The rows of several encoders, one behind the other, and the order in which an epoch draws them.

    An epoch draws as many rows as there are. Task t has `draws[t]` of them: its share of the rates, rounded by the
    largest remainder (so exactly its number of rows, where the rates are those numbers). The epoch is cut into
    `draws[t]` equal stretches, and one row of t stands at a random place of each, so that every part of an epoch holds
    t about in its share. Over the epochs t's rows are drawn one permutation after the other: none a second time before
    all were drawn once. All this depends on the seed and the epoch alone.
    """

    def __init__(self, encoders: Sequence[RowEncoder], rates: Sequence[float] | None, seed: int) -> None:
        """`rates` are relative; None: the numbers of rows. Raises InputError where a task would never be drawn."""
        self.encoders, self.seed = list(encoders), seed
        self.sizes = [len(encoder.rows) for encoder in encoders]
        self.starts = np.array([0, *accumulate(self.sizes)][:-1])
        self.draws = shares(len(self), rates if rates is not None else self.sizes)
        if 0 in self.draws:
            t = self.draws.index(0)
            raise InputError(f"tasks[{t}]: its rate gives it none of the {len(self)} rows of an epoch; raise it")

    def __len__(self) -> int:
        return sum(self.sizes)

    def task_of(self, index: int) -> int:
        """The task of a row."""
        return int(np.searchsorted(self.starts, index, side="right")) - 1

    def order(self, epoch: int) -> list[int]:
        """The rows that an epoch draws, in order."""
        places, rows = [], []
        for t, count in enumerate(self.draws):
            jitter = numpy_random("place", self.seed, epoch, t).random(count)
            places.append((np.arange(count) + jitter) / count)
            rows.append(self.starts[t] + self._drawn(t, epoch * count, count))
        order: list[int] = np.concatenate(rows)[np.argsort(np.concatenate(places), kind="stable")].tolist()
        return order

    def _drawn(self, task: int, first: int, count: int) -> np.ndarray:
        """The task's draws number `first` to `first + count - 1` since the start of training."""
        size = self.sizes[task]
        passes = range(first // size, (first + count - 1) // size + 1)
        stream = np.concatenate([numpy_random("rows", self.seed, task, i).permutation(size) for i in passes])
        return stream[first - passes[0] * size :][:count]

    def examples(self, indices: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The rows' examples in order (None: skipped), each from its own task's encoder."""
        found: list[Example | None] = [None] * len(indices)
        tasks = [self.task_of(index) for index in indices]
        for t in sorted(set(tasks)):
            at = [i for i, task in enumerate(tasks) if task == t]
            mine = [indices[i] - int(self.starts[t]) for i in at]
            for i, example in zip(at, self.encoders[t].examples(mine, epoch, purpose, room)):
                found[i] = example
        return found
