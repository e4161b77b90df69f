"""What a row's answer is, kind by kind: target, references, choices and the gold label of its prompt."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.verbalizer import Verbalizer
from tunewright.tasks.tagging import tags_to_text
from tunewright.tasks.task import LabelName, Task


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """The fields of a Prompt that hold its answer; empty target and no gold where it is not known."""

    target: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] | None = None
    choice_labels: tuple[int, ...] | None = None
    gold: int | None = None
    words: tuple[str, ...] = ()
    word_labels: tuple[int, ...] = ()


RowChoices = Callable[[Mapping[str, Any]], tuple[str, ...]]


class Answers:
    """How one template's answers are made. Raises InputError beginning with `where`."""

    def __init__(
        self,
        where: str,
        task: Task,
        verbalizer: Verbalizer | None,
        answer_choices: tuple[str, ...] | RowChoices | None,
    ) -> None:
        """`answer_choices`: the template's own ones, or what makes them of a row."""
        self._where = where
        self._task = task
        self._per_row = answer_choices if callable(answer_choices) else None
        self._given = None if callable(answer_choices) else answer_choices
        self._verbalizer: Verbalizer | None = None
        self._unknown = RowAnswer()
        if task.kind == "classify":
            if self._given is not None:
                verbalizer = Verbalizer.from_choices(task.labels or (), self._given, where)
            self._verbalizer = verbalizer if verbalizer is not None else Verbalizer.of(task)
            choices, labels = self._verbalizer.choices, self._verbalizer.choice_labels
            self._unknown = RowAnswer(choices=choices, choice_labels=labels)
            self._by_label = tuple(
                RowAnswer(word, (word,), choices, labels, gold) for gold, word in enumerate(self._verbalizer.first)
            )

    @property
    def first_words(self) -> tuple[str, ...] | None:
        """The first word of each label; None without labels, and where each row has words of its own."""
        return self._verbalizer.first if self._verbalizer is not None and self._per_row is None else None

    def shown(self, row: Mapping[str, Any]) -> Sequence[str] | None:
        """`answer_choices` as the template sees them."""
        if self._per_row is not None:
            return self._per_row(row)
        if self._verbalizer is not None:
            return self._verbalizer.first
        if self._task.kind == "choose":
            return self._choices(row)
        return self._given or self._task.numbers or None

    def unknown(self, row: Mapping[str, Any]) -> RowAnswer:
        """The answer of a row that has none yet."""
        if self._task.kind == "choose":
            choices = self._choices(row)
            return RowAnswer(choices=choices, choice_labels=tuple(range(len(choices))))
        if self._task.kind == "classify" and self._per_row is not None:
            choices = self._per_row(row)
            count = len(self._task.labels or ())
            if len(choices) != count:
                raise InputError(f"{self._where}: {len(choices)} answer_choices for {count} labels{_shown(row)}")
            return RowAnswer(choices=choices, choice_labels=tuple(range(len(choices))))
        if self._task.numbers:
            return RowAnswer(choices=self._task.numbers, choice_labels=tuple(range(len(self._task.numbers))))
        if self._task.kind == "tag":
            return RowAnswer(words=tuple(row["tokens"]))
        return self._unknown

    def of(self, row: Mapping[str, Any], target: Any) -> RowAnswer:
        """The answer a row holds in its target field."""
        kind = self._task.kind
        if kind == "classify":
            gold = self._label(target)
            if self._per_row is None:
                return self._by_label[gold]
            known = self.unknown(row)
            assert known.choices is not None
            return replace(known, target=known.choices[gold], references=(known.choices[gold],), gold=gold)
        if kind == "choose":
            choices = self._choices(row)
            gold = target.index_ if isinstance(target, LabelName) else self._placed(target, row)
            if gold >= len(choices):
                raise InputError(f"{self._where}: answer {gold} of {len(choices)} choices{_shown(row)}")
            return RowAnswer(choices[gold], (choices[gold],), choices, tuple(range(len(choices))), gold)
        if kind == "regress":
            if isinstance(target, bool) or not isinstance(target, int | float):
                raise InputError(f"{self._where}: {self._task.target} must be a number, found {target!r}")
            return self._numbered(target) if self._task.numbers else _written(f"{target:.1f}")
        if kind == "tag":
            text, labels = tags_to_text(row["tokens"], target), tuple(self._label(tag) for tag in target)
            return RowAnswer(text, (text,), words=tuple(row["tokens"]), word_labels=labels)
        if not isinstance(target, str):
            raise InputError(f"{self._where}: {self._task.target} must be text, found {target!r:.60}")
        return RowAnswer(target, self._references(row, target))

    def written(self, row: Mapping[str, Any], text: str) -> RowAnswer:
        """The answer a template wrote after its `|||`; among the choices, where there are choices."""
        known = self.unknown(row)
        if known.choices is None or known.choice_labels is None:
            own = row.get(self._task.target)
            return RowAnswer(text, self._references(row, text) if own == text else (text,))
        places = [i for i, choice in enumerate(known.choices) if choice.strip() == text]
        if not places:
            raise InputError(
                f"{self._where}: the target {text!r:.60} is none of the choices"
                f"{did_you_mean(text, known.choices)}{_shown(row)}"
            )
        gold = known.choice_labels[places[0]]
        return RowAnswer(text, (text,), known.choices, known.choice_labels, gold)

    def stand_ins(self, row: Mapping[str, Any]) -> tuple[Any, Any]:
        """Two different answers that a row might have had, to see whether a prompt depends on them."""
        kind, labels = self._task.kind, self._task.labels or ()
        if kind == "classify":
            return LabelName(labels[0], 0), LabelName(labels[-1], len(labels) - 1)
        if kind == "choose":
            choices = row["choices"]
            return LabelName(choices[0], 0), LabelName(choices[-1], len(choices) - 1)
        if kind == "regress":
            return 0.0, 1.0
        if kind == "tag":
            tags = [LabelName(label, i) for i, label in enumerate(labels)]
            return [tags[0]] * len(row["tokens"]), [tags[-1]] * len(row["tokens"])
        return "a", "b"

    def _numbered(self, target: float) -> RowAnswer:
        """The nearest of the task's numbers; of two that are as near, the even step, as T5 has it."""
        words = self._task.numbers
        low, high = float(words[0]), float(words[-1])
        gold = min(len(words) - 1, max(0, round((target - low) / (high - low) * (len(words) - 1))))
        return RowAnswer(words[gold], (words[gold],), words, tuple(range(len(words))), gold)

    def _label(self, target: Any) -> int:
        if isinstance(target, LabelName):
            return target.index_
        labels = self._task.labels or ()
        if target not in labels:
            raise InputError(f"{self._where}: {target!r} is not a label{did_you_mean(str(target), labels)}")
        return labels.index(target)

    def _choices(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        texts = row.get("choices")
        if not texts:
            raise InputError(f"{self._where}: a row without choices{_shown(row)}")
        given = self._per_row(row) if self._per_row is not None else self._given
        if given is None:
            return tuple(texts)
        if len(given) < len(texts):
            raise InputError(
                f"{self._where}: {len(given)} answer_choices for a row of {len(texts)} choices{_shown(row)}"
            )
        return given[: len(texts)]

    def _placed(self, target: Any, row: Mapping[str, Any]) -> int:
        texts = list(row["choices"])
        if target not in texts:
            raise InputError(f"{self._where}: the answer {target!r:.60} is none of the choices{_shown(row)}")
        return texts.index(target)

    def _references(self, row: Mapping[str, Any], target: str) -> tuple[str, ...]:
        field = self._task.references
        found = row.get(field) if field else None
        if not found:
            return (target,)
        return (found,) if isinstance(found, str) else tuple(found)


def _written(text: str) -> RowAnswer:
    return RowAnswer(text, (text,))


def _shown(row: Mapping[str, Any]) -> str:
    """`; row: text='…'`: enough of a row to find it."""
    for name, value in row.items():
        if isinstance(value, str) and len(value) > 10:
            return f"; row: {name}={value[:40]!r}{'…' if len(value) > 40 else ''}"
    return f"; row: {str(dict(row))[:60]}"
