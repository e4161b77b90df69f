"""Texts packed into blocks of tokens."""

from collections.abc import Iterable, Iterator
from itertools import islice

from tunewright.backbones.base import Backbone
from tunewright.backbones.tokens import Run
from tunewright.objectives.documents import end_of_document

AT_ONCE = 64  # documents given to the tokenizer together


def packed_texts(backbone: Backbone, texts: Iterable[str], length: int) -> Iterator[list[int]]:
    """Blocks of `length` ids: the documents one after the other, an end token behind each.

    A document goes on in the next block; what is left of the last one is dropped. Special tokens in the text are
    characters.
    """
    end = end_of_document(backbone)
    waiting: list[int] = []
    texts = iter(texts)
    while batch := list(islice(texts, AT_ONCE)):
        for ids in backbone.text.ids([Run(((text, True),)) for text in batch]):
            waiting += [*ids, end]
        whole = len(waiting) // length * length
        for at in range(0, whole, length):
            yield waiting[at : at + length]
        del waiting[:whole]
