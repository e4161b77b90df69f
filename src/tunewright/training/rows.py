"""Rows to examples: rendered by a template, with the method's slots put in, encoded for a purpose."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.demonstrations import Undemonstrated, most_useful
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.task import Rows

KEEP_ROWS = 20_000  # encoded examples kept for the next epoch; a larger set is encoded afresh each time

Place = tuple[int, int]  # a row and the number of a template


@dataclass
class RowEncoder:
    """Renders and encodes rows of one split, and remembers what it encoded.

    With several templates each row draws one, seeded by (seed, epoch, row). `change` puts slots into a
    prompt, or takes them out; `demonstrate` then puts demonstrations before it. `number` is the field with a
    regression's target, `standard` the mean taken from it and the deviation it is divided by; `weights` are those of
    rows in the loss, by their ids, where not 1.
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
    _stand: dict[Place, int] = field(default_factory=dict)  # demonstrations that fitted

    def prompt(self, index: int, epoch: int = 0, template: int | None = None) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch, or in the template with this number; None where it is skipped.

        A template skips a row that leaves it empty. Demonstrations that did not fit when the row was encoded are left
        out. Raises InputError naming the row for what its template cannot make of it.
        """
        place = (index, self.template_of(index, epoch) if template is None else template)
        prompt = self._prompts([place])[0]
        return prompt if prompt is None or place not in self._stand else most_useful(prompt, self._stand[place])

    def _prompts(self, places: Sequence[Place]) -> list[Prompt | None]:
        """With slots and all demonstrations."""
        rendered = [self._rendered(place) for place in places]
        found = [None if prompt is None else self.change(prompt) for prompt in rendered]
        if self.demonstrate is None:
            return found
        wanted = [(i, Undemonstrated(places[i][1], p)) for i, p in enumerate(found) if p is not None]
        for (i, _), prompt in zip(wanted, self.demonstrate([one for _, one in wanted])):
            found[i] = prompt
        return found

    def _rendered(self, place: Place) -> Prompt | None:
        index, template = place
        name = self.rows.ids[index]
        try:
            return self.templates[template].render(self.rows[index], seed=seed_of(self.seed, name) % 2**32)
        except InputError as error:
            raise InputError(f"row {name}: {error}") from None

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
        prompts: list[list[Prompt]] = []
        whole = self._prompts(places) if self.demonstrate is not None else [None] * len(places)
        for place, shown in zip(places, whole):
            prompt = self._rendered(place)
            assert prompt is not None
            mine = [self.change(change(prompt)) for change in changes]
            if shown is not None:
                shown = most_useful(shown, self._stand.get(place, len(shown.demonstrations)))
                own, separator = shown.demonstrations, shown.separator
                mine = [replace(one, demonstrations=own, separator=separator) for one in mine]
            prompts.append(mine)
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
        prompts = self._prompts([(index, template) for index, template, _ in missing])
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
                self._stand[key[:2]] = example.demonstrations
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

    def template_of(self, index: int, epoch: int = 0) -> int:
        """The number of the template that a row draws in an epoch."""
        if len(self.templates) == 1:
            return 0
        return int(numpy_random("template", self.seed, epoch, index).integers(len(self.templates)))
