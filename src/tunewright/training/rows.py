"""Rows to examples: rendered by a template, with the method's slots put in, encoded for a purpose."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.task import Rows

KEEP_ROWS = 20_000  # encoded examples kept for the next epoch; a larger set is encoded afresh each time


@dataclass
class RowEncoder:
    """Renders and encodes rows of one split, and remembers what it encoded.

    With several templates each row draws one, seeded by (seed, epoch, row). `change` puts slots into a
    prompt, or takes them out. `number` is the field with a regression's target.
    """

    rows: Rows
    templates: Sequence[Template]
    backbone: Backbone
    layout: SlotLayout
    max_tokens: int
    seed: int
    change: Callable[[Prompt], Prompt]
    number: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[tuple[int, int, str], Example | None] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)

    def prompt(self, index: int, epoch: int = 0) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch; None where the template skips it (empty).

        Raises InputError naming the row for what its template cannot make of it.
        """
        return self._render(index, self._template(index, epoch))

    def _render(self, index: int, template: int) -> Prompt | None:
        name = self.rows.ids[index]
        try:
            prompt = self.templates[template].render(self.rows[index], seed=seed_of(self.seed, name) % 2**32)
        except InputError as error:
            raise InputError(f"row {name}: {error}") from None
        return None if prompt is None else self.change(prompt)

    def examples(self, indices: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The rows' examples in order (None: skipped). Counts `skipped` and `shortened` once a row."""
        keys = [(index, self._template(index, epoch), purpose) for index in indices]
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        fresh: dict[tuple[int, int, str], Example | None] = {}
        prompts = [self._render(index, template) for index, template, _ in missing]
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
                example.number = math.nan if value is None else float(value)
            fresh[key] = example
            self._count("shortened", key[0], example.shortened)
        for key in missing:
            fresh.setdefault(key, None)
            self._count("skipped", key[0], fresh[key] is None)
        if len(self._kept) + len(fresh) <= KEEP_ROWS:
            self._kept |= fresh
        return [fresh[key] if key in fresh else self._kept[key] for key in keys]

    def _count(self, what: str, index: int, so: bool) -> None:
        if so and (what, index) not in self._counted:
            self._counted.add((what, index))
            self.counts[what] += 1

    def _template(self, index: int, epoch: int) -> int:
        if len(self.templates) == 1:
            return 0
        return int(numpy_random("template", self.seed, epoch, index).integers(len(self.templates)))
