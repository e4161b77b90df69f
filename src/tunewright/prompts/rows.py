"""The rows of a split as prompts, before any tokenizer has seen them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.seeds import numpy_random, seed_of
from tunewright.tasks.task import Rows


class RowPrompts:
    """Renders rows. With several templates each row draws one, seeded by (seed, epoch, row).

    `change` puts slots into a prompt, or takes them out; `counts` is what became of rows on their way to the model.
    """

    rows: Rows
    templates: Sequence[Template]
    seed: int
    change: Callable[[Prompt], Prompt]
    counts: Counter[str]

    def prompt(self, index: int, epoch: int = 0) -> Prompt | None:
        """Row `index` as the prompt it is in an epoch; None where the template skips it (empty)."""
        return self._render(index, self._template(index, epoch))

    def _render(self, index: int, template: int) -> Prompt | None:
        row = self.rows[index]
        prompt = self.templates[template].render(row, seed=seed_of(self.seed, self.rows.ids[index]) % 2**32)
        return None if prompt is None else self.change(prompt)

    def _template(self, index: int, epoch: int) -> int:
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
    counts: Counter[str] = field(default_factory=Counter)
