"""A model as a battery asks it: in words, about rows it was not tuned for, with what was tuned attached or not."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice

from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, View
from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asking, asked_examples, chooses, purpose_of
from tunewright.forgetting.battery import Item, Missing
from tunewright.methods.base import Placement, Tunable
from tunewright.objectives.raw_text import Make, make_objective
from tunewright.objectives.text_blocks import packed_texts
from tunewright.prompts.detached import without_slots
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.placement import with_slots
from tunewright.prompts.segments import Prompt, Soft
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

ASKING = Asking(max_new_tokens=32)


class InWords(Tunable):
    """What is tuned, but the vocabulary head answers: a head knows the labels of its own task alone."""

    def __init__(self, inner: Tunable) -> None:
        super().__init__(inner.backbone)
        self._inner = [inner]  # in a list: its weights are counted once
        self.prefix_length, self.vote = inner.prefix_length, inner.vote

    @property
    def inner(self) -> Tunable:
        """What is tuned."""
        return self._inner[0]

    @property
    def detaches(self) -> bool:
        """As what is tuned does."""
        return self.inner.detaches

    @property
    def members(self) -> int:
        """Those of what is tuned."""
        return self.inner.members

    def table(self) -> Tensor | None:
        """[S, d]."""
        return self.inner.table()

    def layer_kv(self) -> Tensor | None:
        """[P, layers, 2, heads, head_dim]."""
        return self.inner.layer_kv()

    def trained(self) -> dict[str, nn.Parameter]:
        """Those of what is tuned."""
        return self.inner.trained()

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the model answers as it was."""
        with self.inner.detached():
            yield


@dataclass
class Subject:
    """A model to be measured. `slots` are put into every prompt and before raw text while it is attached.

    A battery's rows are encoded once for each side.
    """

    tuner: Tuner
    layout: SlotLayout = field(default_factory=SlotLayout)
    slots: Sequence[Soft] = ()
    placement: Placement = "front"
    max_tokens: int = 512
    _encoders: dict[tuple[str, bool], RowEncoder] = field(default_factory=dict)

    @property
    def backbone(self) -> Backbone:
        """The model."""
        return self.tuner.backbone

    def attach(self, prompt: Prompt) -> Prompt:
        """A prompt of another task with the tuned slots in the place of its own."""
        return reduce(lambda p, soft: with_slots(p, soft, self.placement), reversed(self.slots), without_slots(prompt))

    def encoder(self, item: Item, *, attached: bool) -> RowEncoder:
        """The rows of a task as the model reads them."""
        key = (item.name, attached)
        if key not in self._encoders:
            self._encoders[key] = RowEncoder(
                rows=item.rows, templates=item.templates, backbone=self.backbone, layout=self.layout,
                max_tokens=self._room(attached), seed=0, change=self.attach if attached else without_slots,
            )  # fmt: skip
        return self._encoders[key]

    def _room(self, attached: bool) -> int:
        prefix = self.tuner.tunable.prefix_length if attached else 0
        return min(self.max_tokens, self.backbone.positions()) - prefix

    def side(self, *, attached: bool) -> AbstractContextManager[None]:
        """The context in which the model answers with what was tuned, or as it was."""
        return nullcontext() if attached else self.tuner.tunable.detached()

    def cannot(self, item: Item) -> str | None:
        """Why the model cannot be asked about a task; None where it can."""
        task, family = item.task, self.backbone.family
        if item.text:
            return None
        if not chooses(task) and self.tuner.tunable.members > 1:
            return "several prompts answer together by choices, and cannot write"
        if family == "masked" and not chooses(task):
            return "a masked model cannot write answers"
        try:
            for attached in (False, True):
                purpose = purpose_of(task, self.tuner)
                asked_examples(self.encoder(item, attached=attached), task, ASKING, purpose)
        except InputError as error:
            return str(error)
        return None

    def askable(self, items: Sequence[Item], blocks: int, tokens: int) -> tuple[list[Item], list[Missing]]:
        """The tasks that the model can be asked about, and the others."""
        found, missing = [], []
        for item in items:
            why = self.cannot(item)
            if why is None and item.text and len(self.blocks(item, blocks, tokens)) < 2:
                why = f"fewer than two blocks of {tokens} tokens"
            if why is None:
                found.append(item)
            else:
                missing.append(Missing(item.name, why))
        return found, missing

    # ---- raw text ---------------------------------------------------------------------------------------

    def blocks(self, item: Item, count: int, tokens: int) -> list[list[int]]:
        """At most `count` blocks of a text, the same attached or not; shorter where the model has less room."""
        taken = len(self._front()) + self.tuner.tunable.prefix_length
        frame = len(self.backbone.text.before) + len(self.backbone.text.after) + 1
        length = min(tokens, self.backbone.positions() - taken - frame)
        if length < 2:
            return []
        return list(islice(packed_texts(self.backbone, item.documents(), length), count))

    def objective(self) -> Make:
        """What is asked of raw text: the next token, hidden ones, or (an encoder-decoder) hidden spans or the rest."""
        family = self.backbone.family
        if family == "seq2seq":
            try:
                return make_objective("span-corruption", self.backbone)
            except InputError:  # a tokenizer without sentinels
                return make_objective("prefix-lm", self.backbone)
        return make_objective("causal-lm" if family == "causal" else "mlm", self.backbone)

    def with_front(self, example: Example) -> Example:
        """A block of text behind the tuned slots."""
        front = self._front()
        if not front:
            return example
        return replace(example, views=[_behind(view, front, self.backbone.pad) for view in example.views])

    def _front(self) -> list[int]:
        """The rows of the table that stand before the input."""
        rows: list[int] = []
        for soft in self.slots:
            if soft.side == "encoder":
                rows += self.layout.indices(soft.slot)
        return rows


def _behind(view: View, front: Sequence[int], pad: int) -> View:
    shift = 0 if view.decoders else len(front)  # asks of an encoder-decoder count in the decoder
    return replace(
        view,
        ids=[pad] * len(front) + view.ids,
        soft=[*front, *view.soft],
        asks=[ask._replace(position=ask.position + shift) for ask in view.asks],
        types=None if view.types is None else [view.types[0]] * len(front) + view.types,
    )


def subject_of(
    tunable: Tunable,
    precision: str,
    layout: SlotLayout,
    slots: Sequence[Soft],
    placement: Placement | None,
    max_tokens: int = 512,
) -> Subject:
    """A tuned model as it stands. Raises InputError where the model has no vocabulary head to answer with."""
    backbone = tunable.backbone
    if backbone.headless:
        raise InputError(f"model {backbone.name}: a battery is answered in words, and it has no vocabulary head")
    tuner = Tuner(backbone, InWords(tunable), "bf16" if precision == "bf16" else "fp32")
    where: Placement = placement or ("after-fields" if backbone.family == "causal" else "front")
    return Subject(tuner, layout, slots, where, max_tokens)
