"""The rows of a split as prompts, before any tokenizer has seen them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tunewright.errors import InputError
from tunewright.prompts.demonstrations import Undemonstrated, most_useful
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.task import Rows

Place = tuple[int, int]  # a row and the number of a template


class RowPrompts:
    """Renders rows. With several templates each row draws one, seeded by (seed, epoch, row).

    `change` puts slots into a prompt, or takes them out; `demonstrate` then puts demonstrations before it. `counts` is
    what became of rows on their way to the model, `stand` how many demonstrations fitted before a prompt.
    """

    rows: Rows
    templates: Sequence[Template]
    seed: int
    change: Callable[[Prompt], Prompt]
    demonstrate: Callable[[Sequence[Undemonstrated]], list[Prompt]] | None
    counts: Counter[str]
    stand: dict[Place, int]

    def prompt(self, index: int, epoch: int = 0, template: int | None = None) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch, or in the template with this number; None where it is skipped.

        A template skips a row that leaves it empty. Demonstrations that did not fit when the row was encoded are left
        out. Raises InputError naming the row for what its template cannot make of it.
        """
        place = (index, self.template_of(index, epoch) if template is None else template)
        prompt = self.prompts([place])[0]
        return prompt if prompt is None or place not in self.stand else most_useful(prompt, self.stand[place])

    def prompts(self, places: Sequence[Place]) -> list[Prompt | None]:
        """(row, template) pairs with slots and all demonstrations."""
        rendered = [self._rendered(place) for place in places]
        found = [None if prompt is None else self.change(prompt) for prompt in rendered]
        if self.demonstrate is None:
            return found
        wanted = [(i, Undemonstrated(places[i][1], p)) for i, p in enumerate(found) if p is not None]
        for (i, _), prompt in zip(wanted, self.demonstrate([one for _, one in wanted])):
            found[i] = prompt
        return found

    def changed_prompts(
        self, places: Sequence[Place], changes: Sequence[Callable[[Prompt], Prompt]]
    ) -> list[list[Prompt]]:
        """The prompts of (row, template) pairs that are not skipped, each in every one of the changes.

        Changed before slots are put in, and behind the row's own demonstrations.
        """
        found: list[list[Prompt]] = []
        whole = self.prompts(places) if self.demonstrate is not None else [None] * len(places)
        for place, shown in zip(places, whole):
            prompt = self._rendered(place)
            assert prompt is not None
            mine = [self.change(change(prompt)) for change in changes]
            if shown is not None:
                shown = most_useful(shown, self.stand.get(place, len(shown.demonstrations)))
                own, separator = shown.demonstrations, shown.separator
                mine = [replace(one, demonstrations=own, separator=separator) for one in mine]
            found.append(mine)
        return found

    def _rendered(self, place: Place) -> Prompt | None:
        index, template = place
        name = self.rows.ids[index]
        try:
            return self.templates[template].render(self.rows[index], seed=seed_of(self.seed, name) % 2**32)
        except InputError as error:
            raise InputError(f"row {name}: {error}") from None

    def template_of(self, index: int, epoch: int = 0) -> int:
        """The number of the template that a row draws in an epoch."""
        if len(self.templates) == 1:
            return 0
        return int(numpy_random("template", self.seed, epoch, index).integers(len(self.templates)))


@dataclass
class PlainRows(RowPrompts):
    """Rows for a model that is asked in words. `max_tokens` is a prompt's limit where its tokens can be counted."""

    rows: Rows
    templates: Sequence[Template]
    seed: int
    change: Callable[[Prompt], Prompt]
    max_tokens: int
    demonstrate: Callable[[Sequence[Undemonstrated]], list[Prompt]] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    stand: dict[Place, int] = field(default_factory=dict)
