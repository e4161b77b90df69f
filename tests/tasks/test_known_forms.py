"""Instructions in the forms in common use: Natural Instructions, Alpaca, ShareGPT, ChatML."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task

TASK = {
    "Definition": ["Say the opposite."],
    "Positive Examples": [
        {"input": "hot", "output": "cold", "explanation": "Both are about heat."},
        {"input": "up", "output": "down", "explanation": "Both are directions."},
    ],
    "Negative Examples": [{"input": "hot", "output": "warm", "explanation": "Not the opposite."}],
    "Instances": [{"id": f"x-{i}", "input": f"word {i}", "output": [f"not {i}", f"un {i}"]} for i in range(10)],
}


def text(task: Any, template: str, split: str = "train") -> tuple[str, str]:
    prompt = Template.from_block(template, task.templates[template], task).render(task.split(split)[0])
    assert prompt is not None
    return prompt.text("…"), prompt.target


def written(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("as_block", [False, True])
def test_a_natural_instructions_file_is_a_task(tmp_path: Path, as_block: bool) -> None:
    path = written(tmp_path / "task001_opposites.json", TASK)
    task = open_task(TaskBlock(path=path) if as_block else path)
    assert (task.name, task.kind, task.target, task.references) == (
        "task001_opposites", "generate", "outputs", "references"
    )  # fmt: skip
    row = task.split("train")[0]
    number = row["id"].split("-")[1]
    assert row["outputs"] == f"not {number}" and row["references"] == [f"not {number}", f"un {number}"]
    assert row["negative_examples"][0]["output"] == "warm" and row["task"] == "task001_opposites"
    assert text(task, "zero-shot") == (
        f"Say the opposite.\n\nInput: word {number}\nOutput: …", f"not {number}"
    )  # fmt: skip
    assert text(task, "examples")[0] == (
        f"Say the opposite.\n\nInput: hot\nOutput: cold\n\nInput: up\nOutput: down\n\nInput: word {number}\nOutput: …"
    )


def test_version_one_has_a_definition_and_outputs_of_text(tmp_path: Path) -> None:
    value = {"Definition": "Say it.", "Instances": [{"input": f"w{i}", "output": f"v{i}"} for i in range(10)]}
    task = open_task(written(tmp_path / "t.json", value))
    row = task.split("train")[0]
    assert row["definition"] == "Say it." and row["outputs"] == row["input"].replace("w", "v")
    assert row["positive_examples"] == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Definition": 3}, "`Definition` must be text"),
        (
            {"Instances": [{"input": "a", "output": []}]},
            r"instance 1: `output` must be text or a list of texts, found \[\]",
        ),
        ({"Instances": [{"output": ["b"]}]}, "instance 1: an object with the text `input` wanted"),
        (
            {"Positive Examples": [{"input": "a"}]},
            "Positive Examples 1: an object with the texts input and output wanted",
        ),
        ({"Instances": []}, "no rows in this file"),
    ],
)
def test_a_broken_task_file(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_task(written(tmp_path / "t.json", {**TASK, **change}))


def test_alpaca_rows(tmp_path: Path) -> None:
    rows = [{"instruction": f"Add {i}", "input": "" if i % 2 else "to 1", "output": str(i + 1)} for i in range(20)]
    task = open_task(written(tmp_path / "alpaca_data.json", rows))
    assert task.target == "output" and task.default_template == "plain"
    both = {text(task, "plain", split)[0] for split in ("train", "test", "validation")}
    assert all(("\n\nto 1\n\n…" in shown) == (int(shown.split()[1]) % 2 == 0) for shown in both)
    with pytest.raises(InputError, match="data needs its kind and fields"):
        open_task(lines(tmp_path / "other.jsonl", [{"instruction": "a", "answer": "b"}]))


SHAREGPT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Hi"},
    {"from": "gpt", "value": "Hello!"},
    {"from": "human", "value": "What is 1+1?"},
    {"from": "gpt", "value": "2"},
    {"from": "human", "value": "Thanks"},
]
CHATML = [{"role": "user", "content": "What is 1+1?"}, {"role": "assistant", "content": "2"}]


def test_conversations(tmp_path: Path) -> None:
    numbered = [[{**turn, "value": turn["value"] + f" ({i})"} for turn in SHAREGPT] for i in range(10)]
    task = open_task(lines(tmp_path / "chats.jsonl", [{"id": i, "conversations": c} for i, c in enumerate(numbered)]))
    row = task.split("train")[0]
    end = row["reply"].removeprefix("2")
    assert {key: row[key] for key in ("system", "history", "message", "reply")} == {
        "system": f"Be brief.{end}", "history": f"User: Hi{end}\nAssistant: Hello!{end}",
        "message": f"What is 1+1?{end}", "reply": f"2{end}",
    }  # fmt: skip
    assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert text(task, "plain") == (
        f"Be brief.{end}\n\nUser: Hi{end}\nAssistant: Hello!{end}\nUser: What is 1+1?{end}\nAssistant: …", f"2{end}"
    )  # fmt: skip


def test_chatml_and_conversations_without_an_answer(tmp_path: Path) -> None:
    rows = [{"messages": [{**turn, "content": turn["content"] + f" ({i})"} for turn in CHATML]} for i in range(10)]
    path = lines(tmp_path / "c.jsonl", [*rows, {"messages": CHATML[:1]}])
    task = open_task(path)
    assert sum(len(task.split(split)) for split in ("train", "validation", "test")) == 10
    assert "conversations without an answer of the assistant left out: 1" in task.notes
    assert task.split("train")[0]["history"] == ""
    with pytest.raises(InputError, match="in no conversation does the assistant answer"):
        open_task(lines(tmp_path / "d.jsonl", [{"messages": CHATML[:1]}]))


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ("hello", "row 1: 'messages' must be a list of turns, found 'hello'"),
        ([{"role": "user"}], "row 1 turn 1: `role` and `content`"),
        ([{"role": "judge", "content": "No."}], "row 1 turn 1: role 'judge' is none of system, user, human"),
    ],
)
def test_broken_conversations(tmp_path: Path, turns: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        open_task(lines(tmp_path / "c.jsonl", [{"messages": turns}]))
