"""Which rows each optimiser step reads: a pure function of seed, epoch and the rows' lengths."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tunewright.backbones.examples import Example
from tunewright.seeds import numpy_random, seed_of

Encode = Callable[[Sequence[int], int], Sequence[Example | None]]  # row indices, epoch → examples (None: skipped)
Order = Callable[[int], Sequence[int]]  # epoch → the rows it draws; sliced window by window

WINDOW_STEPS = 8  # steps cut from one window: enough for equal lengths, few enough that steps differ by epoch
WINDOW_ROWS = 256  # where steps are cut by tokens


@dataclass(frozen=True)
class Place:
    """Where in the data a step stands: enough to go on from there, without the rows before it.

    `window`: where in the epoch's order the window begins that the next step is cut from; `index`: how many steps of it
    are done.
    """

    epoch: int
    index: int
    window: int = 0


class Batches:
    """Steps of examples, in length buckets inside shuffled windows.

    Each epoch is a fresh permutation of the rows (or what `order` draws), cut into windows; a window is encoded,
    sorted by length, cut into steps by rows or by padded tokens, and its steps are shuffled. `packed` steps have no
    padding: cut by tokens, they are made of whatever rows come next. With `task_of` (a row's
    task) the steps of a window are mixed alike: a row's length counts among those of its own task.

    `ahead`: how many steps the loop may have made in a thread before it needs them.
    """

    ahead: int = 0

    def __init__(
        self,
        rows: int,
        encode: Encode,
        *,
        seed: int,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        order: Order | None = None,
        task_of: Callable[[int], int] | None = None,
        packed: bool = False,
        ahead: int = 0,
    ) -> None:
        self.by_sum = packed and batch_tokens is not None
        self.rows, self.encode, self.seed = rows, encode, seed
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.order, self.task_of = order or self._permutation, task_of
        self.ahead = ahead

    def _permutation(self, epoch: int) -> Sequence[int]:
        order: Sequence[int] = numpy_random("order", self.seed, epoch).permutation(self.rows).tolist()
        return order

    def steps(self, place: Place) -> Iterator[tuple[Place, list[Example]]]:
        """Endless steps from `place` on; each comes with the place of the step after it."""
        width = WINDOW_STEPS * self.batch_size if self.batch_size is not None else WINDOW_ROWS
        epoch, window, skip, empty = place.epoch, place.window, place.index, 0
        while empty < 2:  # an epoch, and what a place in its middle left of another, without a row
            order = self.order(epoch)
            empty += 1
            for start in range(window, len(order), width):
                for index, examples in enumerate(self._window(order[start : start + width], epoch, start), 1):
                    empty = 0
                    if index > skip:
                        yield Place(epoch, index, start), examples
                skip = 0
            epoch, window, skip = epoch + 1, 0, 0

    def _window(self, indices: Sequence[int], epoch: int, start: int) -> Iterator[list[Example]]:
        found = self.encode(indices, epoch)
        if self.by_sum:
            examples = [e for e in found if e is not None]
        elif self.task_of is None:
            examples = sorted((e for e in found if e is not None), key=lambda e: e.tokens)
        else:
            examples = spread([(self.task_of(i), e) for i, e in zip(indices, found) if e is not None])
        cuts = cut(examples, self.batch_size, self.batch_tokens, by_sum=self.by_sum)
        shuffled = numpy_random("steps", seed_of(self.seed, epoch, start)).permutation(len(cuts))
        return (cuts[i] for i in shuffled)


def spread(examples: Sequence[tuple[int, Example]]) -> list[Example]:
    """(task, example) pairs from short to long, each task in its share of any stretch.

    The k-th shortest of a task's n stands at (k + ½) / n of the way; equal places go by length.
    """
    sizes, seen = Counter(task for task, _ in examples), Counter[int]()
    placed = []
    for task, example in sorted(examples, key=lambda entry: entry[1].tokens):
        placed.append(((seen[task] + 0.5) / sizes[task], example))
        seen[task] += 1
    return [example for _, example in sorted(placed, key=lambda entry: (entry[0], entry[1].tokens))]


def cut(
    examples: Sequence[Example],
    batch_size: int | None = None,
    batch_tokens: int | None = None,
    *,
    by_sum: bool = False,
) -> list[list[Example]]:
    """Cut examples in their order by rows, or so that rows × longest (`by_sum`: their sum) stays in `batch_tokens`."""
    if batch_size is not None:
        return [list(examples[i : i + batch_size]) for i in range(0, len(examples), batch_size)]
    cuts: list[list[Example]] = []
    widest = views = total = 0
    for example in examples:
        own = sum(view.tokens for view in example.views)
        widest, views, total = max(widest, example.tokens), views + len(example.views), total + own
        if not cuts or (total if by_sum else widest * views) > (batch_tokens or 0):
            cuts.append([])
            widest, views, total = example.tokens, len(example.views), own
        cuts[-1].append(example)
    return cuts


def parts(examples: Sequence[Example], count: int) -> list[list[Example]]:
    """Cut one step's examples into at most `count` passes of nearly equal size."""
    count = min(count, len(examples))
    edges = [len(examples) * i // count for i in range(count + 1)]
    return [list(examples[a:b]) for a, b in pairwise(edges)]
