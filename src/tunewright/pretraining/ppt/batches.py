"""Steps of questions, written as they are needed; where a step stands is enough to go on from it."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.pretraining.ppt.fit import rows_of
from tunewright.runs.prepare import Prepared
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.task import Row
from tunewright.training.batches import WINDOW_ROWS, WINDOW_STEPS, Batches, Place, cut


class QuestionBatches(Batches):
    """As `Batches`, but over the questions of an epoch in the order they come.

    A window of them is encoded, sorted by length, cut into steps, and its steps are shuffled. `counts` tells how many
    were `asked` and `shortened`.
    """

    def __init__(
        self,
        questions: Callable[[int], Iterator[Row]],
        prepared: Prepared,
        purpose: Purpose,
        *,
        seed: int,
        batch_size: int | None,
        batch_tokens: int | None,
    ) -> None:
        self.questions, self.prepared, self.purpose = questions, prepared, purpose
        self.seed, self.batch_size, self.batch_tokens = seed, batch_size, batch_tokens
        self.counts: Counter[str] = Counter()

    def steps(self, place: Place) -> Iterator[tuple[Place, list[Example]]]:
        """Endless steps from `place` on; each comes with the place of the step after it."""
        epoch, done = place.epoch, place.index
        while True:
            index = 0
            for start, rows in self._windows(epoch):
                # Where rows make the steps, a window's are known without encoding it.
                if self.batch_size is not None and index + (steps := -(-len(rows) // self.batch_size)) <= done:
                    index += steps
                    continue
                for examples in self._cut(rows, epoch, start):
                    index += 1
                    if index > done:
                        yield Place(epoch, index), examples
            if index == 0:
                return
            epoch, done = epoch + 1, 0

    def _windows(self, epoch: int) -> Iterator[tuple[int, list[Row]]]:
        """Where each window starts, and its rows."""
        size = WINDOW_STEPS * self.batch_size if self.batch_size is not None else WINDOW_ROWS
        stream, start = self.questions(epoch), 0
        while rows := list(islice(stream, size)):
            yield start, rows
            start += len(rows)

    def _cut(self, rows: list[Row], epoch: int, start: int) -> Iterator[list[Example]]:
        encoder = self.prepared.encoder(rows_of(rows, f"question-{epoch}-{start}"))
        examples = [e for e in encoder.examples(range(len(rows)), epoch, self.purpose) if e is not None]
        if len(examples) < len(rows):
            raise InputError("template: it leaves some of the questions empty; every one must be asked")
        self.counts["asked"] += len(rows)
        self.counts["shortened"] += encoder.counts["shortened"]
        cuts = cut(sorted(examples, key=lambda e: e.tokens), self.batch_size, self.batch_tokens)
        order = numpy_random("steps", seed_of(self.seed, epoch, start)).permutation(len(cuts))
        return (cuts[i] for i in order)
