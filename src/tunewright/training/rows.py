"""Rows to examples: rendered by a template, with the method's slots put in, encoded for a purpose."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.prompts.demonstrations import Undemonstrated
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.rows import Place, RowPrompts
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.tasks.task import Rows

KEEP_ROWS = 20_000  # encoded examples kept for the next epoch; a larger set is encoded afresh each time


@dataclass
class RowEncoder(RowPrompts):
    """Renders and encodes rows of one split, and remembers what it encoded.

    `number` is the field with a regression's target, `standard` the mean taken from it and the deviation it is divided
    by; `weights` are those of rows in the loss, by their ids, where not 1.
    """

    rows: Rows
    templates: Sequence[Template]
    backbone: Backbone
    layout: SlotLayout
    max_tokens: int
    seed: int
    change: Callable[[Prompt], Prompt]
    number: str | None = None
    standard: tuple[float, float] = (0.0, 1.0)
    weights: Mapping[str, float] = field(default_factory=dict)
    demonstrate: Callable[[Sequence[Undemonstrated]], list[Prompt]] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[tuple[int, int, Purpose], Example | None] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)
    stand: dict[Place, int] = field(default_factory=dict)

    def examples(self, indices: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The rows' examples in order (None: skipped).

        Counts `skipped` and `shortened` once a row, its `unread` words; of its demonstrations, those that `stand`
        before it and those `dropped`, and `short of` them the rows that have lost some.
        """
        found = self._encoded([(index, self.template_of(index, epoch)) for index in indices], purpose, room)
        for index, example in zip(indices, found):
            self._count_row(index, [example])
        return found

    def in_all_templates(self, indices: Sequence[int], purpose: Purpose, room: int = 0) -> list[list[Example | None]]:
        """Each row's examples, one a template. A row counts as skipped where all templates skip it."""
        templates = range(len(self.templates))
        flat = iter(self._encoded([(index, t) for index in indices for t in templates], purpose, room))
        found = [[next(flat) for _ in templates] for _ in indices]
        for index, examples in zip(indices, found):
            self._count_row(index, examples)
        return found

    def changed(
        self, places: Sequence[Place], changes: Sequence[Callable[[Prompt], Prompt]], purpose: Purpose
    ) -> list[list[Example]]:
        """The prompts of (row, template) pairs that are not skipped, each in every one of the changes, as examples.

        Changed before slots are put in, and behind the row's own demonstrations; equal prompts are encoded once and
        share an example.
        """
        wanted: dict[Prompt, str] = {}
        prompts = self.changed_prompts(places, changes)
        for place, mine in zip(places, prompts):
            for one in mine:
                wanted.setdefault(one, f"row {self.rows.ids[place[0]]}")
        encoded = self.backbone.encode_many(
            list(wanted), self.layout, purpose, max_tokens=self.max_tokens, names=list(wanted.values())
        )
        example_of = dict(zip(wanted, encoded))
        return [[example_of[prompt] for prompt in mine] for mine in prompts]

    def _encoded(self, places: Sequence[Place], purpose: Purpose, room: int) -> list[Example | None]:
        """The examples of (row, template) pairs; what is new is encoded in one call and remembered."""
        keys = [(index, template, purpose) for index, template in places]
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        fresh: dict[tuple[int, int, Purpose], Example | None] = dict.fromkeys(missing)
        prompts = self.prompts([(index, template) for index, template, _ in missing])
        wanted = [(key, prompt) for key, prompt in zip(missing, prompts) if prompt is not None]
        encoded = self.backbone.encode_many(
            [prompt for _, prompt in wanted],
            self.layout,
            purpose,
            max_tokens=self.max_tokens,
            room=room,
            names=[f"row {self.rows.ids[key[0]]}" for key, _ in wanted],
        )
        for (key, _), example in zip(wanted, encoded):
            if self.number is not None:
                value = self.rows.columns.get(self.number, [None] * len(self.rows))[key[0]]
                mean, deviation = self.standard
                example.number = math.nan if value is None else (float(value) - mean) / deviation
            example.weight = self.weights.get(self.rows.ids[key[0]], 1.0)
            fresh[key] = example
            if self.demonstrate is not None:
                self.stand[key[:2]] = example.demonstrations
        if len(self._kept) + len(fresh) <= KEEP_ROWS:
            self._kept |= fresh
        return [fresh[key] if key in fresh else self._kept[key] for key in keys]

    def _count_row(self, index: int, examples: Sequence[Example | None]) -> None:
        """Count what became of a row, once a row; of several templates the first one's demonstrations."""
        encoded = [example for example in examples if example is not None]
        self._count("skipped", index, not encoded)
        if encoded:
            self._count("shortened", index, any(example.shortened for example in encoded))
            self._count("stand", index, encoded[0].demonstrations)
            self._count("dropped", index, encoded[0].dropped)
            self._count("short of", index, encoded[0].dropped > 0)
            self._count("unread", index, encoded[0].unread)

    def _count(self, what: str, index: int, times: int) -> None:
        if times and (what, index) not in self._counted:
            self._counted.add((what, index))
            self.counts[what] += times
