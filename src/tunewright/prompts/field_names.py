"""Which fields of a task the names in a template stand for; a text that many tasks share is compiled once."""

from dataclasses import dataclass
from functools import lru_cache

from tunewright.errors import InputError
from tunewright.prompts.compiled import Compiled

_KEPT = 4096  # compiled texts


@dataclass(frozen=True)
class FieldNames:
    """`lenient`: names are the data's own `columns` (our field, its column), as PromptSource has them.

    `choices`: `answer_choices` is the field `choices`. `label`: the field that is a label, whose words are the task's.
    """

    lenient: bool
    choices: bool
    label: str | None
    columns: tuple[tuple[str, str], ...]

    def fields_of(self, name: str) -> tuple[str, ...]:
        """The fields a name in the template stands for; labels and their words are the task's own, not a row's."""
        if name == "answer_choices":
            return ("choices",) if self.choices else ()
        if self.lenient:
            name = next((ours for ours, theirs in self.columns if plain_name(theirs) == name), name)
        return () if name == self.label else (name,)


def compiled(where: str, source: str, prefix: str, names: FieldNames) -> Compiled:
    """The text compiled, with errors that begin with `where`. Raises InputError as Compiled does."""
    try:
        return _shared(source, prefix, names).at(where)
    except InputError:
        return Compiled(where, source, prefix=prefix, lenient=names.lenient, fields_of=names.fields_of)


@lru_cache(_KEPT)
def _shared(source: str, prefix: str, names: FieldNames) -> Compiled:
    return Compiled("template", source, prefix=prefix, lenient=names.lenient, fields_of=names.fields_of)


def plain_name(column: str) -> str:
    """A column's name as PromptSource's templates spell it."""
    return column.replace("-", "_")
