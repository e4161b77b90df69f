"""The text of a pretraining as blocks: what is trained on, what is held out of it, and other text."""

from collections.abc import Iterator
from itertools import islice

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.pretraining.corpus import CorpusBlock, CorpusSource, Split
from tunewright.pretraining.raw.blocks import blocks
from tunewright.pretraining.raw.recipe import Pretraining

TRAINED_ON = "(held out)"  # the name of the text that is trained on, among those measured


def stream(
    recipe: Pretraining, backbone: Backbone, corpus: CorpusBlock, split: Split, epoch: int
) -> Iterator[list[int]]:
    """The epoch's blocks: with the special tokens around them and a slot for T5's ends they fit training.max_tokens."""
    length = recipe.training.max_tokens - len(backbone.text.before) - len(backbone.text.after)
    seed = recipe.training.seed if split == "train" else 0
    return blocks(backbone, corpus, split, length, seed, epoch)


def held_out_texts(recipe: Pretraining, backbone: Backbone) -> dict[str, list[list[int]]]:
    """Blocks to measure on, by text: of what is trained on its held-out documents, of other text any.

    Raises InputError where a text has not even two blocks.
    """
    corpora = {TRAINED_ON: recipe.corpus}
    corpora |= {entry.name: other_text(entry, recipe.corpus) for entry in recipe.evaluation.also}
    found = {}
    for name, corpus in corpora.items():
        held_out = list(islice(stream(recipe, backbone, corpus, "heldout", 0), recipe.evaluation.blocks))
        if len(held_out) < 2:
            where = "corpus: fewer than two held-out blocks; raise corpus.holdout" if name == TRAINED_ON else (
                f"evaluation.also: {name}: fewer than two blocks")  # fmt: skip
            raise InputError(f"{where} or lower training.max_tokens")
        found[name] = held_out
    return found


def other_text(entry: CorpusSource, corpus: CorpusBlock) -> CorpusBlock:
    """A named text as a corpus of its own, all held out; of a source that is trained on, only what is held out."""
    alone = CorpusBlock(sources=[entry], holdout=corpus.holdout, streaming=corpus.streaming)
    if any((own.task, own.path, own.hub) == (entry.task, entry.path, entry.hub) for own in corpus.sources):
        return alone
    return alone.model_copy(update={"holdout": 1.0})
