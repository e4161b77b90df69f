"""`tunewright tasks verify` and `tasks clusters`."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_files import Run

GOOD = [{"text": f"line {i}", "label": ["negative", "positive"][i % 2]} for i in range(6)]
BAD_LABEL = [{"premise": "a", "hypothesis": "b", "label": "yes"}]
NO_FIELD = [{"sentence1": "a", "label": "equivalent"}]


def write(folder: Path, name: str, rows: list[dict[str, Any]], split: str = "train") -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_a_task_that_passes(cli: Run, tmp_path: Path) -> None:
    write(tmp_path, "sst2", GOOD)
    done = cli("tasks", "verify", str(tmp_path))
    assert done.code == 0 and "1 of 1 tasks pass" in done.out
    line = next(line for line in done.out.splitlines() if "sst2" in line)
    assert line.split()[:7] == ["✓", "sst2", "classify", "sentiment", "6", "–", "–"]
    found = cli("tasks", "verify", str(tmp_path), "--json").json
    assert found["failed"] == 0 and found["tasks"][0]["rows"] == {"train": 6} and found["tasks"][0]["templates"] == 14


def test_tasks_that_fail_each_with_its_reason(cli: Run, tmp_path: Path) -> None:
    write(tmp_path, "sst2", GOOD)
    write(tmp_path, "rte", BAD_LABEL)
    write(tmp_path, "mrpc", NO_FIELD)
    write(tmp_path, "sts", GOOD)
    (tmp_path / "snli").mkdir()
    done = cli("tasks", "verify", str(tmp_path), "--json")
    assert done.code == 1 and done.json["failed"] == 4
    problems = {task["task"]: task["problems"] for task in done.json["tasks"]}
    assert problems["sst2"] == []
    assert "row 1: label 'yes' is not one of entailment, not_entailment" in problems["rte"][0]
    assert "no column 'sentence2'" in problems["mrpc"][0]
    assert problems["sts"][0].startswith("no task 'sts' in the catalog")
    assert "no train file" in problems["snli"][0]
    table = cli("tasks", "verify", str(tmp_path))
    assert table.code == 1 and "1 of 5 tasks pass" in table.out and table.out.count("✗") == 4
    assert cli("tasks", "verify", str(tmp_path), "sst2").code == 0


def test_a_row_that_a_template_cannot_read_or_that_has_no_answer(cli: Run, tmp_path: Path) -> None:
    write(tmp_path, "natural_instructions", [
        {"task": "t", "definition": "d", "input": "i", "outputs": ["o"], "positive_examples": [{"input": "only"}]}
    ])  # fmt: skip
    problems = cli("tasks", "verify", str(tmp_path), "--json").json["tasks"][0]["problems"]
    assert any("template 'examples'" in problem for problem in problems)
    assert not any("'zero-shot'" in problem for problem in problems)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["nowhere"], "nowhere: no such folder"), ([".", "sst2"], "no folders in it"), (["d", "sst"], "no folder 'sst'")],
)
def test_wrong_arguments(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "d":
        (tmp_path / "d").mkdir()
        write(tmp_path / "d", "sst2", GOOD)
    done = cli("tasks", "verify", *arguments)
    assert done.code == 2 and told in done.err


def test_clusters(cli: Run) -> None:
    found = {entry["cluster"]: entry for entry in cli("tasks", "clusters", "--json").json}
    assert found["translation"]["tasks"] == ["multi30k", "wmt16_de_en"] and found["translation"]["templates"] == 14
    assert "question_generation" in cli("tasks", "clusters").out
