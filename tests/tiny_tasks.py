"""Tasks in memory that a tiny model can learn, and prompts written out."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.prompts.segments import Prompt, Segment, Text
from tunewright.task_block import Kind, TemplateBlock
from tunewright.tasks.task import LabelName, Rows, Task

_KEYWORDS = {
    "sport": ("team", "goal", "match"),
    "money": ("bank", "price", "trade"),
    "weather": ("rain", "snow", "wind"),
}
_PLACES = ("the film", "the dog", "a day", "the sea")


def tiny_rows(kind: Kind) -> list[dict[str, Any]]:
    """36 rows as they would stand in a JSONL file: the keyword in the text gives the answer."""
    words = [(label, word) for label, group in _KEYWORDS.items() for word in group]
    rows = []
    for (label, word), place in product(words, _PLACES):
        text = f"{place} and the {word}"
        if kind == "classify":
            rows.append({"text": text, "label": label})
        elif kind == "choose":
            rows.append({"text": text, "choices": list(_KEYWORDS), "answer": list(_KEYWORDS).index(label)})
        elif kind == "regress":
            rows.append({"text": text, "score": float(list(_KEYWORDS).index(label))})
        elif kind == "generate":
            rows.append({"text": text, "target": f"{word} {label}"})
        else:
            tokens = text.split()
            rows.append({"tokens": tokens, "tags": ["O"] * (len(tokens) - 1) + [f"B-{label}"]})
    return rows


TEMPLATES: dict[Kind, str] = {
    "classify": "review: {{ text }}. topic:{{ ' ' }}{{ answer }}",
    "choose": "{{ text }}. topic:{{ ' ' }}{{ answer }}",
    "regress": "{{ text }}. answer:{{ ' ' }}{{ answer }}",
    "generate": "{{ text }}. answer:{{ ' ' }}{{ answer }}",
    "tag": "{{ tokens | join(' ') }}. answer:{{ ' ' }}{{ answer }}",
}
_TARGETS: dict[Kind, str] = {
    "classify": "label", "choose": "answer", "regress": "score", "generate": "target", "tag": "tags",
}  # fmt: skip
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classify": ("accuracy",), "choose": ("accuracy",), "regress": ("mae",), "generate": ("rouge-1",),
    "tag": ("entity-f1",),
}  # fmt: skip


def tiny_task(kind: Kind, **templates: str | TemplateBlock) -> Task:
    """An open task of 24 training, 6 validation and 6 test rows; `templates` beside (and before) its own `plain`."""
    rows = tiny_rows(kind)
    labels = tuple(_KEYWORDS) if kind == "classify" else None
    if kind == "tag":
        labels = ("O", *(f"B-{label}" for label in _KEYWORDS))
    for row in rows:
        if kind == "classify":
            row["label"] = LabelName(row["label"], list(_KEYWORDS).index(row["label"]))
        elif kind == "choose":
            row["answer"] = LabelName(row["choices"][row["answer"]], row["answer"])
        elif kind == "tag" and labels:
            row["tags"] = [LabelName(tag, labels.index(tag)) for tag in row["tags"]]
    order = [i for first in range(6) for i in range(first, 36, 6)]
    parts = {"train": order[:24], "validation": order[24:30], "test": order[30:]}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole = Rows(columns, [f"row-{i}" for i in range(36)])
    splits = {
        name: Rows(whole.take(indices).columns, [f"{name}-{i}" for i in range(len(indices))])
        for name, indices in parts.items()
    }
    blocks = {**templates, "plain": TEMPLATES[kind]}
    return Task(
        name=f"tiny-{kind}",
        kind=kind,
        fields=tuple(columns),
        target=_TARGETS[kind],
        references=None,
        labels=labels,
        label_words={label: (label,) for label in _KEYWORDS} if kind == "classify" else {},
        templates={
            n: TemplateBlock.model_validate({"jinja": b}) if isinstance(b, str) else b for n, b in blocks.items()
        },
        default_template=next(iter(blocks)),
        metrics=_METRICS[kind],
        splits=splits,
    )


def words(backbone: Backbone, ids: Sequence[int]) -> str:
    """Ids as tokens joined by blanks; `Ġ` and `▁` mark the space before a word."""
    return " ".join(backbone.tokenizer.convert_ids_to_tokens(list(ids)))


def prompt_of(*segments: Segment | str, target: str = "", **rest: Any) -> Prompt:
    """A prompt from segments; a bare string is the template's own words."""
    return Prompt(tuple(Text(s) if isinstance(s, str) else s for s in segments), target, **rest)


def row(text: str, field: str = "text") -> Text:
    """Text that came from a row."""
    return Text(text, field)
