"""A rendered template: a sequence of segments, before any tokenizer has seen it."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Literal

Side = Literal["encoder", "decoder"]


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `field` names the row's field they came from (None: the template's own words, never cut)."""

    text: str
    field: str | None = None

    @property
    def from_row(self) -> bool:
        """True for what came from the row: it may be shortened, and special tokens in it are characters."""
        return self.field is not None


@dataclass(frozen=True, slots=True)
class Soft:
    """Slots of a soft prompt. `slot` names the group; `length` is None where `words` decide it.

    `words` start the vectors (one slot per sub-token of the words). `first`: they stand before everything, also the
    tokenizer's own first token and a chat's scaffold.
    """

    slot: str
    length: int | None
    words: str | None = None
    side: Side = "encoder"
    first: bool = False


@dataclass(frozen=True, slots=True)
class Sep:
    """Where a pair of texts is split (masked models: a separator token and the next token type)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the answer goes. `text` is given for an answer already known inside the prompt (a chat's turns)."""

    trained: bool = True
    text: str | None = None


Segment = Text | Soft | Sep | Answer


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An in-context example: a training row rendered, its answer in place (an Answer with text).

    `rank` 0 is the most useful one of its prompt; what does not fit is left out whole, the highest rank first.
    `trained`: it is an earlier turn of the row's own conversation, whose answer has a part in the loss.
    """

    row: str
    segments: tuple[Segment, ...]
    rank: int = 0
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a template makes of one row.

    `target` is the text to be produced at the Answer. `choices` are the texts to be scored (None:
    generation); `choice_labels[i]` is the index of the label (or option) that choice i stands for, for a
    verbalizer may give a label several words. `gold` is the right label's index. `references` are the
    accepted answers of a generation. `demonstrations` stand before the segments in the order given, `separator` behind
    each (in a chat each is an earlier turn instead). `words` are those of a row whose words are labelled one by one,
    `word_labels` the indices of their labels (empty where not known).
    """

    segments: tuple[Segment, ...]
    target: str
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    choice_labels: tuple[int, ...] | None = None
    gold: int | None = None
    chat: bool = False
    demonstrations: tuple[Demonstration, ...] = ()
    separator: str = ""
    words: tuple[str, ...] = ()
    word_labels: tuple[int, ...] = ()

    @property
    def whole(self) -> tuple[Segment, ...]:
        """The demonstrations with their separators, and the segments."""
        before = [(*one.segments, Text(self.separator)) for one in self.demonstrations]
        return (*chain.from_iterable(before), *self.segments)

    def text(self, answer: str | None = None) -> str:
        """The prompt as a person reads it, slots left out, `answer` put at its place."""
        return text_of(self.whole, answer)


def text_of(segments: Iterable[Segment], answer: str | None = None) -> str:
    """Segments as a person reads them."""
    parts = []
    for segment in segments:
        if isinstance(segment, Text):
            parts.append(segment.text)
        elif isinstance(segment, Answer):
            parts.append(segment.text if segment.text is not None else (answer or ""))
        elif isinstance(segment, Sep):
            parts.append("\n")
    return "".join(parts)
