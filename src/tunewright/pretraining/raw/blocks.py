"""Documents packed into blocks of tokens, and steps of them: streamed, and found again at any step."""

from collections.abc import Callable, Iterator
from itertools import islice

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.backbones.tokens import Run
from tunewright.errors import InputError
from tunewright.pretraining.corpus import CorpusBlock, Split, documents
from tunewright.pretraining.raw.documents import end_of_document
from tunewright.pretraining.raw.objectives import Make
from tunewright.seeds import numpy_random
from tunewright.training.batches import Batches, Place

AT_ONCE = 64  # documents given to the tokenizer together


def blocks(
    backbone: Backbone, corpus: CorpusBlock, split: Split, length: int, seed: int, epoch: int
) -> Iterator[list[int]]:
    """Blocks of `length` ids: the epoch's documents one after the other, an end token behind each.

    A document goes on in the next block; what is left of the last one is dropped. Special tokens in the text are
    characters.
    """
    end = end_of_document(backbone)
    waiting: list[int] = []
    texts = documents(corpus, split, seed, epoch)
    while batch := list(islice(texts, AT_ONCE)):
        for ids in backbone.text.ids([Run(((text, True),)) for text in batch]):
            waiting += [*ids, end]
        whole = len(waiting) // length * length
        for at in range(0, whole, length):
            yield waiting[at : at + length]
        del waiting[:whole]


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
