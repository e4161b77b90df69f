"""A corpus of raw text: documents of several sources, streamed, shuffled and mixed, some of them held out."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from tunewright.errors import InputError
from tunewright.pretraining.filters import FiltersBlock
from tunewright.pretraining.sieve import Sieve, key_of, sieve_of
from tunewright.pretraining.sources import Source, open_source
from tunewright.seeds import numpy_random
from tunewright.settings import Strict
from tunewright.task_block import HubSource

Split = Literal["train", "heldout"]
BUFFER_DOCUMENTS = 2048  # of the shuffle; also bounded in characters, since one document may be a book
BUFFER_CHARACTERS = 32_000_000


class CorpusSource(Strict):
    """One source of documents: a task's training rows, files, or a hub data set."""

    task: str | None = Field(None, description="a catalog name or a task file; only its training rows are read")
    path: str | None = Field(
        None, description="a .txt file (documents between blank lines), .md, .jsonl (each also .gz), .parquet, or a "
        "folder of such files (a .txt file in a folder is one document)"
    )  # fmt: skip
    hub: str | HubSource | None = None
    fields: list[str] | None = Field(
        None, min_length=1, description="of a task: the fields a document is made of; none: all its texts"
    )
    field: str | None = Field(
        None, description="of .jsonl and .parquet files and hub sets: the field with the text (`text`)"
    )
    split: str | None = Field(None, description="of a hub set: which split is read (`train`)")
    weight: float = Field(1.0, gt=0, description="how many times its documents are read in an epoch, on average")

    @model_validator(mode="after")
    def _fits(self) -> "CorpusSource":
        named = [key for key in ("task", "path", "hub") if getattr(self, key) is not None]
        if len(named) != 1:
            raise ValueError(f"one source wanted (task, path or hub), found {' and '.join(named) or 'none'}")
        for key, owners in {"fields": ("task",), "field": ("path", "hub"), "split": ("hub",)}.items():
            if getattr(self, key) is not None and named[0] not in owners:
                right = {"fields": "field", "field": "fields: [NAME]"}.get(key)
                raise ValueError(f"{key} is not for a {named[0]}" + (f"; {right} is" if right else ""))
        return self

    @property
    def name(self) -> str:
        """What messages call it."""
        hub = self.hub.id if isinstance(self.hub, HubSource) else self.hub
        return self.task or self.path or str(hub)


class CorpusBlock(Strict):
    """The recipe's `corpus:`; a bare list is the same as `{sources: LIST}`."""

    sources: list[CorpusSource] = Field(min_length=1)
    holdout: float = Field(
        0.02, gt=0, lt=1, description="share of the documents never trained on, by their text's hash"
    )
    filters: FiltersBlock | None = Field(None, description="which documents are left out; `gopher`: Gopher's rules")
    streaming: bool = Field(
        False, description="for text larger than memory or time: no file is read through before the training begins"
    )
    buffer: int = Field(BUFFER_DOCUMENTS, gt=0, description="documents the shuffle holds (at most 32 MB of text)")

    @model_validator(mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return {"sources": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _fits(self) -> "CorpusBlock":
        if self.streaming and self.filters is not None and self.filters.near_duplicates is not None:
            raise ValueError("filters.near_duplicates reads the whole corpus beforehand, streaming does not; "
                             "leave one out")  # fmt: skip
        return self


def documents(
    corpus: CorpusBlock, split: Split, seed: int, epoch: int, only: CorpusSource | None = None
) -> Iterator[str]:
    """The documents of one epoch, read as they are asked for; `only`: those of one of the corpus's sources.

    Guaranteed:
    - The sequence is a function of the data, `corpus`, `split`, `seed` and `epoch` alone.
    - A text is held out, or not, by its SHA-256: the same text falls on the same side in any source, order, seed or
      epoch; no held-out text is ever in `train`. Of a task only the training rows are read.
    - `train`: a document of a source of weight w comes ⌊w⌋ times an epoch, and once more with a chance of w − ⌊w⌋,
      drawn anew each epoch. So with weight 1 each document comes exactly once.
    - `heldout`: each held-out document exactly once, whatever the weights.
    - Sources end at about the same time: each next document is drawn from a source with a chance proportional to what
      it still has. A task's rows (in memory) are fully permuted, a folder's files too; what is streamed comes in its
      own order and passes, with the rest, through a buffer of at most `buffer` documents or 32 million characters.
    - Blank documents are left out; the others have no blanks at their ends.

    - What `filters` drop is in neither split. Of near-duplicates the first in the sources' own order stays, so that no
      held-out document has one in `train`.
    - With `streaming` no file is read before it is asked for, and held-out documents come unshuffled, so that the first
      ones need no more than what stands before them.

    Raises InputError, when the iteration comes there, for a source without documents, a missing field, text that is
    not UTF-8 (all with file and line), and where no document is left on the side asked for.
    """
    sources = [open_source(entry, corpus.streaming) for entry in corpus.sources]
    sieve = _sieve(corpus, sources)
    numbers = [i for i, entry in enumerate(corpus.sources) if only is None or entry is only]
    mixed = _mix(corpus.sources, sources, numbers, sieve, split, seed, epoch)
    chosen: Iterator[str] = (text for text in mixed if is_held_out(text, corpus.holdout) == (split == "heldout"))
    if not (corpus.streaming and split == "heldout"):
        chosen = _shuffled(chosen, corpus.buffer, seed, split, epoch)
    found = False
    for text in chosen:
        found = True
        yield text
    if not found:
        names = ", ".join(corpus.sources[i].name for i in numbers)
        what = "is held out" if split == "heldout" else "is left to train on"
        why = " after corpus.filters" if corpus.filters is not None else ""
        raise InputError(f"corpus: no document of {names} {what}{why} (corpus.holdout: {corpus.holdout:g})")


def filtered(corpus: CorpusBlock) -> dict[str, Any] | None:
    """What the corpus's filters drop: counts by source and rule, and examples; None without filters."""
    return _sieve(corpus, [open_source(entry, corpus.streaming) for entry in corpus.sources]).told


def _sieve(corpus: CorpusBlock, sources: Sequence[Source]) -> Sieve:
    names = [entry.name for entry in corpus.sources]
    return sieve_of(corpus.filters, names, sources, corpus.streaming, corpus.model_dump_json())


def is_held_out(text: str, share: float) -> bool:
    """Whether a document belongs to the held-out share, by its text alone."""
    return key_of(text) < share * 2**64


def _mix(
    entries: Sequence[CorpusSource], sources: Sequence[Source], numbers: Sequence[int], sieve: Sieve, split: Split,
    seed: int, epoch: int,
) -> Iterator[str]:  # fmt: skip
    """Documents of the sources of these numbers, each next one from a source drawn by what it still has."""
    weights = [entry.weight if split == "train" else 1.0 for entry in entries]
    streams = [
        _weighted(source, i, sieve, weight, (seed, split, epoch, i))
        for i, (source, weight) in enumerate(zip(sources, weights))
    ]
    left = [max(1.0, source.size * weight) for source, weight in zip(sources, weights)]
    random = numpy_random("corpus-mix", seed, split, epoch)
    alive = list(numbers)
    while alive:
        place = float(random.random()) * sum(left[i] for i in alive)
        chosen = alive[-1]
        for i in alive:
            place -= left[i]
            if place < 0:
                chosen = i
                break
        text = next(streams[chosen], None)
        if text is None:
            alive.remove(chosen)
            continue
        left[chosen] = max(1.0, left[chosen] - 1)  # sizes are estimates: a source is drawn until it ends
        yield text


def _weighted(source: Source, number: int, sieve: Sieve, weight: float, keys: tuple[object, ...]) -> Iterator[str]:
    """A source's documents as often as its weight says."""
    whole, part = int(weight), weight - int(weight)
    for time in range(whole):
        yield from sieve.through(source.read(("corpus-pass", *keys, time)), number)
    if part > 0:
        random = numpy_random("corpus-part", *keys)
        for text in sieve.through(source.read(("corpus-pass", *keys, whole)), number):
            if random.random() < part:
                yield text


def _shuffled(texts: Iterator[str], most: int, seed: int, split: Split, epoch: int) -> Iterator[str]:
    """Through a bounded buffer: each comer takes a drawn place, whose text goes out."""
    random = numpy_random("corpus-shuffle", seed, split, epoch)
    buffer: list[str] = []
    characters = 0
    for text in texts:
        buffer.append(text)
        characters += len(text)
        while len(buffer) > most or characters > BUFFER_CHARACTERS:
            at = int(random.integers(len(buffer)))
            buffer[at], buffer[-1] = buffer[-1], buffer[at]
            out = buffer.pop()
            characters -= len(out)
            yield out
    yield from (buffer[i] for i in random.permutation(len(buffer)))
