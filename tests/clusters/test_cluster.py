"""`tunewright cluster`: planted kinds of rows, every family, tuned beside untuned, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tiny import tiny_folder, tiny_parts
from transformers import AutoModel

from tunewright.backbones.vectors import SentenceEncoder
from tunewright.cli.main import main
from tunewright.clusters.texts import read_texts
from tunewright.clusters.vectors import both_sides, plain_side

WORDS = {"sport": "team goal match", "money": "bank price trade", "weather": "rain snow wind"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("models")
    return {family: str(tiny_folder(base / family, family)) for family in ("causal", "seq2seq", "masked")}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file with rows of three kinds that share no word."""
    folder = tmp_path_factory.mktemp("task")
    rows = []
    for label, text in WORDS.items():
        a, b, c = text.split()
        mixed = (
            (a, a, a, a, b),
            (a, a, a, a, c),
            (a, a, a, b, a),
            (a, a, a, c, a),
            (a, a, b, a, a),
            (a, a, c, a, a),
            (a, b, a, a, a),
        )
        rows += [{"text": " ".join(words), "label": label} for words in mixed]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {
        "name": "planted", "path": str(folder / "rows.jsonl"), "kind": "classify", "labels": list(WORDS),
        "fields": {"text": "text", "label": "label"}, "templates": {"plain": "{{ text }}. topic: {{ answer }}"},
    }  # fmt: skip
    (folder / "planted.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    return folder / "planted.yaml"


def texts_of(source: Any, **keys: Any) -> Any:
    given: dict[str, Any] = {"wanted": None, "split": None, "count": None, "seed": 0, **keys}
    return read_texts(str(source), **given)


def said(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["cluster", *map(str, words)])
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize("family", ["causal", "seq2seq", "masked"])
def test_vectors_are_the_mean_of_the_models_own_states(family: str, models: dict[str, str], tmp_path: Path) -> None:
    """Each text alone, through transformers' own model and tokenizer, against padded batches."""
    file = tmp_path / "lines.txt"
    lines = ["the film and the goal", "rain", "a day and the bank and the sea " * 3]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = plain_side(texts_of(file), models[family], 16)
    model, tokenizer = AutoModel.from_pretrained(models[family]).eval(), tiny_parts(family)[1]
    assert found.cut == 1
    for text, vector in list(zip(lines, found.vectors))[:2]:
        batch = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            encoder = model.get_encoder() if family == "seq2seq" else model
            mean = encoder(input_ids=batch["input_ids"]).last_hidden_state[0].mean(0)
        assert np.allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)
    if family == "masked":  # what the baselines' encoder says
        assert np.allclose(found.vectors, SentenceEncoder(models[family], 16).vectors(lines), atol=1e-5)


@pytest.mark.parametrize("family", ["causal", "seq2seq", "masked"])
def test_planted_kinds_are_found(
    family: str, models: dict[str, str], planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, text, err = said(capsys, planted, "--model", models[family], "--k", "3", "--output", out)
    assert code == 0, err
    value = json.loads((out / "clusters.json").read_text(encoding="utf-8"))
    (side,) = value["models"]
    assert side["k"] == 3 and side["agreement"]["nmi"]["value"] == pytest.approx(1) and value["rows"] == 21
    assert {frozenset(row["words"]) for row in side["clusters"]} == {frozenset(w.split()) for w in WORDS.values()}
    assert [row["labels"][0][1] for row in side["clusters"]] == [7, 7, 7] and len(side["clusters"][0]["examples"]) == 3
    lines = [json.loads(line) for line in (out / "clusters.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 21 and {line["cluster"] for line in lines} == {0, 1, 2}
    texts = texts_of(planted)
    kinds = {(line["cluster"], texts.labels[texts.names.index(line["id"])]) for line in lines}
    assert len(kinds) == 3  # each cluster is one label
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in (
        "3 clusters, untuned",
        "The rows by cluster",
        "The same by label",
        "ARI 1.000",
    ):
        assert words in page, words
    assert "default-src 'none'" in page and page.count("* plotly.js v") == 1
    assert "NMI 1.000 [1.000–1.000]" in text and "rows of train, validation, test" in err
    assert said(capsys, planted, "--model", models[family], "--output", out)[0] == 2  # not written over
    code, text, _ = said(
        capsys, planted, "--model", models[family], "--k", "3", "--output", out, "--overwrite", "--json"
    )
    assert code == 0 and json.loads(text)["models"] == value["models"]  # the same again


def test_hdbscan_and_few_rows(
    models: dict[str, str], planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [planted, "--model", models["masked"], "--algorithm", "hdbscan", "--json"]
    (side,) = json.loads(said(capsys, *words, "--min-size", "3")[1])["models"]
    assert side["k"] >= 2 and side["tried"] == []
    words = [planted, "--model", models["masked"], "--rows", "9", "--k", "2-3", "--output", tmp_path / "few"]
    value = json.loads(said(capsys, *words, "--json")[1])
    assert [k for k, _ in value["models"][0]["tried"]] == [2, 3]
    assert "Mean silhouette of each k" in (tmp_path / "few" / "report.html").read_text(encoding="utf-8")
    assert value["rows"] == 9 and "9 of 21 rows, drawn with seed 0" in value["notes"]


def test_files_and_what_their_text_is(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,body,n\n7,the film,1\n8,,2\n9,a day,3\n10,the sea,4\n", encoding="utf-8")
    found = texts_of(table, wanted="body")
    assert found.texts == ["the film", "a day", "the sea"] and found.names == ["7", "9", "10"] and found.labels is None
    assert found.notes == ["empty rows skipped: 1"]
    lines = tmp_path / "lines.txt"
    lines.write_text("one\n\n two \nthree\n", encoding="utf-8")
    found = texts_of(lines)
    assert found.texts == ["one", " two ", "three"] and found.names == [1, 3, 4]


def refusals(models: dict[str, str], planted: Path, tmp_path: Path) -> list[tuple[list[Any], str]]:
    model = ["--model", models["masked"]]
    for name, text in {
        "two.txt": "one\ntwo\n", "empty.txt": "\n\n", "blank.csv": "text\n\"\"\n\" \"\n", "numbers.jsonl": '{"n": 1}\n',
        "both.csv": "a,b\nx,y\n", "mixed.jsonl": '{"text": "a"}\n{"text": 3}\n', "five.txt": "a\nb\nc\nd\ne\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    five = tmp_path / "five.txt"
    return [
        ([planted], "--model: a model wanted"),
        ([tmp_path / "two.txt", *model], "2 rows; three or more wanted"),
        ([five, *model, "--k", "6"], "--k 6: .*has only 5 rows"),
        ([five, *model, "--k", "1"], "--k 1: two clusters or more"),
        ([tmp_path / "empty.txt", *model], "the file is empty"),
        ([tmp_path / "blank.csv", *model], "every row is empty"),
        ([tmp_path / "numbers.jsonl", *model], "no text field; the columns are n"),
        ([tmp_path / "both.csv", *model], "which column is the text"),
        ([tmp_path / "both.csv", *model, "--field", "c"], "no column 'c'; the columns are a, b"),
        ([tmp_path / "mixed.jsonl", *model, "--field", "text"], "row 2: field 'text' holds 3"),
        ([tmp_path / "none.csv", *model], "no such file"),
        ([five, *model, "--split", "test"], "a file has no splits"),
        (["no-such-task", *model], "no-such-task"),
        ([planted, *model, "--field", "body"], "has no field 'body'"),
        ([planted, "--model", tmp_path], "cannot be read|no config"),
        ([planted, *model, "--min-size", "4"], "for --algorithm hdbscan"),
        ([planted, *model, "--algorithm", "hdbscan", "--k", "4"], "HDBSCAN finds the number"),
        ([planted, *model, "--output", tmp_path / "full"], "no folder of clusters"),
        ([planted, *model, "--tuned", tmp_path], "not a finished run"),
    ]


def test_bad_input_is_one_line(
    models: dict[str, str], planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    for words, why in refusals(models, planted, tmp_path):
        code, out, err = said(capsys, *words)
        (line,) = [line for line in err.splitlines() if line.startswith("error:")]
        assert code == 2 and re.search(why, line), (words, err)
        assert out == ""


def tuned_run(folder: Path, model: str, planted: Path, method: Any, **keys: Any) -> Path:
    recipe = {
        "model": model, "task": str(planted), "method": method, "output": str(folder),
        "training": {"steps": 3, "batch_size": 4, "precision": "fp32", "learning_rate": 0.01},
        "evaluation": {"baselines": False}, **keys,
    }  # fmt: skip
    file = folder.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert main(["tune", str(file)]) == 0
    return folder


@pytest.mark.parametrize(
    ("method", "family"),
    [("full", "seq2seq"), ("lora", "causal"), ("head", "masked"), ({"name": "prompt-tuning", "length": 3}, "seq2seq"),
     ({"name": "prompt-tuning", "length": 3}, "causal"), ({"name": "prefix-tuning", "length": 3}, "masked")],
)  # fmt: skip
def test_tuned_beside_untuned(
    method: Any, family: str, models: dict[str, str], planted: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tuned_run(tmp_path / "run", models[family], planted, method)
    sides = both_sides(texts_of(planted), None, run, None)
    assert [side.label for side in sides] == ["untuned", "tuned"] and sides[1].vectors.shape == (21, 32)
    assert not np.allclose(sides[0].vectors, sides[1].vectors, atol=1e-4)
    if method == "head":  # reads the bare text
        assert np.allclose(sides[0].vectors, plain_side(texts_of(planted), models[family], None).vectors, atol=1e-5)
    out = tmp_path / "out"
    code, text, err = said(capsys, planted, "--tuned", run, "--k", "3", "--split", "train", "--output", out)
    assert code == 0, err
    assert "tuned: 3 clusters" in text and "Tuned minus untuned: NMI" in text
    value = json.loads((out / "clusters.json").read_text(encoding="utf-8"))
    assert [one["label"] for one in value["models"]] == ["untuned", "tuned"] and "ari" in value["tuned_minus_untuned"]
    first = json.loads((out / "clusters.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert set(first) == {"id", "untuned", "tuned"}
    assert "3 clusters, tuned" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("method", "family", "why"),
    [("none", "causal", "method none tunes nothing"),
     ({"name": "head", "backbone": "frozen"}, "masked", "only the head"),
     ({"name": "prefix-tuning", "length": 2}, "seq2seq", "prefix stands before the decoder"),
     ({"name": "prompt-tuning", "length": 2, "ensemble": 2}, "causal", "2 prompts answer together")],
)  # fmt: skip
def test_runs_without_vectors_of_their_own(
    method: Any, family: str, why: str, models: dict[str, str], planted: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tuned_run(tmp_path / "run", models[family], planted, method)
    code, _, err = said(capsys, planted, "--tuned", run)
    assert code == 2 and why in err
    if method == "none":
        assert "leave --model out" in said(capsys, planted, "--tuned", run, "--model", "other")[2]
        assert "--max-tokens: with --tuned" in said(capsys, planted, "--tuned", run, "--max-tokens", "9")[2]


def test_a_prompt_that_the_encoder_does_not_see(
    models: dict[str, str], planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = "{{ text }} topic: {{ soft(3, side='decoder') }}{{ answer }}"
    run = tuned_run(tmp_path / "run", models["seq2seq"], planted, "prompt-tuning", template=template)
    assert "leaves the model's vectors as they were" in said(capsys, planted, "--tuned", run)[2]
