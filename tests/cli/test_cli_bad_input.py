"""What a user can get wrong: exit code 2, one line that names it, no traceback, no folder made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_files import Run, classify_recipe, write_recipe, write_rows
from tiny import tiny_rows

Tree = dict[str, Any]


def unknown_key(tree: Tree, folder: Path) -> None:
    tree["trainig"] = tree.pop("training")


def unknown_inner_key(tree: Tree, folder: Path) -> None:
    tree["training"]["step"] = 3


def unknown_method(tree: Tree, folder: Path) -> None:
    tree["method"] = "prompt-tunning"


def unknown_setting(tree: Tree, folder: Path) -> None:
    tree["method"]["lenght"] = 3


def unknown_metric(tree: Tree, folder: Path) -> None:
    tree["evaluation"]["metrics"] = ["acuracy"]


def wrong_type(tree: Tree, folder: Path) -> None:
    tree["training"]["steps"] = "many"


def missing_file(tree: Tree, folder: Path) -> None:
    tree["task"]["path"] = str(folder / "nope.jsonl")


def empty_file(tree: Tree, folder: Path) -> None:
    (folder / "rows.jsonl").write_text("")


def invalid_json(tree: Tree, folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines()
    lines[2] = '{"text": "a", "label": '
    (folder / "rows.jsonl").write_text("\n".join(lines))


def missing_field(tree: Tree, folder: Path) -> None:
    rows = tiny_rows("classify")
    del rows[4]["label"]
    write_rows(folder / "rows.jsonl", rows)


def missing_column(tree: Tree, folder: Path) -> None:
    tree["task"]["fields"] = {"text": "txt", "label": "label"}
    write_rows(folder / "rows.jsonl", [{"body": row["text"], "label": row["label"]} for row in tiny_rows("classify")])


def strange_label(tree: Tree, folder: Path) -> None:
    rows = tiny_rows("classify")
    rows[5]["label"] = "sprot"
    write_rows(folder / "rows.jsonl", rows)


def truth_value(tree: Tree, folder: Path) -> None:
    tree["task"]["labels"] = [True, False]


def broken_template(tree: Tree, folder: Path) -> None:
    tree["template"] = "{{ text }} {% if %} {{ answer }}"


def unknown_field(tree: Tree, folder: Path) -> None:
    tree["template"] = "{{ txt }} {{ answer }}"


def unknown_template(tree: Tree, folder: Path) -> None:
    tree["template"] = "plane"


def empty_rows(tree: Tree, folder: Path) -> None:
    write_rows(folder / "rows.jsonl", [{"text": " ", "label": row["label"]} for row in tiny_rows("classify")])


def many_labels(tree: Tree, folder: Path) -> None:
    tree["method"] = {"name": "prompt-tuning", "length": 2, "init": "class-label"}


def too_many_shots(tree: Tree, folder: Path) -> None:
    tree["shots"] = 100


def unknown_model(tree: Tree, folder: Path) -> None:
    tree["model"] = "smolm2-135m-instruct"


def no_weights(tree: Tree, folder: Path) -> None:
    tree["model"] = str(shutil.copytree(tree["model"], folder / "model"))
    (folder / "model" / "model.safetensors").unlink()


def pickle_only(tree: Tree, folder: Path) -> None:
    no_weights(tree, folder)
    torch.save({}, folder / "model" / "pytorch_model.bin")


def wrong_kind_of_loss(tree: Tree, folder: Path) -> None:
    write_rows(folder / "rows.jsonl", tiny_rows("generate"))
    tree["task"] = {
        "path": tree["task"]["path"],
        "kind": "generate",
        "templates": {"plain": "{{ text }} {{ answer }}"},
    }
    tree["training"]["objective"] = "choice"


def long_target(tree: Tree, folder: Path) -> None:
    rows = tiny_rows("generate")
    for row in rows:
        row["target"] = "rain " * 40
    write_rows(folder / "rows.jsonl", rows)
    tree["task"] = {
        "path": tree["task"]["path"],
        "kind": "generate",
        "templates": {"plain": "{{ text }} {{ answer }}"},
    }
    tree["training"]["max_tokens"] = 32
    tree["evaluation"]["max_new_tokens"] = 4


CASES: list[tuple[Callable[[Tree, Path], None], list[str]]] = [
    (unknown_key, ["unknown key 'trainig'", "did you mean 'training'?"]),
    (unknown_inner_key, ["unknown key 'training.step'", "did you mean 'steps'?"]),
    (unknown_method, ["'prompt-tunning'", "did you mean 'prompt-tuning'?"]),
    (unknown_setting, ["'lenght'", "did you mean 'length'?"]),
    (unknown_metric, ["'acuracy'", "did you mean 'accuracy'?"]),
    (wrong_type, ["training.steps", "integer", "'many'"]),
    (missing_file, ["nope.jsonl", "no such file"]),
    (empty_file, ["rows.jsonl", "empty"]),
    (invalid_json, ["rows.jsonl line 3", "invalid JSON"]),
    (missing_field, ["rows.jsonl row 5", "'label'", "missing"]),
    (missing_column, ["rows.jsonl", "no column 'txt'", "body, label"]),
    (strange_label, ["rows.jsonl row 6", "'sprot'", "did you mean 'sport'?"]),
    (truth_value, ["task.labels", "'yes' in quotes"]),
    (broken_template, ["template 'inline'"]),
    (unknown_field, ["template 'inline'", "unknown field 'txt'", "did you mean 'text'?"]),
    (unknown_template, ["'plane'", "did you mean 'plain'?"]),
    (empty_rows, ["rows.jsonl", "every row is empty"]),
    (long_target, ["row train-", "the target has", "training.max_tokens"]),
    (many_labels, ["3", "2"]),
    (too_many_shots, ["shots: 100 rows wanted"]),
    (unknown_model, ["'smolm2-135m-instruct'", "did you mean 'smollm2-135m-instruct'?"]),
    (no_weights, ["model", "no weights"]),
    (pickle_only, ["pytorch_model.bin", "pickle"]),
    (wrong_kind_of_loss, ["training.objective", "generate"]),
]


@pytest.mark.parametrize(("spoil", "said"), CASES, ids=[case[0].__name__ for case in CASES])
def test_bad_input_is_one_line_and_leaves_nothing(
    spoil: Callable[[Tree, Path], None], said: list[str], cli: Run, llama: Path, tmp_path: Path
) -> None:
    tree = classify_recipe(tmp_path, llama)
    spoil(tree, tmp_path)
    done = cli("tune", write_recipe(tmp_path, tree))
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("error: ")
    for words in said:
        assert words in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("spoil", "said"), CASES, ids=[case[0].__name__ for case in CASES])
def test_check_finds_the_same(
    spoil: Callable[[Tree, Path], None], said: list[str], cli: Run, llama: Path, tmp_path: Path
) -> None:
    tree = classify_recipe(tmp_path, llama)
    spoil(tree, tmp_path)
    done = cli("check", write_recipe(tmp_path, tree), "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    for words in said:
        assert words in done.json["error"]


def test_recipe_file_itself(cli: Run, tmp_path: Path) -> None:
    missing = cli("tune", tmp_path / "nope.yaml")
    assert (missing.code, missing.err) == (2, f"error: {tmp_path}/nope.yaml: no such file\n")
    (tmp_path / "empty.yaml").write_text("")
    assert "empty.yaml: the file is empty" in cli("tune", tmp_path / "empty.yaml").err
    (tmp_path / "broken.yaml").write_text("model: x\ntask: [a\n")
    broken = cli("tune", tmp_path / "broken.yaml")
    assert broken.code == 2 and "broken.yaml: line" in broken.err and "invalid YAML" in broken.err


def test_set_must_be_key_and_value(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama))
    done = cli("tune", recipe, "--set", "training.steps")
    assert done.code == 2 and "KEY=VALUE wanted" in done.err
    done = cli("tune", recipe, "--set", "training.steps=0")
    assert done.code == 2 and "training.steps" in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_not_written_over(cli: Run, llama: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama))
    for flags in ([], ["--overwrite"]):
        done = cli("tune", recipe, *flags)
        assert done.code == 2 and len(done.err.splitlines()) == 1
    assert json.dumps(sorted(p.name for p in (tmp_path / "out").iterdir())) == '["thesis.txt"]'
