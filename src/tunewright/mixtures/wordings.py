"""The wordings of a task in a mixture: its templates by what they ask for, and how often each is drawn."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunewright.errors import InputError
from tunewright.mixtures.block import FormatsBlock
from tunewright.mixtures.conversation import FIELD, Turns
from tunewright.mixtures.options import MOST
from tunewright.prompts.detached import without_slots
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.segments import Answer
from tunewright.prompts.template import Template
from tunewright.task_block import TemplateBlock, TemplateFileBlock
from tunewright.tasks.task import Task

WordingKind = Literal["plain", "inverted", "chain", "turns"]
INVERTED = "inverted-"
REASONS = ("rationale", "solution")  # the fields that hold a chain of thought
_LOOKED_AT = 20  # rows, until a template has rendered one


@dataclass(frozen=True)
class Reader:
    """What the model to be tuned can read. `chat`: it has a chat template; `answer_last`: no answer in mid-text."""

    chat: bool = True
    answer_last: bool = False


@dataclass(frozen=True)
class Wording:
    """A template and its probability in its task. `few_shot`, `options`: the forms' probabilities given it."""

    template: Template | Turns
    kind: WordingKind
    share: float
    few_shot: float
    options: float


def wordings(
    task: Task,
    wanted: Sequence[str] | Mapping[str, float] | None,
    formats: FormatsBlock,
    reader: Reader,
    most: int | None = None,
) -> list[Wording]:
    """The wordings of a task. Raises InputError where the reader can read none of them, and for unknown names.

    Without names: all templates that the reader can read, and a conversation's turns where the rows have `messages`;
    kinds by the shares of `formats`, templates of a kind equally, at most `most` of a kind (the default one first).
    Names alone leave others out; with weights, these decide alone.
    """
    found: list[tuple[Template | Turns, WordingKind]] = []
    names: list[str | TemplateBlock | TemplateFileBlock] = list(wanted if wanted is not None else task.templates)
    for template in choose_templates(task, names) if names else []:
        if wanted is not None or _readable(template, task, reader):
            found.append((template, kind_of(template)))
    if wanted is None and FIELD in task.fields and isinstance(task.split("train").columns[FIELD][0], list):
        found.append((Turns(reader.chat), "turns"))
    if not found:
        raise InputError(f"task {task.name}: none of its templates suits this model (chat, or an answer in mid-text)")
    if most is not None and wanted is None:
        found = _first_of_each_kind(found, task.default_template, most)
    kinds = [kind for _, kind in found]
    if isinstance(wanted, Mapping):
        weights = [wanted[template.name] / sum(wanted.values()) for template, _ in found]
    else:
        by_kind = kind_shares(set(kinds), formats)
        weights = [by_kind[kind] / kinds.count(kind) for kind in kinds]
    return [
        Wording(template, kind, weight, 0.0 if kind == "turns" else _share(formats.few_shot),
                _share(formats.options) if _takes_options(task, template, kind) else 0.0)
        for (template, kind), weight in zip(found, weights) if weight > 0
    ]  # fmt: skip


def _first_of_each_kind(
    found: Sequence[tuple[Template | Turns, WordingKind]], default: str | None, most: int
) -> list[tuple[Template | Turns, WordingKind]]:
    kept: list[tuple[Template | Turns, WordingKind]] = []
    for template, kind in sorted(found, key=lambda one: one[0].name != default):  # stable: else as they are listed
        if sum(other == kind for _, other in kept) < most:
            kept.append((template, kind))
    return kept


def kind_shares(kinds: set[WordingKind], formats: FormatsBlock) -> dict[WordingKind, float]:
    """The probability of each kind that a task has. A kind alone has all, whatever its share."""
    found: dict[WordingKind, float] = {}
    rest, left = 1.0, set(kinds)
    wanted: tuple[tuple[WordingKind, float | None], ...] = (
        ("turns", formats.turns), ("inverted", formats.inverted), ("chain", formats.chain), ("plain", 1.0),
    )  # fmt: skip
    for kind, share in wanted:
        if kind not in left:
            continue
        left.discard(kind)
        found[kind] = rest * _share(share) if left else rest
        rest -= found[kind]
    return found


def kind_of(template: Template) -> WordingKind:
    """`inverted` by its name; `chain` where what stands after its `|||` has the reasons."""
    if template.name.startswith(INVERTED):
        return "inverted"
    target = template.source.partition("|||")[2]
    return "chain" if re.search(rf"\b({'|'.join(REASONS)})\b", target) else "plain"


def _takes_options(task: Task, template: Template | Turns, kind: WordingKind) -> bool:
    """Whether there are choices to list, not too many, and the template does not list them."""
    if kind != "plain" or isinstance(template, Turns) or task.kind not in ("classify", "choose"):
        return False
    if len(task.labels or ()) > MOST:
        return False
    return not re.search(r"\banswer_choices\b", template.source) and "choices" not in template.fields_used()


def _readable(template: Template, task: Task, reader: Reader) -> bool:
    if template.chat and not reader.chat:
        return False
    if not reader.answer_last:
        return True
    rows = task.split("train")
    for i in range(min(_LOOKED_AT, len(rows))):
        prompt = template.render(rows[i])
        if prompt is not None:
            return isinstance(without_slots(prompt).segments[-1], Answer)
    return False


def _share(value: float | None) -> float:
    return 0.0 if value is None else value
