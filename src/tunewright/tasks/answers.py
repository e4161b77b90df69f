"""What the answer of a row must be, kind by kind: checked, and brought to one form."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from tunewright.errors import InputError
from tunewright.task_block import Kind
from tunewright.tasks.labels import LabelSet
from tunewright.tasks.raw import Columns, RawSplit
from tunewright.tasks.task import LabelName

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_TARGET: dict[Kind, str] = {
    "classify": "label", "choose": "answer", "regress": "score", "generate": "target", "tag": "tags",
}  # fmt: skip


def check_answers(
    raw: RawSplit,
    kind: Kind,
    target: str,
    references: str | None,
    labels: LabelSet | None,
    letters: Sequence[str] | None = None,
) -> RawSplit:
    """`raw` with its answers checked and in one form. `letters`: the data's names of the choices, first to last.

    classify: `LabelName`. choose: `LabelName(text of the choice, its index)`. regress: a finite float.
    generate: a string, the accepted answers (if several) as a list of strings in `references`.
    tag: a list of `LabelName`, as many as `tokens`. Raises InputError naming the file and the row.
    """
    columns = dict(raw.columns)
    _want(raw, target)
    if kind == "classify":
        assert labels is not None
        columns[target] = _each(raw, target, lambda cell, i: _label(cell, labels))
    elif kind == "regress":
        columns[target] = _each(raw, target, lambda cell, i: _number(cell, target))
    elif kind == "choose":
        _choose(raw, columns, target, letters)
    elif kind == "tag":
        assert labels is not None
        _tag(raw, columns, target, labels)
    else:
        _generate(raw, columns, target, references)
    return raw.with_columns(columns)


def _want(raw: RawSplit, field: str) -> None:
    if field not in raw.columns:
        raise InputError(
            f"{raw.where}: field {field!r} missing; the fields are {', '.join(raw.columns)} "
            f"(`fields: {{{field}: COLUMN}}` names its column)"
        )


def _each(raw: RawSplit, field: str, check: Callable[[Any, int], Any]) -> list[Any]:
    """`check(cell, index)` of every row; a ValueError becomes the user's error with the row's place."""
    checked = []
    for index, cell in enumerate(raw.columns[field]):
        if cell is None:
            raise InputError(f"{raw.place(index)}: field {field!r} missing")
        try:
            checked.append(check(cell, index))
        except ValueError as error:
            raise InputError(f"{raw.place(index)}: {error}") from None
    return checked


def _label(cell: Any, labels: LabelSet) -> LabelName:
    found = labels.find(cell)
    if found is None:
        raise ValueError(labels.unknown(cell))
    return found


def _number(cell: Any, field: str) -> float:
    try:
        value = float(cell)
    except (ValueError, TypeError, OverflowError):
        value = math.nan
    if isinstance(cell, bool) or not math.isfinite(value):
        raise ValueError(f"field {field!r} must be a number, found {_shown(cell)}")
    return value


def _choose(raw: RawSplit, columns: Columns, target: str, named: Sequence[str] | None) -> None:
    _want(raw, "choices")
    columns["choices"] = _each(raw, "choices", lambda cell, i: _choices(cell))
    names = raw.columns.get("labels")
    letters = _each(raw, "labels", lambda cell, i: _texts(cell, "labels")) if names is not None else None

    def check(cell: Any, index: int) -> LabelName:
        choices = columns["choices"][index]
        row_letters = letters[index] if letters is not None else None if named is None else list(named[: len(choices)])
        if row_letters is not None and len(row_letters) != len(choices):
            raise ValueError(f"{len(choices)} choices but {len(row_letters)} labels")
        found = _choice(cell, choices, row_letters)
        if found is None:
            raise ValueError(f"answer {_shown(cell)} is no number, text or letter of the {len(choices)} choices")
        found = choices.index(choices[found])  # of two equal texts the first one is it, as in scoring
        return LabelName(choices[found], found)

    columns[target] = _each(raw, target, check)


def _choice(cell: Any, choices: list[str], letters: list[str] | None) -> int | None:
    """The index of the choice that `cell` names; letters of the data first, then texts, then our own letters."""
    if isinstance(cell, int) and not isinstance(cell, bool):
        if letters is not None and str(cell) in letters:
            return letters.index(str(cell))
        return cell if 0 <= cell < len(choices) else None
    if not isinstance(cell, str):
        return None
    for names in (letters or [], choices):
        if cell in names:
            return names.index(cell)
    word = cell.strip()
    if letters is None and len(word) == 1 and word in _LETTERS[: len(choices)]:
        return _LETTERS.index(word)
    if letters is None and word.isascii() and word.isdigit() and int(word) < len(choices):
        return int(word)
    return None


def _choices(cell: Any) -> list[str]:
    choices = _texts(cell, "choices")
    if len(choices) < 2:
        raise ValueError(f"field 'choices' must have two or more texts, found {len(choices)}")
    if not all(choice.strip() for choice in choices):
        raise ValueError(f"field 'choices': an empty choice, found {_shown(cell)}")
    return choices


def _tag(raw: RawSplit, columns: Columns, target: str, labels: LabelSet) -> None:
    _want(raw, "tokens")
    columns["tokens"] = _each(raw, "tokens", lambda cell, i: _texts(cell, "tokens"))

    def check(cell: Any, index: int) -> list[LabelName]:
        tags = [_label(tag, labels) for tag in as_list(cell, target)]
        tokens = columns["tokens"][index]
        if len(tags) != len(tokens):
            raise ValueError(f"{len(tokens)} tokens but {len(tags)} tags")
        return tags

    columns[target] = _each(raw, target, check)


def has_lists(raw: RawSplit, target: str) -> bool:
    """True when a generation's target column holds lists of accepted answers."""
    return any(isinstance(cell, list) for cell in raw.columns.get(target, ()))


def _generate(raw: RawSplit, columns: Columns, target: str, references: str | None) -> None:
    answers = _each(
        raw, target, lambda cell, i: _texts(cell, target) if isinstance(cell, list) else [_text(cell, target)]
    )
    columns[target] = [texts[0] for texts in answers]
    if references is not None:
        given = raw.columns.get(references, [None] * len(raw))
        columns[references] = [
            _references(raw, index, cell, references) or answers[index] for index, cell in enumerate(given)
        ]


def _references(raw: RawSplit, index: int, cell: Any, field: str) -> list[str]:
    if cell is None:
        return []
    if isinstance(cell, str):
        return [cell]
    try:
        return _texts(cell, field)
    except ValueError as error:
        raise InputError(f"{raw.place(index)}: {error}") from None


def _text(cell: Any, field: str) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int | float):
        return str(cell)
    raise ValueError(f"field {field!r} must be text, found {_shown(cell)}")


def _texts(cell: Any, field: str) -> list[str]:
    return [_text(part, field) for part in as_list(cell, field)]


def as_list(cell: Any, field: str) -> list[Any]:
    """A list as it is, or written as JSON in a table's cell; ValueError for anything else."""
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        try:
            cell = json.loads(cell)
        except ValueError:
            raise ValueError(f"field {field!r} must be a list, found text that is no JSON list") from None
    if not isinstance(cell, list):
        raise ValueError(f"field {field!r} must be a list, found {_shown(cell)}")
    return cell


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else text[:57] + "…"
