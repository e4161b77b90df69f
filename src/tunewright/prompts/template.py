"""Templates: a task's row in, a prompt out. The words, rules and marks are those of docs/design.md §5."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.answers import Answers, RowChoices
from tunewright.prompts.blank import is_blank, stripped
from tunewright.prompts.choices import WrittenChoices
from tunewright.prompts.compiled import Compiled
from tunewright.prompts.field_names import FieldNames, compiled, plain_name
from tunewright.prompts.markers import joined
from tunewright.prompts.segments import Answer, Prompt, Segment, Soft, Text
from tunewright.prompts.verbalizer import Verbalizer, word_tuples
from tunewright.task_block import PromptSourceBlock, TemplateBlock
from tunewright.tasks.task import LabelName, Task


@dataclass(frozen=True)
class Template:
    """A template for one task, checked against the task's fields when it is made.

    `task` is kept without its rows. `answer_choices` as Jinja text is rendered for each row. Slot groups without a name
    of their own are called `PREFIX/1`, `PREFIX/2` …; `prefix` is the template's name unless given. With `promptsource`
    a template is read as PromptSource reads its own (`lenient`): undefined names print nothing, a label is its number,
    the data's columns go by their own names, `soft`, `answer`, `sep` are ordinary names. `label_words` are the
    template's own verbalizer.
    Raises InputError naming the template.
    """

    name: str
    source: str
    task: Task
    chat: bool = False
    answer_choices: tuple[str, ...] | str | None = None
    promptsource: PromptSourceBlock | None = None
    prefix: str | None = None
    verbalizer: Verbalizer | None = None
    label_words: Mapping[str, tuple[str, ...]] | None = None
    _names: FieldNames = field(init=False, repr=False, compare=False)
    _compiled: Compiled = field(init=False, repr=False, compare=False)
    _answers: Answers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = f"template {self.name!r} of task {self.task.name!r}"
        task = replace(self.task, splits={})
        object.__setattr__(self, "task", task)
        verbalizer = self.verbalizer
        if self.label_words is not None:
            verbalizer = Verbalizer.of_template(task, self.label_words, where)
        choices = task.kind == "choose" and self.answer_choices is None
        label = task.target if task.kind == "classify" else None
        names = FieldNames(self.lenient, choices, label, tuple(task.columns.items()) if self.lenient else ())
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_answers", Answers(where, task, verbalizer, self._choices(where)))
        object.__setattr__(self, "_compiled", compiled(where, self.source, self.prefix or self.name, names))
        if not self.lenient:
            self._check_fields()
        self._check_leak()

    @classmethod
    def from_block(
        cls,
        name: str,
        block: TemplateBlock | str,
        task: Task,
        *,
        verbalizer: Verbalizer | None = None,
        prefix: str | None = None,
    ) -> "Template":
        """The template a recipe or task file describes; a bare string is its Jinja text."""
        if isinstance(block, str):
            block = TemplateBlock.model_validate({"jinja": block})
        choices = tuple(block.answer_choices) if isinstance(block.answer_choices, list) else block.answer_choices
        words = None if block.label_words is None else word_tuples(block.label_words)
        return cls(name, block.jinja, task, block.chat, choices, block.promptsource, prefix, verbalizer, words)

    def block(self) -> TemplateBlock:
        """What `from_block` makes it of again."""
        choices = list(self.answer_choices) if isinstance(self.answer_choices, tuple) else self.answer_choices
        words = {k: list(w) for k, w in self.label_words.items()} if self.label_words is not None else None
        return TemplateBlock(
            jinja=self.source, chat=self.chat, answer_choices=choices, label_words=words,
            promptsource=self.promptsource,
        )  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        """Compiled code does not travel between processes; it is compiled again."""
        return Template, (
            self.name, self.source, self.task, self.chat, self.answer_choices, self.promptsource, self.prefix,
            self.verbalizer, self.label_words,
        )  # fmt: skip

    @property
    def lenient(self) -> bool:
        """Whether it is read as PromptSource reads its templates."""
        return self.promptsource is not None

    @property
    def first_words(self) -> tuple[str, ...] | None:
        """The first word of each label; None without labels, and where each row has words of its own."""
        return self._answers.first_words

    @property
    def slots(self) -> tuple[Soft, ...]:
        """Every `soft(…)` of the template in the order written, known without rendering."""
        return self._compiled.slots

    def fields_used(self) -> set[str]:
        """The fields the template reads from a row."""
        return {name for name in self._read if self.lenient or name in self._known}

    def unknown(self) -> list[str]:
        """What an imported template reads and sets nowhere itself, and the task has neither as field nor as column."""
        if not self.lenient:
            return []  # its fields were checked when it was made
        known = {plain_name(name) for name in (*self._known, *self.task.columns.values())} | self._compiled.local
        return [name for name in self._read if name not in known]

    def render(self, row: Mapping[str, Any], *, seed: int = 0) -> Prompt | None:
        """The prompt of one row, or None where nothing would be asked: the row's text in it is blank.

        A row without the target field (to be predicted) gives an empty target and no gold. `seed` is for the
        `choice` filter. Raises InputError naming the template, its line and what the row holds.
        """
        target = row.get(self.task.target)
        parts = self._run(row, target, seed)
        if parts is None:
            return None
        prompt = parts[0]
        if len(parts) == 2:
            written = "".join(s.text for s in parts[1] if isinstance(s, Text)).strip()
            if target is None:
                answers = self._answers.unknown(row)
            elif not written:
                return None
            else:
                answers = self._answers.written(row, written)
            segments = stripped(prompt)
        else:
            answers = self._answers.unknown(row) if target is None else self._answers.of(row, target)
            segments = prompt
        answer_places = sum(isinstance(segment, Answer) for segment in segments)
        if answer_places > 1:
            raise InputError(
                f"{self._compiled.where}: {{{{ answer }}}} stands in it {answer_places} times; once wanted"
            )
        if is_blank(segments):
            return None
        if not answer_places:
            if len(parts) == 2:
                segments.append(Text(" "))  # PromptSource strips both parts: a space joins them, part of the answer
            segments.append(Answer())
        return Prompt(
            joined(segments), answers.target, answers.references, answers.choices, answers.choice_labels,
            answers.gold, self.chat, words=answers.words, word_labels=answers.word_labels,
        )  # fmt: skip

    # Reading a row

    @cached_property
    def _read(self) -> tuple[str, ...]:
        return tuple(sorted(self._compiled.names - {"answer_choices"}))

    def _run(self, row: Mapping[str, Any], target: Any, seed: int) -> list[list[Segment]] | None:
        """The parts of the rendered text: prompt, or prompt and target; None where there is nothing to ask."""
        name = self.task.target
        if target is not None or name not in self._compiled.names:
            return self._parts(self._values(row), seed)
        # The template asks for an answer this row lacks. Two made-up ones tell whether the prompt depends on it.
        first, second = (
            self._parts(self._values({**row, name: value}), seed) for value in self._answers.stand_ins(row)
        )
        if (first and first[0]) != (second and second[0]):
            raise InputError(
                f"{self._compiled.where}: its prompt shows the field {name!r}, which the row does not have"
            )
        return first

    def _choices(self, where: str) -> tuple[str, ...] | RowChoices | None:
        if not isinstance(self.answer_choices, str):
            return self.answer_choices
        written = WrittenChoices(
            where, self.answer_choices, lenient=self.lenient, scored=self.task.kind in ("classify", "choose"),
            fields_of=self._names.fields_of,
        )  # fmt: skip
        if not self.lenient and (unknown := sorted(written.names - self._known)):
            raise InputError(f"{written.where}: unknown field {unknown[0]!r}{did_you_mean(unknown[0], self._known)}")
        return written.fixed or (lambda row: written.of(self._named(row, written.names), 0))

    def _named(self, row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """What the row has of the names; PromptSource's templates know the data's own columns and label numbers."""
        if self.lenient:
            plain = {k: v.__index__() if isinstance(v, LabelName) else v for k, v in row.items()}
            columns = {self.task.columns.get(k, k): v for k, v in plain.items()}
            row = {plain_name(key): value for key, value in {**plain, **columns}.items()}
        return {name: row[name] for name in names if name in row}

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        values = self._named(row, self._read)
        if "answer_choices" in self._compiled.names:
            choices = self._answers.shown(row)
            if choices is not None:
                values["answer_choices"] = list(choices)
        return values

    def _parts(self, values: dict[str, Any], seed: int) -> list[list[Segment]] | None:
        parts = self._compiled.run(values, seed)
        if len(parts) > 2:
            if self.lenient:
                return None
            raise InputError(f"{self._compiled.where}: `|||` stands in it {len(parts) - 1} times; once wanted")
        if len(parts) == 1 and self._compiled.found.splits:
            if self.lenient or is_blank(stripped(parts[0])):
                return None
            raise InputError(f"{self._compiled.where}: this row reaches no `|||`, so it has no target")
        if len(parts) == 2 and any(not isinstance(segment, Text) for segment in parts[1]):
            raise InputError(f"{self._compiled.where}: only text can stand after `|||`")
        return parts

    # Checks

    @property
    def _known(self) -> set[str]:
        """The names of the task's fields."""
        return {*self.task.fields, self.task.target} | ({self.task.references} if self.task.references else set())

    def _check_fields(self) -> None:
        known = self._known
        where = self._compiled.where
        for special in ("answer", "sep"):
            if special in known and special != self.task.target and special in self._compiled.found.atoms:
                raise InputError(
                    f"{where}: {{{{ {special} }}}} has a meaning of its own, and the task has a field {special!r} too; "
                    "rename the field (`fields: {OTHER_NAME: COLUMN}`)"
                )
        for name in self._read:
            if name in ("answer", "sep", "soft") and name not in known | self._compiled.local:
                raise InputError(f"{where}: {name!r} stands alone in its braces, before any `|||`")
            if name not in known and name not in self._compiled.local:
                raise InputError(f"{where}: unknown field {name!r}{did_you_mean(name, known)}")

    def _check_leak(self) -> None:
        """A prompt may not show its own answer; after `|||` it is the answer, and PromptSource's text decides."""
        if self._compiled.may_split:
            return
        for secret in (self.task.target, self.task.references):
            if secret and {secret, plain_name(self.task.columns.get(secret, secret))} & self._compiled.names:
                raise InputError(
                    f"{self._compiled.where}: the prompt shows the field {secret!r}, which is the answer; "
                    "write {{ answer }} where the answer goes, or put it after `|||`"
                )
