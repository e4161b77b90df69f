"""What kind of task a file's columns look like."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tunewright.errors import InputError
from tunewright.task_block import Kind
from tunewright.tasks.answers import DEFAULT_TARGET
from tunewright.tasks.cleaning import is_id

MOST_LABELS = 100
_LABEL = r"label|class|category|sentiment|intent|topic|section|emotion|gold|relation"
_SCORE = r"score|rating|stars|similarity|grade|value"
_OUTPUT = (
    r"summary|target|output|response|reply|answer|completion|highlights|abstract|translation|title|headline|reference"
)
_SPECIAL = {"answer", "answer_choices", "sep", "soft", "choices", "labels", "tokens", "references"}


@dataclass
class Guess:
    """A task as it seems. `fields`: our name: the column; `target` is one of them; `left_out` are unused columns."""

    kind: Kind
    target: str
    inputs: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    labels: list[str | int] | None = None
    low: float = 0.0
    high: float = 0.0
    why: str = ""
    left_out: list[str] = field(default_factory=list)


class Column:
    """A column's cells with what is asked of them again and again."""

    def __init__(self, name: str, cells: Sequence[Any]) -> None:
        self.name, self.cells = name, cells
        self.full = not any(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)
        self.texts = all(isinstance(cell, str) for cell in cells)
        self.lists = all(_list(cell) is not None for cell in cells[:200]) and bool(cells)
        scalars = all(isinstance(cell, str | int | float) for cell in cells)
        self.distinct = {_shown(cell) for cell in cells} if scalars and not self.lists else set()
        self.length = fmean(len(cell) for cell in cells) if self.texts and cells else 0.0
        self.numbers = [n for n in map(_number, cells) if n is not None] if scalars and not self.lists else []

    @property
    def numeric(self) -> bool:
        """Every cell is a number, or is written as one."""
        return len(self.numbers) == len(self.cells) > 0

    @property
    def label_like(self) -> bool:
        """Few short values, each (on average) seen at least twice."""
        few = 2 <= len(self.distinct) <= min(MOST_LABELS, len(self.cells) // 2)
        return few and self.full and max(map(len, self.distinct)) <= 60 and not self.fractional

    @property
    def fractional(self) -> bool:
        """Numbers that are not all whole."""
        return self.numeric and any(number != int(number) for number in self.numbers)

    def named(self, pattern: str) -> bool:
        """Whether the name holds one of the words."""
        return re.search(pattern, self.name.lower()) is not None


def guess(columns: Mapping[str, Sequence[Any]], where: str) -> Guess:
    """The likeliest task in these columns. Raises InputError where nothing fits."""
    found = [Column(name, cells) for name, cells in columns.items() if not is_id(name)]
    for attempt in (_tag, _choose, _classify_by_name, _regress, _classify, _generate):
        result = attempt(found)
        if result is not None:
            used = set(result.fields.values())
            result.left_out = [name for name in columns if name not in used and f"{name}.text" not in used]
            return result
    raise InputError(
        f"{where}: no task can be guessed from the columns {', '.join(columns)}: wanted are a text, and a label, "
        "a number or a second text to be produced"
    )


def _tag(columns: list[Column]) -> Guess | None:
    lists = [c for c in columns if c.lists]
    for tokens in lists:
        for tags in lists:
            if tags is tokens or not _aligned(tokens, tags):
                continue
            kinds = {str(tag) for cell in tags.cells for tag in _list(cell) or []}
            words = {str(word) for cell in tokens.cells for word in _list(cell) or []}
            if kinds <= words or len(kinds) > MOST_LABELS or not any(re.match("[BI]-", kind) for kind in kinds):
                continue
            names = sorted(kinds, key=lambda kind: (kind != "O", kind[2:], kind))
            fields = {"tokens": tokens.name, "tags": tags.name}
            why = f"{tags.name!r} has a tag for each word of {tokens.name!r}"
            return Guess("tag", "tags", ["tokens"], fields, list(names), why=why)
    return None


def _aligned(one: Column, other: Column) -> bool:
    return all(len(_list(a) or []) == len(_list(b) or []) for a, b in zip(one.cells, other.cells))


def _choose(columns: list[Column]) -> Guess | None:
    choices = next((c for c in columns if c.lists and c.named("choice|option|ending|candidate")), None)
    if choices is None:
        return None
    lists = [_list(cell) or [] for cell in choices.cells]
    letters = next((c for c in columns if c.lists and c is not choices and _aligned(choices, c)), None)
    for answer in sorted(columns, key=lambda c: not c.named("answer|label|gold|correct")):
        if answer.lists or not answer.full or answer is choices:
            continue
        named = [_list(cell) or [] for cell in letters.cells] if letters else [[]] * len(lists)
        if all(_names_one(cell, own, marks) for cell, own, marks in zip(answer.cells, lists, named)):
            inputs = _inputs(columns, {choices.name, answer.name})
            fields = {**inputs, "choices": choices.name, "answer": answer.name}
            if letters is not None:
                fields["labels"] = letters.name
            why = f"{answer.name!r} names one of the texts in {choices.name!r}"
            return Guess("choose", "answer", list(inputs), fields, why=why) if inputs else None
    return None


def _names_one(cell: Any, choices: list[Any], letters: list[Any]) -> bool:
    text = str(cell).strip()
    if cell in choices or text in map(str, letters):
        return True
    return (text.isdigit() and int(text) < len(choices)) or text in list("ABCDEFGHIJ"[: len(choices)])


def _classify_by_name(columns: list[Column]) -> Guess | None:
    return _classify([c for c in columns if not c.label_like or c.named(_LABEL)])


def _classify(columns: list[Column]) -> Guess | None:
    candidates = [c for c in columns if c.label_like and not (c.numeric and c.named(_SCORE))]
    for label in sorted(candidates, key=lambda c: (not c.named(_LABEL), c.length, len(c.distinct))):
        inputs = _inputs(columns, {label.name})
        if inputs:
            whole = label.numeric and not label.texts and not any(isinstance(cell, bool) for cell in label.cells)
            names: list[str | int] = sorted({int(n) for n in label.numbers}) if whole else sorted(label.distinct)
            why = f"{label.name!r} has {len(names)} different short values"
            return Guess("classify", "label", list(inputs), {**inputs, "label": label.name}, names, why=why)
    return None


def _regress(columns: list[Column]) -> Guess | None:
    numeric = [c for c in columns if c.numeric and c.full]
    scores = [c for c in numeric if c.fractional or (c.named(_SCORE) and len(c.distinct) > 2)]
    for score in sorted(scores, key=lambda c: not c.named(_SCORE + "|" + _LABEL)):
        inputs = _inputs(columns, {score.name})
        if inputs:
            why = f"{score.name!r} holds numbers"
            fields = {**inputs, "score": score.name}
            return Guess("regress", "score", list(inputs), fields, None, min(score.numbers), max(score.numbers), why)
    return None


def _generate(columns: list[Column]) -> Guess | None:
    texts = [c for c in columns if c.texts and c.full and not c.lists]
    if len(texts) < 2:
        return None
    output = min(texts, key=lambda c: (not c.named(_OUTPUT), c.length))
    inputs = _inputs([c for c in texts if c is output or not c.label_like], {output.name})
    why = f"{output.name!r} is a text beside {', '.join(repr(name) for name in inputs.values())}"
    return Guess("generate", "target", list(inputs), {**inputs, "target": output.name}, why=why) if inputs else None


def _inputs(columns: list[Column], without: set[str]) -> dict[str, str]:
    """Our name: the column, of the texts a model should read: no other labels, for they might give the answer away."""
    texts = [c for c in columns if c.texts and c.full and not c.lists and not c.numeric and c.name not in without]
    return {field_name(c.name): c.name for c in texts if not c.label_like}


def field_name(column: str) -> str:
    """A column's name as a template can say it: `Review Text` → `review_text`."""
    name = re.sub(r"\W+", "_", column.strip().lower()).strip("_") or "text"
    name = f"field_{name}" if name[0].isdigit() else name
    return f"{name}_text" if name in _SPECIAL | set(DEFAULT_TARGET.values()) else name


def _list(cell: Any) -> list[Any] | None:
    """A list, or one written as JSON in a table's cell."""
    if isinstance(cell, list):
        return cell
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        try:
            value = json.loads(cell)
        except ValueError:
            return None
        return value if isinstance(value, list) else None
    return None


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool):
        return None
    try:
        number = float(cell)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _shown(cell: Any) -> str:
    """A label as the task names it."""
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
