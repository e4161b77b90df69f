"""Choices of a row: none may be empty; of two equal ones the first is right where either is."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.settings import validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task
from tunewright.tasks.task import Task


def opened(tmp_path: Path, sixth: list[str], answer: int) -> Task:
    rows: list[dict[str, Any]] = [{"text": f"row {i}", "choices": ["a", "b", "c"], "answer": 0} for i in range(20)]
    rows[5] |= {"choices": sixth, "answer": answer}
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    fields = {"text": "text", "choices": "choices", "answer": "answer"}
    return open_task(validate(TaskBlock, {"path": str(file), "kind": "choose", "fields": fields}, "task"))


def test_an_empty_choice_names_its_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows.jsonl row 6: field 'choices': an empty choice"):
        opened(tmp_path, ["a", " ", "c"], 0)


def test_of_two_equal_choices_the_first_counts(tmp_path: Path) -> None:
    task = opened(tmp_path, ["b", "x", "b"], 2)
    assert "rows in which a choice stands twice, of which the first counts: 1" in task.notes
    found = [
        rows.columns["answer"][i].index_
        for rows in task.splits.values() for i, text in enumerate(rows.columns["text"]) if text == "row 5"
    ]  # fmt: skip
    assert found == [0]
