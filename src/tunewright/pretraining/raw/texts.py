"""The text of a pretraining as blocks: what is trained on, what is held out of it, and other text."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.pretraining.corpus import CorpusBlock, CorpusSource, Split
from tunewright.pretraining.raw.blocks import blocks
from tunewright.pretraining.raw.recipe import Pretraining

TRAINED_ON = "(held out)"  # the name of the text that is trained on, among those measured


def stream(
    recipe: Pretraining, backbone: Backbone, corpus: CorpusBlock, split: Split, epoch: int,
    only: CorpusSource | None = None,
) -> Iterator[list[int]]:  # fmt: skip
    """The epoch's blocks: with the special tokens around them and a slot for T5's ends they fit training.max_tokens."""
    length = recipe.training.max_tokens - len(backbone.text.before) - len(backbone.text.after)
    seed = recipe.training.seed if split == "train" else 0
    return blocks(backbone, corpus, split, length, seed, epoch, only)


def held_out_texts(recipe: Pretraining, backbone: Backbone) -> dict[str, list[list[int]]]:
    """Blocks to measure on, by text: of what is trained on its held-out documents, of other text any.

    Raises InputError where a text has not even two blocks, or may be one that is trained on.
    """
    corpora: dict[str, tuple[CorpusBlock, CorpusSource | None]] = {TRAINED_ON: (recipe.corpus, None)}
    corpora |= {entry.name: other_text(entry, recipe.corpus) for entry in recipe.evaluation.also}
    found = {}
    for name, (corpus, only) in corpora.items():
        held_out = list(islice(stream(recipe, backbone, corpus, "heldout", 0, only), recipe.evaluation.blocks))
        if len(held_out) < 2:
            where = "corpus: fewer than two held-out blocks; raise corpus.holdout" if name == TRAINED_ON else (
                f"evaluation.also: {name}: fewer than two blocks")  # fmt: skip
            raise InputError(f"{where} or lower training.max_tokens")
        found[name] = held_out
    return found


def other_text(entry: CorpusSource, corpus: CorpusBlock) -> tuple[CorpusBlock, CorpusSource | None]:
    """Where a named text comes from: of a source that is trained on, what is held out of it (the corpus, and which of
    its sources); else all of it, as a corpus of its own.

    Raises InputError where other documents are made of what is trained on: other fields of a task, a part of a folder.
    """
    for own in corpus.sources:
        if own.model_copy(update={"weight": entry.weight}) == entry:
            return corpus, own
    for own in corpus.sources:
        if _overlap(own, entry):
            raise InputError(
                f"evaluation.also: {entry.name}: its text is trained on as other documents (corpus: {own.name}); give "
                "it as it stands there, and what is held out of it is measured"
            )
    return CorpusBlock(sources=[entry], streaming=corpus.streaming).model_copy(update={"holdout": 1.0}), None


def _overlap(own: CorpusSource, entry: CorpusSource) -> bool:
    if entry.task is not None:
        apart = own.fields and entry.fields and set(own.fields).isdisjoint(entry.fields)
        return own.task == entry.task and not apart
    if entry.path is None or own.path is None or (own.field or "text") != (entry.field or "text"):
        return False
    mine, other = (Path(path).expanduser().resolve() for path in (own.path, entry.path))
    return mine.is_relative_to(other) or other.is_relative_to(mine)
