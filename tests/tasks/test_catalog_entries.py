"""Every task of the catalog: its file is whole, opens on rows made of its own columns, and all its templates render."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tunewright.evaluation.metrics import METRICS
from tunewright.prompts.segments import Answer
from tunewright.prompts.template import Template
from tunewright.task_block import TaskBlock, TemplateBlock
from tunewright.tasks.answers import DEFAULT_TARGET
from tunewright.tasks.catalog import catalog_entry, catalog_names
from tunewright.tasks.open import SPLITS, open_task
from tunewright.tasks.shared_templates import set_names, template_set

NAMES = catalog_names()
ENTRIES = {name: catalog_entry(name) for name in NAMES}
FOLDERS = [name for name, entry in ENTRIES.items() if entry.hub is not None or entry.origin is not None]
EXAMPLE = {"input": "One.", "output": "Eins.", "explanation": "It is."}
LISTS = {"entities": ["Ann", "Oslo"], "positive_examples": [EXAMPLE]}


def source_row(entry: TaskBlock, number: int, ours: bool) -> dict[str, Any]:
    """A row with the hub's columns, or with our field names."""
    target = entry.target or DEFAULT_TARGET[entry.kind or "generate"]
    row: dict[str, Any] = {}
    for field, column in entry.fields.items():
        if isinstance(column, list):
            cells = [f"{part} {number}" for part in column]
            row |= {field: cells} if ours else dict(zip(column, cells))
            continue
        name = field if ours else column
        outer, dot, inner = name.partition(".")
        value = cell(entry, field, target, number)
        if dot:
            row.setdefault(outer, {})[inner] = value
        else:
            row.setdefault(name, value)
    return row


def cell(entry: TaskBlock, field: str, target: str, number: int) -> Any:
    if field == target and entry.kind == "classify":
        labels = entry.labels or []
        return labels[number % len(labels)]
    if field == target and entry.kind == "choose":
        if entry.labels:
            return entry.labels[0]
        return "A" if "labels" in entry.fields else 0
    if field == target and entry.kind == "regress":
        return 2.5
    if field == target and entry.kind == "tag":
        return [entry.labels[1], "O"]  # type: ignore[index]
    if field == entry.references or (field == "answers" and field != target):
        return [f"{field} {number}"]
    if field == "choices":
        return [f"choice A {number}", f"choice B {number}"]
    if field == "concepts":
        return ["dog", f"ball {number}"]
    return {"labels": ["A", "B"], "tokens": ["Ann", f"left{number}"], **LISTS}.get(field, f"{field} {number}")


def opened(name: str, folder: Path):
    """The task, with the hub's columns in train and our field names in test."""
    entry = ENTRIES[name]
    count = max(4, len(entry.labels or []) if entry.kind == "classify" else 0)
    for split, start in (("train", 0), ("validation", count), ("test", 2 * count)):
        rows = [source_row(entry, start + i, ours=split == "test") for i in range(count)]
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_task(entry, partial=True, data=folder)


def test_the_catalog_is_as_large_as_it_says():
    assert len(NAMES) >= 60
    assert {
        "squad",
        "cnn_dailymail",
        "gsm8k",
        "mbpp",
        "humaneval",
        "wmt16_de_en",
        "winogrande",
        "cot_strategyqa",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_is_whole(name: str) -> None:
    entry = ENTRIES[name]
    for key in ("about", "licence", "cluster", "kind", "metrics", "fields", "default_template", "templates"):
        assert getattr(entry, key), key
    assert "\n" not in str(entry.about) and "\n" not in str(entry.licence)
    assert re.fullmatch("[a-z_]+", str(entry.cluster))
    assert sum(source is not None for source in (entry.hub, entry.package, entry.generator, entry.origin)) == 1
    assert entry.path is None
    assert set(entry.metrics or ()) <= set(METRICS)
    assert entry.default_template in entry.templates
    texts = [t if isinstance(t, str) else t.jinja for t in entry.templates.values()]
    assert len(set(texts)) == len(texts)
    labels = [str(label) for label in entry.labels or ()]
    assert len(set(labels)) == len(labels)
    if entry.kind == "classify":
        assert list(entry.label_words or ()) == labels
        words = [
            w for given in (entry.label_words or {}).values() for w in ([given] if isinstance(given, str) else given)
        ]
        assert len({word.lower() for word in words}) == len(words)
        assert set((entry.label_names or {}).values()) <= set(labels)


@pytest.mark.parametrize("name", FOLDERS)
def test_an_entry_opens_and_every_template_renders(name: str, tmp_path: Path) -> None:
    task = opened(name, tmp_path)
    assert {"train", "test"} <= {split for split in SPLITS if len(task.split(split))}
    for key, block in task.templates.items():
        template = Template.from_block(key, block, task)
        for split in ("train", "test"):
            row = task.split(split)[0]
            prompt = template.render(row)
            assert prompt is not None and prompt.target.strip(), (key, split)
            assert sum(isinstance(segment, Answer) for segment in prompt.segments) == 1
            if task.kind in ("classify", "choose"):
                assert prompt.gold == row[task.target].index_
                assert prompt.choices is not None and prompt.choice_labels is not None
                assert prompt.choice_labels[prompt.choices.index(prompt.target)] == prompt.gold
            if key.startswith("inverted-"):
                assert str(row[task.target]) in prompt.text() or task.cluster in ("chain_of_thought", "maths")
                assert (
                    prompt.target != row[task.target] or task.cluster == "maths"
                )  # the hub has steps and number in one


def test_a_cluster_has_ten_templates_or_more_besides_chat() -> None:
    by_cluster: dict[str, set[str]] = {}
    for entry in ENTRIES.values():
        texts = {
            t if isinstance(t, str) else t.jinja for t in entry.templates.values() if isinstance(t, str) or not t.chat
        }
        by_cluster.setdefault(str(entry.cluster), set()).update(texts)
    assert {cluster: len(texts) for cluster, texts in by_cluster.items() if len(texts) < 10} == {}


@pytest.mark.parametrize("name", ["sst2", "snli", "trec"])
def test_eleven_templates_end_with_the_answer(name: str) -> None:
    texts = [t if isinstance(t, str) else t.jinja for t in ENTRIES[name].templates.values()]
    assert sum(text.endswith(("\n{{ answer }}", " {{ answer }}")) for text in texts) >= 11


@pytest.mark.parametrize("name", set_names())
def test_a_shared_set_differs_in_wording_and_is_used(name: str) -> None:
    found = template_set(name)
    wordings = [" ".join(re.sub(r"\{[{%].*?[}%]\}", " ", block.jinja).split()) for block in found.templates.values()]
    assert len(wordings) == len(found.templates) and all(isinstance(b, TemplateBlock) for b in found.templates.values())
    assert len({block.jinja for block in found.templates.values()}) == len(wordings)
    assert name == "last_reply" or name in {entry.templates_from for entry in ENTRIES.values()}
    inverted = [block for key, block in found.templates.items() if key.startswith("inverted-")]
    assert all("|||" in block.jinja for block in inverted) and len(inverted) in (0, 3)


def test_prompts_read_as_written(tmp_path: Path) -> None:
    def text(name: str, key: str) -> tuple[str, str]:
        task = opened(name, tmp_path)
        prompt = Template.from_block(key, task.templates[key], task).render(task.split("test")[0])
        assert prompt is not None
        return prompt.text("…"), prompt.target

    assert text("cot_gsm8k", "steps") == (
        "question 8\nLet us think step by step. …", "rationale 8\nSo the answer is final 8."
    )  # fmt: skip
    assert text("squad", "inverted-exam") == (
        "You set an exam. Text: context 8\nExpected answer: answers 8\nQuestion: …", "question 8"
    )  # fmt: skip
    assert text("winogrande", "fill") == (
        "Fill in the blank with option1 8 or option2 8.\nsentence 8\nBlank: …", "option1 8"
    )  # fmt: skip
    assert text("natural_instructions", "examples") == (
        "definition 8\n\nInput: One.\nOutput: Eins.\n\nInput: input 8\nOutput: …", "outputs 8"
    )  # fmt: skip
    assert text("alpaca", "plain") == ("instruction 8\n\ninput 8\n\n…", "output 8")
