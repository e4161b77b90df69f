"""Labels of a tuned model for rows without any: which it is sure of, and what becomes of the file's columns."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ppt_parts import tuning_recipe

from tunewright.cli.main import main
from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.pretraining.ppt.pool import load_labeller, sentences_of, word_of
from tunewright.pretraining.ppt.recipe import LabellerBlock
from tunewright.pretraining.pseudo_labels import Labeller, pseudo_labels
from tunewright.runs import probabilities as module
from tunewright.runs.probabilities import confident
from tunewright.runs.run import run

TEXTS = ["the film and the goal", "  ", "a day and the bank", "the sea and the snow", "the dog and the rain"]


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    run(tuning_recipe(tmp_path, labels=["sport", "money", "weather"]), tmp_path / "run")
    return tmp_path / "run"


def test_confident() -> None:
    assert confident(("a", "b"), (0.1, 0.9), 0.9) == ("b", 0.9)
    assert confident(("a", "b"), (0.2, 0.8), 0.9) is None
    assert confident(("a", "b"), None, 0.0) is None


def test_probabilities_are_those_of_the_predictions(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labeller = Labeller.load(tuned)
    with progress("x", 5) as bar:
        found = list(labeller.ask_texts(TEXTS, bar))
    assert found[1] is None  # blank
    assert all(math.isclose(sum(p), 1) and len(p) == 3 for p in found if p is not None)
    monkeypatch.setattr(module, "CHUNK", 2)
    with progress("x", 5) as bar:
        chunked = list(labeller.ask_texts(TEXTS, bar))
    assert all(a == pytest.approx(b, abs=1e-5) for a, b in zip(found, chunked) if a and b) and chunked[1] is None
    best = max(max(p) for p in found if p is not None)
    rows = pseudo_labels(tuned, TEXTS, best - 1e-4)
    assert rows and all(row["confidence"] >= best - 1e-4 for row in rows)
    everything = pseudo_labels(tuned, TEXTS, 0.0)
    assert [row["text"] for row in everything] == [text for text in TEXTS if text.strip()]
    assert {row["label"] for row in everything} <= {"sport", "money", "weather"}


def test_the_command_writes_training_rows(tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The label stands under the data's own name, the other columns stay."""
    rows = [{"id": 10 + i, "text": text, "source": {"page": i}} for i, text in enumerate(TEXTS)]
    file = tmp_path / "new.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = tmp_path / "labelled.jsonl"
    assert main(["label", str(tuned), str(file), "--output", str(out), "--threshold", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["labelled"], sum(told["labels"].values())) == (5, 4, 4)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == [10, 12, 13, 14]
    assert lines[0].keys() == {"id", "text", "source", "label", "confidence"} and lines[0]["source"] == {"page": 0}
    assert main(["label", str(tuned), str(file), "--output", str(out), "--threshold", "1.0"]) == 0
    assert "0 of 5 rows at 1 or more: sport 0, money 0, weather 0" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "{none}"], "none.jsonl: no such file"),
        (["{folder}", "{file}"], "no tuned/tuned.json: not a finished run"),
        (["{run}", "{wrong}"], "no column 'text'"),
        (["{run}", "{file}", "--threshold", "1.5"], "'--threshold': Input should be less than or equal to 1"),
    ],
)
def test_the_commands_errors(
    tmp_path: Path, tuned: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "file.jsonl").write_text('{"text": "the dog"}\n', encoding="utf-8")
    (tmp_path / "wrong.jsonl").write_text('{"words": "the dog"}\n', encoding="utf-8")
    names = {"run": tuned, "folder": tmp_path} | {n: tmp_path / f"{n}.jsonl" for n in ("file", "wrong", "none")}
    code = main(["label", *(a.format(**names) for a in arguments), "--output", str(tmp_path / "out.jsonl")])
    assert code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_two_fields_are_one_too_many(tmp_path: Path) -> None:
    block = tuning_recipe(tmp_path, templates={"plain": "{{ text }} {{ text2 }} {{ answer }}"}, fields={
        "text": "text", "text2": "text", "label": "label"})  # fmt: skip
    run(block, tmp_path / "run")
    with pytest.raises(InputError, match="run: its template shows text, text2; one field of text wanted"):
        pseudo_labels(tmp_path / "run", ["x"])


# ---- from probabilities to five words ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "word"),
    [(0.0, 0), (0.05, 0), (0.07, None), (0.1, 1), (0.3, 1), (0.35, None), (0.5, 2), (0.7, 3), (0.94, None), (0.95, 4),
     (1.0, 4)],
)  # fmt: skip
def test_two_labels_by_bands(good: float, word: int | None) -> None:
    assert word_of((1 - good, good), [0, 1], LabellerBlock(run="x")) == word
    assert word_of((good, 1 - good), [1, 0], LabellerBlock(run="x")) == word  # `order` names the better one last


@pytest.mark.parametrize(
    ("probabilities", "word"),
    [
        ((0.96, 0.01, 0.01, 0.01, 0.01), 0),
        ((0.94, 0.02, 0.02, 0.01, 0.01), None),  # the authors' .95 for the lowest
        ((0.1, 0.6, 0.1, 0.1, 0.1), 1),
        ((0.1, 0.1, 0.5, 0.2, 0.1), None),  # .5 for the middle ones: more is wanted
        ((0.0, 0.1, 0.1, 0.1, 0.7), None),
        ((0.0, 0.1, 0.1, 0.05, 0.75), 4),  # .7 for the highest
    ],
)
def test_five_labels_by_thresholds(probabilities: tuple[float, ...], word: int | None) -> None:
    assert word_of(probabilities, range(5), LabellerBlock(run="x")) == word
    assert word_of(None, range(5), LabellerBlock(run="x")) is None


def test_the_order_of_a_labellers_labels(tmp_path: Path) -> None:
    file = tmp_path / "classify.jsonl"
    recipe = tuning_recipe(tmp_path, labels=["weather", "sport"])
    rows = [row for line in file.read_text().splitlines() if (row := json.loads(line))["label"] != "money"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(recipe, tmp_path / "two")
    where = str(tmp_path / "two")
    assert load_labeller(LabellerBlock(run=where))[1] == [0, 1]
    assert load_labeller(LabellerBlock(run=where, order=["sport", "weather"]))[1] == [1, 0]
    with pytest.raises(InputError, match=r"labeller.order: sport, rain are not its labels weather, sport"):
        load_labeller(LabellerBlock(run=where, order=["sport", "rain"]))


def test_sentences_to_be_labelled() -> None:
    texts: Any = iter(["Short one. This one is long enough. This one is long enough.", "Another one is as long.", "x"])
    assert sentences_of(texts, "en", 2) == ["This one is long enough.", "Another one is as long."]
    assert next(texts) == "x"  # no more is read than needed
