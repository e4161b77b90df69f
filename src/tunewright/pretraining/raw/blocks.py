"""Documents packed into blocks of tokens, and steps of them: streamed, and found again at any step."""

from collections.abc import Callable, Iterator
from itertools import islice

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.objectives.raw_text import Make
from tunewright.objectives.text_blocks import packed_texts
from tunewright.pretraining.corpus import CorpusBlock, CorpusSource, Split, documents
from tunewright.seeds import numpy_random
from tunewright.training.batches import Batches, Place


def blocks(
    backbone: Backbone, corpus: CorpusBlock, split: Split, length: int, seed: int, epoch: int,
    only: CorpusSource | None = None,
) -> Iterator[list[int]]:  # fmt: skip
    """The epoch's documents (`only`: of one source) as blocks of `length` ids (`packed_texts`)."""
    return packed_texts(backbone, documents(corpus, split, seed, epoch, only), length)


class BlockBatches(Batches):
    """Steps of `batch_size` blocks as they come; the k-th block's noise depends on seed, epoch and k alone."""

    def __init__(self, stream: Callable[[int], Iterator[list[int]]], make: Make, seed: int, batch_size: int) -> None:
        self.stream, self.make, self.seed, self.batch_size = stream, make, seed, batch_size

    def steps(self, place: Place) -> Iterator[tuple[Place, list[Example]]]:
        """Endless steps from `place` on; each comes with the place of the step after it."""
        epoch, done = place.epoch, place.index
        while True:
            index = 0
            stream = self.stream(epoch)
            while len(found := list(islice(stream, self.batch_size))) == self.batch_size:
                index += 1
                if index > done:
                    first = (index - 1) * self.batch_size
                    yield (
                        Place(epoch, index),
                        [
                            self.make(block, numpy_random("noise", self.seed, epoch, first + i))
                            for i, block in enumerate(found)
                        ],
                    )
            if index == 0:
                raise InputError("corpus: not even one step of whole blocks in an epoch; lower training.batch_size "
                                 "or training.max_tokens")  # fmt: skip
            epoch, done = epoch + 1, 0
