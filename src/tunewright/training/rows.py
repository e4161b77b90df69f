"""Rows to examples: rendered by a template, with the method's slots put in, encoded for a purpose."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.prompts.demonstrations import Undemonstrated, most_useful
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
    prompt, or takes them out; `demonstrate` then puts demonstrations before it. `number` is the field with a
    regression's target.
    """

    rows: Rows
    templates: Sequence[Template]
    backbone: Backbone
    layout: SlotLayout
    max_tokens: int
    seed: int
    change: Callable[[Prompt], Prompt]
    number: str | None = None
    demonstrate: Callable[[Sequence[Undemonstrated]], list[Prompt]] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[tuple[int, int, str], Example | None] = field(default_factory=dict)
    _counted: set[tuple[str, int]] = field(default_factory=set)
    _stand: dict[tuple[int, int], int] = field(default_factory=dict)  # (row, template): demonstrations that fitted

    def prompt(self, index: int, epoch: int = 0, template: int | None = None) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch (or in a template); None where the template skips it (empty).

        Demonstrations that did not fit when the row was encoded are left out.
        """
        key = (index, self._template(index, epoch) if template is None else template)
        prompt = self._render([key])[0]
        return prompt if prompt is None or key not in self._stand else most_useful(prompt, self._stand[key])

    def _render(self, keys: Sequence[tuple[int, int]]) -> list[Prompt | None]:
        """The prompts of (row, template)."""
        found: list[Prompt | None] = []
        for index, template in keys:
            seed = seed_of(self.seed, self.rows.ids[index]) % 2**32
            prompt = self.templates[template].render(self.rows[index], seed=seed)
            found.append(None if prompt is None else self.change(prompt))
        if self.demonstrate is None:
            return found
        wanted = [(i, Undemonstrated(keys[i][1], p)) for i, p in enumerate(found) if p is not None]
        for (i, _), prompt in zip(wanted, self.demonstrate([one for _, one in wanted])):
            found[i] = prompt
        return found

    def examples(self, indices: Sequence[int], epoch: int, purpose: Purpose, room: int = 0) -> list[Example | None]:
        """The rows' examples in order (None: skipped).

        Counts `skipped` and `shortened` once a row; of its demonstrations, those that `stand` before it and those
        `dropped`, and `short of` them the rows that have lost some.
        """
        keys = [(index, self._template(index, epoch), purpose) for index in indices]
        missing = [key for key in dict.fromkeys(keys) if key not in self._kept]
        fresh: dict[tuple[int, int, str], Example | None] = {}
        prompts = self._render([(index, template) for index, template, _ in missing])
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
            self._count("stand", key[0], example.demonstrations)
            self._count("dropped", key[0], example.dropped)
            self._count("short of", key[0], example.dropped > 0)
            if self.demonstrate is not None:
                self._stand[key[:2]] = example.demonstrations
        for key in missing:
            fresh.setdefault(key, None)
            self._count("skipped", key[0], fresh[key] is None)
        if len(self._kept) + len(fresh) <= KEEP_ROWS:
            self._kept |= fresh
        return [fresh[key] if key in fresh else self._kept[key] for key in keys]

    def _count(self, what: str, index: int, times: int) -> None:
        if times and (what, index) not in self._counted:
            self._counted.add((what, index))
            self.counts[what] += times

    def _template(self, index: int, epoch: int) -> int:
        if len(self.templates) == 1:
            return 0
        return int(numpy_random("template", self.seed, epoch, index).integers(len(self.templates)))
