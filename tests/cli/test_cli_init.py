"""`tunewright init`: the guess, the recipe it writes, and that the recipe is in order."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_files import Run, write_rows

from tunewright.cli.guess import guess
from tunewright.errors import InputError

LONG = "Agent: Hello, how can I help you today? Customer: My parcel number {i} never came and I want my money back."


def chats(i: int) -> dict[str, Any]:
    return {"id": f"c{i}", "dialogue": LONG.format(i=i), "summary": f"Parcel {i} is lost; refund asked."}


ROWS: dict[str, Any] = {
    "classify": lambda i: {"review": f"The soup number {i} was fine.", "Sentiment": ("good", "bad", "no")[i % 3]},
    "regress": lambda i: {"text": f"The soup number {i} was fine.", "rating": 0.5 * (i % 9)},
    "generate": chats,
    "tag": lambda i: {"words": ["Ada", "met", f"Bo{i}"], "ner": ["B-PER", "O", "B-PER"]},
    "choose": lambda i: {"question": f"What is {i} + 1?", "options": [str(i), str(i + 1), "none"], "gold": i % 2},
}


def rows_of(kind: str, count: int = 60) -> list[dict[str, Any]]:
    return [ROWS[kind](i) for i in range(count)]


FIELDS = {
    "classify": {"review": "review", "label": "Sentiment"},
    "regress": {"text": "text", "score": "rating"},
    "generate": {"dialogue": "dialogue", "target": "summary"},
    "tag": {"tokens": "words", "tags": "ner"},
    "choose": {"question": "question", "choices": "options", "answer": "gold"},
}


@pytest.mark.parametrize("kind", sorted(ROWS))
def test_the_written_recipe_is_in_order(kind: str, cli: Run, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "mine.jsonl", rows_of(kind))
    recipe = tmp_path / "r.yaml"
    done = cli("init", data, "--output", recipe, "--model", "some/model", "--method", "lora")
    assert done.code == 0, done.err
    assert done.err == ""
    assert f"{data}: {kind} (" in done.out and f"next: tunewright check {recipe}" in done.out
    tree = yaml.safe_load(recipe.read_text())
    assert (tree["model"], tree["method"], tree["task"]["kind"]) == ("some/model", {"name": "lora"}, kind)
    assert tree["task"]["fields"] == FIELDS[kind]
    assert len(tree["task"]["templates"]) == 2
    for template in tree["task"]["templates"]:
        checked = cli("check", recipe, "--no-model", "--json", "--set", f"template={template}")
        assert checked.code == 0, checked.err
        assert checked.json["prompts"][0]["target"]


def test_labels_that_yaml_would_misread_are_quoted(cli: Run, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "mine.jsonl", rows_of("classify"))
    cli("init", data, "--output", tmp_path / "r.yaml")
    text = (tmp_path / "r.yaml").read_text()
    assert "labels: [bad, good, 'no']" in text
    assert text.count("#") > 8
    assert 'plain: "{{ review }}\\nSentiment: {{ answer }}"' in text


def test_a_table_and_a_folder_per_label(cli: Run, tmp_path: Path) -> None:
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Review Text", "Stars", "Class"])
        writer.writerows([[f"soup {i} was fine", i % 5 + 1, i % 2] for i in range(40)])
    assert cli("init", tmp_path / "mine.csv", "--output", tmp_path / "a.yaml").code == 0
    task = yaml.safe_load((tmp_path / "a.yaml").read_text())["task"]
    assert task["fields"] == {"review_text": "Review Text", "label": "Class"}
    assert task["labels"] == ["0", "1"]
    assert cli("check", tmp_path / "a.yaml", "--no-model").code == 0
    for label in ("cats", "dogs"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(10):
            (tmp_path / "pets" / label / f"{i}.txt").write_text(f"about {label} number {i}")
    assert cli("init", tmp_path / "pets", "--output", tmp_path / "b.yaml").code == 0
    assert yaml.safe_load((tmp_path / "b.yaml").read_text())["task"]["labels"] == ["cats", "dogs"]
    assert cli("check", tmp_path / "b.yaml", "--no-model").code == 0


def test_it_does_not_write_over_a_file(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "mine.jsonl", rows_of("classify"))
    assert cli("init", "mine.jsonl").code == 0
    (tmp_path / "recipe.yaml").write_text("mine")
    done = cli("init", "mine.jsonl")
    assert done.code == 2 and "recipe.yaml: already there" in done.err
    assert (tmp_path / "recipe.yaml").read_text() == "mine"


def test_what_it_cannot_guess_or_read(cli: Run, tmp_path: Path) -> None:
    one = write_rows(tmp_path / "one.jsonl", [{"text": f"a {i}"} for i in range(9)])
    done = cli("init", one, "--output", tmp_path / "r.yaml")
    assert done.code == 2 and "one.jsonl: no task can be guessed from the columns text" in done.err
    assert not (tmp_path / "r.yaml").exists()
    assert cli("init", tmp_path / "nope.csv", "--output", tmp_path / "r.yaml").code == 2
    data = write_rows(tmp_path / "mine.jsonl", rows_of("classify"))
    wrong = cli("init", data, "--output", tmp_path / "r.yaml", "--method", "loar")
    assert wrong.code == 2 and "did you mean 'lora'?" in wrong.err


def test_a_row_that_stands_in_the_way_is_told(cli: Run, tmp_path: Path) -> None:
    rows = rows_of("generate")
    rows[3]["summary"] = {"text": "x"}
    rows[4]["dialogue"] = 5
    data = write_rows(tmp_path / "mine.jsonl", rows)
    done = cli("init", data, "--output", tmp_path / "r.yaml")
    assert done.code == 2 and "no task can be guessed" in done.err
    few = write_rows(tmp_path / "few.jsonl", rows_of("classify", 6))
    done = cli("init", few, "--output", tmp_path / "f.yaml")
    assert done.code == 0
    assert ("still to be put right" in done.err) == (cli("check", tmp_path / "f.yaml", "--no-model").code == 2)


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in rows[0]}


def test_other_labels_are_left_out_of_the_input() -> None:
    rows = [{"text": f"soup {i} was hot", "label": "ab"[i % 2], "fine": "cdef"[i % 4]} for i in range(40)]
    found = guess(columns_of(rows), "x")
    assert (found.kind, found.fields, found.left_out) == ("classify", {"text": "text", "label": "label"}, ["fine"])


def test_whole_number_labels_and_many_numbers() -> None:
    rows = [{"text": f"soup {i} was hot", "label": i % 3} for i in range(40)]
    assert guess(columns_of(rows), "x").labels == [0, 1, 2]
    rows = [{"text": f"soup {i} was hot", "stars": i % 5} for i in range(40)]
    found = guess(columns_of(rows), "x")
    assert (found.kind, found.low, found.high) == ("regress", 0, 4)


def test_answers_by_letter_and_lists_in_a_table() -> None:
    rows = [
        {"question": f"number {i}", "choices": json.dumps([f"a {i}", f"b {i}"]), "answer": "AB"[i % 2]}
        for i in range(20)
    ]
    found = guess(columns_of(rows), "x")
    assert (found.kind, found.target) == ("choose", "answer")


def test_nothing_to_learn() -> None:
    with pytest.raises(InputError, match="no task can be guessed"):
        guess({"id": [1, 2], "n": [1, 2]}, "x")
