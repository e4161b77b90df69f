"""A study over shots: a table for each number, one curve over all of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import tiny_folder, tiny_rows

from tunewright.errors import InputError, MachineError
from tunewright.recipe import Study
from tunewright.reports.shots import shots_figures
from tunewright.reports.styles import assign_styles
from tunewright.settings import validate
from tunewright.studies.compare import _asked_alike, compare
from tunewright.studies.grid import trials_of

BASE = {"model": "smollm2-135m-instruct"}


def study(**keys: Any) -> Study:
    return validate(Study, {"base": BASE, "tasks": ["sst2"], "methods": ["lora", "head"], "seeds": 1} | keys, "study")


def test_every_method_with_each_number_of_rows() -> None:
    trials = trials_of(study(shots=[4, 16, None]), "study")
    assert [(t.task, t.label, t.recipe.shots, t.shots, str(t.folder)) for t in trials] == [
        ("sst2, 4 shots", "lora", 4, ("sst2", 4), "trials/sst2-4-shots/lora/seed-0"),
        ("sst2, 4 shots", "head", 4, ("sst2", 4), "trials/sst2-4-shots/head/seed-0"),
        ("sst2, 16 shots", "lora", 16, ("sst2", 16), "trials/sst2-16-shots/lora/seed-0"),
        ("sst2, 16 shots", "head", 16, ("sst2", 16), "trials/sst2-16-shots/head/seed-0"),
        ("sst2, all rows", "lora", None, ("sst2", None), "trials/sst2-all-rows/lora/seed-0"),
        ("sst2, all rows", "head", None, ("sst2", None), "trials/sst2-all-rows/head/seed-0"),
    ]
    assert [t.shots for t in trials_of(study(), "study")] == [None, None]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"shots": [4, 4]}, "shots: the same number stands there twice"),
        ({"shots": [0]}, "shots"),
        ({"shots": []}, "shots"),
        ({"shots": [4], "base": BASE | {"shots": 8}}, "shots: given for the whole study and inside it"),
        ({"shots": [4], "methods": [{"method": "lora", "shots": 8}]}, "shots: given for the whole study and inside it"),
    ],
)
def test_shots_that_make_no_sense(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        study(**keys)


def test_the_report_shows_the_curve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no network")

    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", refuse)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    task = {
        "name": "topics", "path": str(data), "kind": "classify", "fields": {"text": "text", "label": "label"},
        "templates": {"plain": "{{ text }}. topic: {{ answer }}"},
    }  # fmt: skip
    value = {
        "base": {"model": str(tiny_folder(tmp_path / "model", "causal")),
                 "training": {"steps": 2, "batch_size": 4, "learning_rate": 0.01}},
        "tasks": [{"task": task}], "methods": ["lora"], "seeds": 2, "shots": [1, 4], "output": str(tmp_path / "out"),
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(value), encoding="utf-8")
    result = compare(file)
    assert result.failed == []
    assert [table["task"] for table in result.tables] == ["topics, 1 shot", "topics, 4 shots"]
    tasks = json.loads((tmp_path / "out/results.json").read_text())["tasks"]
    assert [(task["shots_of"], task["train_rows"]) for task in tasks] == [(["topics", 1], 3), (["topics", 4], 12)]
    [figure] = shots_figures([{**task, "examples": []} for task in tasks], assign_styles(tasks))
    assert figure["title"] == "topics: score by training rows, with 95 % intervals"
    assert figure["layout"]["xaxis"]["ticktext"] == ["3<br>1 a class", "12<br>4 a class"]
    trace = next(trace for trace in figure["data"] if trace["name"] == "lora")
    rows = [next(row for row in task["table"] if row["label"] == "lora")["metrics"]["accuracy"] for task in tasks]
    assert trace["y"] == pytest.approx([100 * row["value"] for row in rows])
    assert trace["error_y"]["array"] == pytest.approx([100 * (row["high"] - row["value"]) for row in rows])
    assert trace["x"][1] - trace["x"][0] == pytest.approx(2)  # log2 of 12 / 3
    assert "Score against training rows" in (tmp_path / "out/report.html").read_text()
    assert shots_figures(tasks[:1], assign_styles(tasks)) == []  # one size is no curve


def test_a_cell_of_several_tasks_has_a_curve_for_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no network")

    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", refuse)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    tasks = [
        {"task": {"name": name, "path": str(data), "kind": "classify", "fields": {"text": "text", "label": "label"},
                  "templates": {"plain": "{{ text }}. topic: {{ answer }}"}}}
        for name in ("topics", "themes")
    ]  # fmt: skip
    value = {
        "base": {"model": str(tiny_folder(tmp_path / "model", "causal")), "evaluation": {"baselines": False},
                 "training": {"steps": 1, "batch_size": 4, "learning_rate": 0.01}},
        "tasks": [{"tasks": tasks, "label": "both"}], "methods": ["lora"], "seeds": 1, "shots": [1, None],
        "output": str(tmp_path / "out"),
    }  # fmt: skip
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(value), encoding="utf-8")
    assert compare(file).failed == []
    found = json.loads((tmp_path / "out/results.json").read_text())["tasks"]
    assert [(task["task"], task["shots_of"]) for task in found] == [
        ("topics (both, 1 shot)", ["topics (both)", 1]),
        ("themes (both, 1 shot)", ["themes (both)", 1]),
        ("topics (both, all rows)", ["topics (both)", None]),
        ("themes (both, all rows)", ["themes (both)", None]),
    ]
    figures = shots_figures([{**task, "examples": []} for task in found], assign_styles(found))
    assert [figure["title"].partition(":")[0] for figure in figures] == ["topics (both)", "themes (both)"]


def test_untuned_answers_that_depend_on_the_rows_are_asked_for_each_size() -> None:
    """An untuned head's numbers lie around its training rows' mean; `weighted` weighs by as many validation rows."""
    head, lora = (
        {_asked_alike(t) for t in trials_of(study(shots=[4, 16], methods=[method]), "study")}
        for method in ("head", "lora")
    )
    assert (len(head), len(lora)) == (2, 1)
    weighted = study(shots=[4, 16], methods=["lora"], base=BASE | {"evaluation": {"ensemble": "weighted"}})
    assert len({_asked_alike(t) for t in trials_of(weighted, "study")}) == 2
