"""Verbalizers: labels and the words that stand for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunewright.errors import InputError, did_you_mean
from tunewright.tasks.task import Task


@dataclass(frozen=True)
class Verbalizer:
    """`words[label]` are the words a label may be answered with; the first is what is trained.

    Raises InputError for a label without words, an unknown label, an empty word, a word used twice.
    """

    labels: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    choices: tuple[str, ...] = field(init=False)
    choice_labels: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        for label in self.words:
            if label not in self.labels:
                raise InputError(f"label_words: {label!r} is not a label{did_you_mean(label, self.labels)}")
        owner: dict[str, str] = {}
        for label in self.labels:
            if not self.words.get(label):
                raise InputError(f"label_words: the label {label!r} has no words")
            for word in self.words[label]:
                if not word.strip():
                    raise InputError(f"label_words: the label {label!r} has an empty word")
                if word in owner:
                    raise InputError(f"label_words: {word!r} stands for both {owner[word]!r} and {label!r}")
                owner[word] = label
        object.__setattr__(self, "choices", tuple(owner))
        object.__setattr__(self, "choice_labels", tuple(self.labels.index(label) for label in owner.values()))

    @property
    def first(self) -> tuple[str, ...]:
        """The first word of each label: a template's `answer_choices`."""
        return tuple(self.words[label][0] for label in self.labels)

    @classmethod
    def of(cls, task: Task) -> "Verbalizer":
        """The task's label words; a task without any is answered with the labels' names, `-` and `_` as spaces."""
        labels = task.labels or ()
        words = task.label_words or {label: (label.replace("-", " ").replace("_", " "),) for label in labels}
        return cls(labels, words)

    @classmethod
    def from_choices(cls, labels: Sequence[str], choices: Sequence[str], where: str) -> "Verbalizer":
        """One word a label, in the labels' order: a template's own `answer_choices`."""
        if len(choices) != len(labels):
            raise InputError(f"{where}: {len(choices)} answer_choices for {len(labels)} labels")
        try:
            return cls(tuple(labels), {label: (word,) for label, word in zip(labels, choices)})
        except InputError as error:
            raise InputError(f"{where}: {str(error).replace('label_words', 'answer_choices')}") from None

    @classmethod
    def of_template(cls, task: Task, words: Mapping[str, tuple[str, ...]], where: str) -> "Verbalizer":
        """A template's own `label_words`. Raises InputError beginning with `where`."""
        if task.kind != "classify":
            raise InputError(f"{where}: label_words are for tasks of kind classify, this is one of kind {task.kind}")
        try:
            return cls(task.labels or (), words)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None


def word_tuples(words: Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Label words as YAML has them (one word, or a list) as tuples."""
    return {label: (found,) if isinstance(found, str) else tuple(found) for label, found in words.items()}
