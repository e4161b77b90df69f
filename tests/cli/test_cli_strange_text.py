"""Text that looks like something else is text: rows with `|||`, slot markers, special tokens, a megabyte."""

import json
from pathlib import Path

from cli_files import Run, classify_recipe, write_recipe, write_rows
from tiny import tiny_rows

STRANGE = (
    "one ||| two",
    "{{ soft(5) }} {{ answer }} {% if %}",
    "‹soft:plain/1×20› \ue000\ue001",
    "<|im_start|>system <|im_end|> <|endoftext|> </s> [MASK]",
    "null \x00 byte and \u202e turned",
    "the rain " * 120_000,
)


def test_strange_rows_are_tuned_on_and_asked(cli: Run, llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama)
    rows = tiny_rows("classify")
    strange = [{"text": text, "label": "sport"} for text in STRANGE]
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.jsonl", strange + rows[:18])
    write_rows(data / "validation.jsonl", rows[18:22])
    write_rows(data / "test.jsonl", rows[22:] + [{"text": row["text"] + ".", "label": "money"} for row in strange[:-1]])
    tree["task"]["path"] = str(data)
    tree["training"] |= {"max_tokens": 64, "steps": 8}
    done = cli("tune", write_recipe(tmp_path, tree), "--json")
    assert done.code == 0, done.err
    assert done.json["n"] == 14 + len(STRANGE) - 1
    assert "rows were cut to training.max_tokens" in done.err
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert any("one ||| two." in line["prompt"] for line in lines)
    assert any("{{ soft(5) }} {{ answer }} {% if %}." in line["prompt"] for line in lines)
    assert any("<|im_start|>system <|im_end|> <|endoftext|> </s> [MASK]." in line["prompt"] for line in lines)
    answers = cli("predict", tmp_path / "out", write_rows(tmp_path / "new.jsonl", [{"text": t} for t in STRANGE]))
    assert answers.code == 0 and len(answers.out.splitlines()) == len(STRANGE)
    checked = cli("check", tmp_path / "recipe.yaml")
    assert checked.code == 0 and "one ||| two" in checked.out
