"""Shared templates, lists of columns, names of choices, looked-up columns, evaluation-only tasks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.task_block import TaskBlock, TemplateBlock
from tunewright.tasks.open import open_task, resolve
from tunewright.tasks.shared_templates import with_shared


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def block(**keys: Any) -> TaskBlock:
    return TaskBlock.model_validate({"kind": "classify", "path": "x.jsonl", **keys})


def test_words_go_by_the_tasks_own_labels_in_their_order() -> None:
    fields = {"premise": "p", "hypothesis": "h", "label": "l"}
    two = with_shared(block(fields=fields, labels=["not_entailment", "entailment"], templates_from="nli")).templates
    three = with_shared(
        block(fields=fields, labels=["contradiction", "entailment", "neutral"], templates_from="nli")
    ).templates
    assert isinstance(two["truth"], TemplateBlock) and isinstance(three["truth"], TemplateBlock)
    assert list((two["truth"].label_words or {}).items()) == [("not_entailment", "unproven"), ("entailment", "true")]
    assert three["truth"].label_words == {"contradiction": "false", "entailment": "true", "neutral": "uncertain"}
    assert list(two) == list(three)


def test_a_template_without_words_for_a_label_is_left_out_and_own_ones_stay() -> None:
    own = {"plain": "mine {{ text }} {{ answer }}"}
    found = with_shared(
        block(
            fields={"text": "t", "label": "l"}, labels=["negative", "mixed"], templates=own, templates_from="sentiment"
        )
    ).templates
    assert found["plain"] == own["plain"] and next(iter(found)) == "plain"
    assert "question" in found and "recommend" not in found  # `recommend` has no word for "mixed"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"templates_from": "nil", "labels": ["a", "b"]}, r"^templates_from: no set 'nil'.*did you mean 'nli'"),
        (
            {"templates_from": "nli", "labels": ["a", "b"], "fields": {"premise": "p"}},
            "reads the field 'hypothesis'; `fields: {hypothesis: COLUMN}` names its column$",
        ),
        ({"templates_from": "nli"}, "has words for labels: list the task's `labels:`$"),
    ],
)
def test_what_is_wrong_is_said(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        with_shared(block(**keys))


def test_a_task_of_ones_own_uses_a_set(tmp_path: Path) -> None:
    rows = [{"a": f"text {i}", "l": ["negative", "positive"][i % 2]} for i in range(20)]
    file = write(tmp_path / "mine.jsonl", rows)
    task = open_task(
        block(
            path=str(file),
            fields={"text": "a", "label": "l"},
            labels=["negative", "positive"],
            templates_from="sentiment",
        )
    )
    assert "stars" in task.templates and task.default_template == "plain"


def test_a_list_of_columns_and_names_of_the_choices(tmp_path: Path) -> None:
    rows = [{"s": f"The _ {i}", "one": f"dog {i}", "two": f"cat {i}", "right": "2"} for i in range(10)]
    fields = {"sentence": "s", "choices": ["one", "two"], "answer": "right"}
    keys = {"kind": "choose", "fields": fields, "labels": ["1", "2"], "templates_from": "blank"}
    task = open_task(block(path=str(write(tmp_path / "w.jsonl", rows)), **keys))
    row = task.split("test")[0]
    number = row["sentence"].split()[-1]
    assert row["choices"] == [f"dog {number}", f"cat {number}"] and row["answer"] == f"cat {number}"
    assert "choices" not in task.columns
    rows[3]["two"] = None
    with pytest.raises(InputError, match="row 4: field 'two' missing"):
        open_task(block(path=str(write(tmp_path / "w.jsonl", rows)), **keys))
    with pytest.raises(InputError, match="no column 'three' \\(for the field 'choices'\\); the columns are s, one"):
        open_task(block(path=str(tmp_path / "w.jsonl"), **{**keys, "fields": {**fields, "choices": ["one", "three"]}}))


def test_looked_up_columns(tmp_path: Path) -> None:
    rows = [{"task": "t1" if i % 2 else "t2", "input": f"in {i}", "target": f"out {i}"} for i in range(10)]
    write(tmp_path / "d" / "train.jsonl", rows)
    fields = {"task": "task", "definition": "definition", "input": "input", "target": "target"}
    found = block(
        kind="generate", path=str(tmp_path / "d"), fields=fields, lookup={"file": "tasks.jsonl", "key": "task"}
    )
    with pytest.raises(InputError, match="no column 'definition'"):
        open_task(found)
    write(tmp_path / "d" / "tasks.jsonl", [{"task": "t1", "definition": "One."}, {"task": "t2", "definition": "Two."}])
    row = open_task(found).split("train")[0]
    assert row["definition"] == {"t1": "One.", "t2": "Two."}[row["task"]]
    write(tmp_path / "d" / "tasks.jsonl", [{"task": "t1", "definition": "One."}])
    with pytest.raises(InputError, match="row 1: task 't2' stands not in "):
        open_task(found)


def test_evaluation_only(tmp_path: Path) -> None:
    rows = [{"task": "x", "input": f"in {i}", "target": "yes"} for i in range(3)]
    write(tmp_path / "bbh" / "test.jsonl", rows)
    with pytest.raises(InputError, match=r"^task bbh: for evaluation only, nothing can be tuned on it$"):
        open_task("bbh", data=tmp_path)
    task = open_task("bbh", data=tmp_path, partial=True)
    assert [len(task.split(split)) for split in ("train", "validation", "test")] == [0, 0, 3]


def test_a_task_that_no_hub_has_says_how_it_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNEWRIGHT_DATA", raising=False)
    with pytest.raises(InputError, match="task cot_ecqa: no hub set holds it; with its rows \\(google-research/FLAN"):
        open_task("cot_ecqa")
    rows = [{"question": f"q{i}", "rationale": "r", "answer": "a"} for i in range(20)]
    write(tmp_path / "mine" / "train.jsonl", rows)
    task = open_task(TaskBlock(name="cot_ecqa", path=str(tmp_path / "mine")))
    assert set(task.split("test")[0]) == {"question", "rationale", "final"} and "steps" in task.templates


def test_a_local_copy_may_call_the_columns_our_way_although_the_hubs_name_means_another_thing(tmp_path: Path) -> None:
    """gsm8k: the hub's `answer` holds steps and number, a folder has them apart as `solution` and `answer`."""
    ours = [{"question": "1+1?", "solution": "1+1=2", "answer": "2"}]
    hubs = [{"question": "1+2?", "answer": "1+2=3\n#### 3"}]
    write(tmp_path / "gsm8k" / "train.jsonl", ours)
    write(tmp_path / "gsm8k" / "test.jsonl", hubs)
    from tunewright.prompts.template import Template

    task = open_task("gsm8k", data=tmp_path, partial=True)
    template = Template.from_block("steps", task.templates["steps"], task)
    prompts = [template.render(task.split(split)[0]) for split in ("train", "test")]
    assert [p.target for p in prompts if p] == ["1+1=2\nThe answer is 2.", "1+2=3\nThe answer is 3."]
    assert resolve("gsm8k").templates.keys() == task.templates.keys()
