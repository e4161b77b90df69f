"""Answer choices written as Jinja text, PromptSource's way: rendered, then cut at `|||`."""

from collections.abc import Callable, Mapping
from typing import Any

from tunewright.errors import InputError
from tunewright.prompts.compiled import Compiled
from tunewright.prompts.segments import Text


class WrittenChoices:
    """The choices of a row. `fixed` are those of every row, where the text reads none."""

    def __init__(
        self, where: str, source: str, *, lenient: bool, scored: bool, fields_of: Callable[[str], tuple[str, ...]]
    ) -> None:
        """`scored`: answers are picked among them, so that each must be there once; else they are only shown.

        Raises InputError beginning with `where` for text that is no Jinja, or fixed choices that cannot be.
        """
        self._scored = scored
        self.where = f"{where}, answer_choices"
        self._compiled = Compiled(self.where, source, prefix="", lenient=lenient, fields_of=fields_of)
        self.names = self._compiled.names
        self.fixed = None if self.names else self.of({}, 0)

    def of(self, values: Mapping[str, Any], seed: int) -> tuple[str, ...]:
        """The choices, white space at their ends cut off. Raises InputError for an empty or a doubled one."""
        parts = self._compiled.run(values, seed)
        found = tuple("".join(s.text for s in part if isinstance(s, Text)).strip() for part in parts)
        if not self._scored:
            return found
        if any(not choice for choice in found):
            raise InputError(f"{self.where}: a choice is empty, found {' ||| '.join(found)!r:.80}")
        if len(set(found)) < len(found):
            raise InputError(f"{self.where}: a choice stands there twice, found {' ||| '.join(found)!r:.80}")
        return found
