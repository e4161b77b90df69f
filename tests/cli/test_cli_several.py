"""Runs of several tasks, and several runs at once, on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_files import Run, classify_recipe, model, write_recipe, write_rows
from tiny import tiny_rows

from tunewright.cli.main import main


def task_block(folder: Path, name: str, kind: str = "classify", **keys: Any) -> dict[str, Any]:
    data = write_rows(folder / f"{kind}.jsonl", tiny_rows(kind))  # type: ignore[arg-type]
    return {
        "name": name,
        "path": str(data),
        "kind": kind,
        "templates": {"plain": "{{ text }}\ntopic: {{ answer }}"},
        **keys,
    }


def several_tree(folder: Path, model_folder: Path, **keys: Any) -> dict[str, Any]:
    """Two tasks, the second drawn three times as often, and asked about the column `words`."""
    tree = classify_recipe(folder, model_folder)
    del tree["task"]
    other = write_rows(
        folder / "other.jsonl", [{"words": r["text"], "topic": r["label"]} for r in tiny_rows("classify")]
    )
    second = {
        "name": "other", "path": str(other), "kind": "classify", "fields": {"text": "words", "label": "topic"},
        "templates": {"plain": "{{ text }}: {{ answer }}"},
    }  # fmt: skip
    tasks = [{"task": task_block(folder, "first"), "shots": 4}, {"task": second, "rate": 3.0}]
    return {**tree, "tasks": tasks, **keys}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`both`: one run of two tasks; `one`, `two`, `three`: runs of a task each, the last one generating."""
    folder = tmp_path_factory.mktemp("runs")
    llama = model(tmp_path_factory)
    assert main(["tune", str(write_recipe(folder, several_tree(folder, llama))), "--output", str(folder / "both")]) == 0
    for name, kind, length in (("one", "classify", 2), ("two", "classify", 5), ("three", "generate", 3)):
        tree = classify_recipe(folder, llama, task=task_block(folder, name, kind))
        tree["method"] = {"name": "prompt-tuning", "length": length}
        tree["evaluation"] |= {"max_new_tokens": 4}
        assert main(["tune", str(write_recipe(folder, tree)), "--output", str(folder / name)]) == 0
    return folder


def test_tune_tells_each_task_and_their_mean(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, several_tree(tmp_path, llama))
    done = cli("tune", recipe)
    assert done.code == 0, done.err
    for words in ("prompt-tuning on first (", "prompt-tuning on other (", "mean over 2 tasks: ", "report: "):
        assert words in done.out, words
    value = cli("tune", recipe, "--resume", "--json").json
    assert list(value["tasks"]) == ["first", "other"] and "task" not in value
    after = [value["tasks"][name]["after"]["accuracy"]["value"] for name in ("first", "other")]
    assert value["macro"]["after"]["value"] == pytest.approx(sum(after) / 2)
    assert value["tasks"]["other"]["n"] > 0 and value["cost"]["trained_parameters"] == 2 * 4 * 32


def test_check_says_what_is_drawn_of_each_task(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, several_tree(tmp_path, llama))
    done = cli("check", recipe, "--rows", "1")
    assert done.code == 0, done.err
    assert "first (classify)" in done.out and "other (classify)" in done.out
    assert done.out.count("% of the rows of all tasks") == 2 and done.out.count("── ") == 2
    value = cli("check", recipe, "--json").json
    assert [facts["task"] for facts in value["tasks"]] == ["first", "other"]
    assert value["tasks"][0]["training_rows"] == 12
    assert sum(facts["share"] for facts in value["tasks"]) == pytest.approx(1)
    assert value["tasks"][1]["share"] == pytest.approx(0.75, abs=0.02)
    assert all(facts["model"]["tokens"]["rows"] and facts["prompts"] for facts in value["tasks"])
    plain = cli("check", recipe, "--no-model", "--json").json
    assert [facts["slots"] for facts in plain["tasks"]] == ["4, added by the method"] * 2


def test_evaluate_scores_every_task(runs: Path, cli: Run) -> None:
    done = cli("evaluate", runs / "both", "--split", "validation", "--json")
    assert done.code == 0, done.err
    assert list(done.json["tasks"]) == ["first", "other"] and done.json["split"] == "validation"
    assert json.loads((runs / "both/evaluation-validation.json").read_text()) == done.json
    again = cli("evaluate", runs / "both", "--json").json
    assert again == json.loads((runs / "both/after.json").read_text())
    assert "mean over 2 tasks: " in cli("evaluate", runs / "both").out


def test_predict_answers_each_row_by_its_task(runs: Path, cli: Run, tmp_path: Path) -> None:
    texts = ["the team and the goal", "a bank", "the sea", "snow and rain"]
    rows = [
        {"task": "other", "words": texts[0]}, {"task": "first", "text": texts[1]}, {"task": "other", "words": " "},
        {"task": "first", "text": texts[3]},
    ]  # fmt: skip
    done = cli("predict", runs / "both", write_rows(tmp_path / "new.jsonl", rows))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [(line["task"], line["id"]) for line in lines] == [("other", 1), ("first", 2), ("other", 3), ("first", 4)]
    assert [line["prediction"] is None for line in lines] == [False, False, True, False]
    alone = cli("predict", runs / "both", write_rows(tmp_path / "one.jsonl", [rows[1], rows[3]]), "--task", "first")
    for ours, theirs in zip([lines[1], lines[3]], map(json.loads, alone.out.splitlines()), strict=True):
        assert ours["prediction"] == theirs["prediction"]
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)


def test_predict_joins_runs_of_different_lengths_and_kinds(runs: Path, cli: Run, tmp_path: Path) -> None:
    rows = [
        {"task": name, "text": f"{place} and the {word}"}
        for place in ("the film", "a day")
        for name, word in (("two", "rain"), ("three", "bank"), ("one", "goal"))
    ]
    file = write_rows(tmp_path / "new.jsonl", rows)
    done = cli("predict", runs / "one", file, "--also", runs / "two", "--also", runs / "three")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["task"] for line in lines] == ["two", "three", "one"] * 2
    for name in ("one", "two", "three"):
        apart = cli("predict", runs / name, write_rows(tmp_path / "x.jsonl", [r for r in rows if r["task"] == name]))
        theirs = [json.loads(line) for line in apart.out.splitlines()]
        ours = [line for line in lines if line["task"] == name]
        assert [line["prediction"] for line in ours] == [line["prediction"] for line in theirs]
        assert [line.get("scores") for line in ours] == [
            pytest.approx(line["scores"], abs=1e-5) if "scores" in line else None for line in theirs
        ]


def test_predict_says_what_is_wrong_with_a_rows_task(runs: Path, cli: Run, tmp_path: Path) -> None:
    def said(row: dict[str, Any], *arguments: str | Path) -> str:
        done = cli("predict", runs / "both", write_rows(tmp_path / "new.jsonl", [row]), *arguments)
        assert done.code == 2
        return done.err

    assert "new.jsonl row 1: no field task (one of first, other); or give --task" in said({"text": "a"})
    assert "new.jsonl row 1: task 'frist' is none of these runs' (did you mean 'first'?)" in said(
        {"text": "a", "task": "frist"}
    )
    assert "--task: 'frist' is no task of this (did you mean 'first'?)" in said({"text": "a"}, "--task", "frist")
    assert "no column 'words'" in said({"txt": "a", "task": "other"})
    assert f"{runs / 'both'}: task 'first' again" in said({"text": "a"}, "--also", runs / "both")
