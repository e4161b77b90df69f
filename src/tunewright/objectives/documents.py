"""Where the documents of a block end."""

from collections.abc import Sequence

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError


def end_of_document(backbone: Backbone) -> int:
    """The token between two documents: the tokenizer's end of text, else (BERT) its separator."""
    tokenizer = backbone.tokenizer
    token = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if token is None:
        raise InputError(f"{backbone.name}: the tokenizer has neither an end-of-text token nor a separator")
    return int(token)


def documents_in(block: Sequence[int], border: int) -> list[int]:
    """The number of the document that each token belongs to; the border token belongs to the one it ends."""
    numbers, now = [], 0
    for token in block:
        numbers.append(now)
        now += token == border
    return numbers
