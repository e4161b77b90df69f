"""Rows to examples: rendered by a template, with the method's slots put in, encoded for a purpose."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
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
    _kept: dict[tuple[int, int, Purpose], Example | None] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)

    def prompt(self, index: int, epoch: int = 0, template: int | None = None) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch, or in the template with this number; None where it is skipped.

        A template skips a row that leaves it empty.
        """
        prompt = self._rendered(index, self.template_of(index, epoch) if template is None else template)
        return None if prompt is None else self.change(prompt)

    def _rendered(self, index: int, template: int) -> Prompt | None:
        return self.templates[template].render(self.rows[index], seed=seed_of(self.seed, self.rows.ids[index]) % 2**32)

    def examples(self, indices: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The rows' examples in order (None: skipped). Counts `skipped` and `shortened` once a row."""
        found = self._encoded([(index, self.template_of(index, epoch)) for index in indices], purpose, room)
        for index, example in zip(indices, found):
            self._count(index, [example])
        return found

    def in_all_templates(self, indices: Sequence[int], purpose: Purpose, room: int = 0) -> list[list[Example | None]]:
        """Each row's examples, one a template. A row counts as skipped where all templates skip it."""
        templates = range(len(self.templates))
        flat = iter(self._encoded([(index, t) for index in indices for t in templates], purpose, room))
        found = [[next(flat) for _ in templates] for _ in indices]
        for index, examples in zip(indices, found):
            self._count(index, examples)
        return found

    def changed(
        self, places: Sequence[tuple[int, int]], changes: Sequence[Callable[[Prompt], Prompt]], purpose: Purpose
    ) -> list[list[Example]]:
        """The prompts of (row, template) pairs that are not skipped, each in every one of the changes, as examples.

        Changed before slots are put in; equal prompts are encoded once and share an example.
        """
        wanted: dict[Prompt, str] = {}
        prompts: list[list[Prompt]] = []
        for index, template in places:
            prompt = self._rendered(index, template)
            assert prompt is not None
            prompts.append([self.change(change(prompt)) for change in changes])
            for mine in prompts[-1]:
                wanted.setdefault(mine, f"row {self.rows.ids[index]}")
        encoded = self.backbone.encode_many(
            list(wanted), self.layout, purpose, max_tokens=self.max_tokens, names=list(wanted.values())
        )
        example_of = dict(zip(wanted, encoded))
        return [[example_of[prompt] for prompt in mine] for mine in prompts]

    def _encoded(self, places: Sequence[tuple[int, int]], purpose: Purpose, room: int) -> list[Example | None]:
        """The examples of (row, template) pairs; what is new is encoded in one call and remembered."""
        keys = [(index, template, purpose) for index, template in places]
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        fresh: dict[tuple[int, int, Purpose], Example | None] = dict.fromkeys(missing)
        prompts = [self.prompt(index, template=template) for index, template, _ in missing]
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
        if len(self._kept) + len(fresh) <= KEEP_ROWS:
            self._kept |= fresh
        return [fresh[key] if key in fresh else self._kept[key] for key in keys]

    def _count(self, index: int, examples: Sequence[Example | None]) -> None:
        """Count what became of a row, once a row."""
        skipped = all(example is None for example in examples)
        shortened = any(example is not None and example.shortened for example in examples)
        for what, so in (("skipped", skipped), ("shortened", shortened)):
            if so and (what, index) not in self._counted:
                self._counted.add((what, index))
                self.counts[what] += 1

    def template_of(self, index: int, epoch: int = 0) -> int:
        """The number of the template that a row draws in an epoch."""
        if len(self.templates) == 1:
            return 0
        return int(numpy_random("template", self.seed, epoch, index).integers(len(self.templates)))
