"""What a search looks at: a template, and what made it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from tunewright.runs.prepare import Prepared


@dataclass(frozen=True)
class Candidate:
    """A template's Jinja text; `how` says in a few words what made it.

    Without `answer_choices` it is answered with the words of the recipe's first template.
    """

    jinja: str
    how: str
    answer_choices: tuple[str, ...] | None = None
    score: float | None = None
    chat: bool = False


class Generator(Protocol):
    """Makes candidates from training rows (and, where it must choose, validation rows) alone."""

    def __call__(self, prepared: Prepared, settings: Any, seed: int) -> Iterator[Candidate]:
        """`settings` is the generator's own model. Raises InputError at once, before any candidate."""
