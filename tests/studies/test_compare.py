"""A whole study on a tiny model: its files, its resume, a trial that fails."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from forgetting_parts import battery
from tiny import tiny_folder, tiny_rows

from tunewright.backbones.vectors import SentenceEncoder
from tunewright.cli.compare import show_forgetting
from tunewright.errors import InputError, MachineError
from tunewright.forgetting import measure
from tunewright.recipe import Study
from tunewright.settings import validate
from tunewright.studies import compare as compare_module
from tunewright.studies.compare import compare
from tunewright.studies.grid import trials_of


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the sentence encoder cannot be had."""

    def refuse(*_: object) -> SentenceEncoder:
        raise MachineError("no network")

    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", refuse)


@pytest.fixture
def study(tmp_path: Path, no_encoder: None) -> Path:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    task = {
        "name": "topics", "path": str(data), "kind": "classify", "fields": {"text": "text", "label": "label"},
        "templates": {"plain": "{{ text }}. topic: {{ answer }}"},
    }  # fmt: skip
    value = {
        "title": "Tiny",
        "base": {
            "model": str(tiny_folder(tmp_path / "model", "causal")),
            "training": {"steps": 3, "batch_size": 4, "learning_rate": 0.01},
        },
        "tasks": [{"task": task}],
        "methods": [{"name": "prompt-tuning", "length": 3}, "lora", "none"],
        "seeds": 2,
        "output": str(tmp_path / "out"),
    }
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(value), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("template", "drawn"),
    [
        (None, False),
        ("plain", False),
        ("{{ text }} {{ answer_choices }} {{ answer }}", False),
        ("{{ ['Tell', 'Say'] | choice }}: {{ text }} {{ answer }}", True),
        (["plain", "{{ text }}! {{ answer }}"], True),
        ("found.yaml", True),
        ({"file": "found.yaml"}, True),
    ],
)
def test_zero_shot_answers_are_shared_by_seeds_unless_they_draw(study: Path, template: object, drawn: bool) -> None:
    tree = yaml.safe_load(study.read_text(encoding="utf-8"))
    tree["base"]["template"] = template
    first, other = (
        next(trial for trial in trials_of(validate(Study, tree, "study"), "study") if trial.seed == seed)
        for seed in (0, 1)
    )
    assert (compare_module._asked_alike(first) != compare_module._asked_alike(other)) == drawn


def test_a_study_writes_results_and_a_report(study: Path) -> None:
    result = compare(study)
    out = study.parent / "out"
    assert result.report == out / "report.html" and result.failed == []
    [table] = result.tables
    assert [(row["label"], row["kind"], row["seeds"]) for row in table["rows"]] == [
        ("majority class", "baseline", 2),
        ("TF-IDF + logistic regression", "baseline", 2),
        ("zero-shot", "zero-shot", 1),
        ("prompt-tuning", "tuned", 2),
        ("lora", "tuned", 2),
    ]
    with open(out / "results.csv", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {(line["method"], line["metric"]) for line in lines} >= {("lora", "accuracy"), ("zero-shot", "macro-f1")}
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert "examples" not in results["tasks"][0] and results["title"] == "Tiny"
    assert any("MiniLM vectors" in note and "no network" in note for note in results["notes"])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "prompt-tuning" in page and "zero-shot" in page and "topics" in page
    # The value in the table is the mean of what the trials' own files say.
    values = [
        json.loads((out / f"trials/topics/lora/seed-{seed}/after.json").read_text(encoding="utf-8"))["metrics"][
            "accuracy"
        ]
        for seed in (0, 1)
    ]
    shown = next(row for row in table["rows"] if row["label"] == "lora")["metrics"]["accuracy"]["value"]
    assert shown == pytest.approx(sum(value["value"] for value in values) / 2)


def test_the_untuned_model_is_asked_once(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bool] = []
    real = compare_module.run

    def spy(*args: object, before: object = None, **keys: object) -> object:
        given.append(before is not None)
        return real(*args, before=before, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(compare_module, "run", spy)
    compare(study)
    assert given == [False] + [True] * 5


def test_finished_trials_are_kept(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(study)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished trial ran again")

    monkeypatch.setattr(compare_module, "run", never)
    assert len(compare(study, resume=True).tables[0]["rows"]) == 5


def test_a_verbalizers_zero_shot_is_that_of_the_label_words(study: Path) -> None:
    result = compare(study, overrides=["methods=[soft-verbalizer, lora]", "seeds=1"])
    assert result.failed == []
    assert [row["label"] for row in result.tables[0]["rows"]][-3:] == ["zero-shot", "soft-verbalizer", "lora"]
    both = [study.parent / f"out/trials/topics/{name}/seed-0/before.json" for name in ("soft-verbalizer", "lora")]
    assert both[0].read_text() == both[1].read_text()


def test_a_failed_trial_does_not_end_the_study(study: Path) -> None:
    methods = "methods=[head, {name: prompt-tuning, length: 3}]"
    result = compare(study, overrides=[methods, "seeds=1", "base.training.learning_rate=1e30"])
    assert [line.partition(": seed 0: step 2: the gradient is nan")[0] for line in result.failed] == ["head on topics"]
    assert [row["label"] for row in result.tables[0]["rows"] if row["metrics"]][-1] == "prompt-tuning"
    assert (study.parent / "out" / "report.html").is_file()


def test_the_folder_is_the_studys_own(study: Path) -> None:
    compare(study, overrides=["seeds=1", "methods=[none]"])
    with pytest.raises(InputError, match="already there"):
        compare(study, overrides=["seeds=1", "methods=[none]"])
    with pytest.raises(InputError, match="holds another study"):
        compare(study, resume=True)
    (study.parent / "other").mkdir()
    (study.parent / "other" / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"not a study's folder"):
        compare(study, output=study.parent / "other", overwrite=True)


def test_a_cell_of_several_tasks_has_a_table_for_each(study: Path) -> None:
    """Methods over one run of two tasks, beside the first task alone."""
    value = yaml.safe_load(study.read_text())
    [first] = value["tasks"]
    second = {"task": {**first["task"], "name": "themes"}, "rate": 2.0}
    shared = {"name": "prompt-tuning", "length": 3, "shared": True}
    value |= {
        "tasks": [first, {"tasks": [first, second], "label": "both"}], "seeds": 1,
        "methods": [{"name": "prompt-tuning", "length": 3}, {"method": shared, "label": "shared", "tasks": ["both"]}],
    }  # fmt: skip
    study.write_text(yaml.safe_dump(value), encoding="utf-8")
    result = compare(study)
    assert result.failed == []
    cheap = ["majority class", "TF-IDF + logistic regression", "zero-shot"]
    assert [(table["task"], [row["label"] for row in table["rows"]]) for table in result.tables] == [
        ("topics", [*cheap, "prompt-tuning"]),
        ("topics (both)", [*cheap, "prompt-tuning", "shared"]),
        ("themes (both)", [*cheap, "prompt-tuning", "shared"]),
    ]
    out = study.parent / "out"
    after = json.loads((out / "trials/both/shared/seed-0/after.json").read_text())["tasks"]
    for table in result.tables[1:]:
        accuracy = table["rows"][-1]["metrics"]["accuracy"]["value"]
        assert accuracy == after[table["task"].removesuffix(" (both)")]["metrics"]["accuracy"]["value"]
    assert "both: one run tunes all these tasks" in (out / "report.html").read_text()
    assert [row["seeds"] for table in result.tables for row in table["rows"]] == [1] * 14


def test_forgetting_of_all_methods_stands_in_one_table(study: Path, own_cache: None, monkeypatch: Any) -> None:
    asked: list[bool] = []
    real = measure._ask

    def spy(subject: Any, items: Any, attached: bool, title: Any) -> Any:
        asked.extend([attached] * bool(items))
        return real(subject, items, attached, title)

    monkeypatch.setattr(measure, "_ask", spy)
    value = yaml.safe_load(study.read_text())
    value["base"]["evaluation"] = {"battery": battery(), "baselines": False}
    value["methods"] = value["methods"][:2]
    study.write_text(yaml.safe_dump(value), encoding="utf-8")
    result = compare(study)
    assert result.failed == []
    assert asked.count(False) == 1 and asked.count(True) == 4  # before: once for all runs
    [table] = json.loads((study.parent / "out" / "results.json").read_text())["forgetting_tables"]
    assert [(one["label"], one["seeds"]) for one in table["methods"]] == [("prompt-tuning", 2), ("lora", 2)]
    assert [one["task"] for one in table["columns"]] == ["other-choose", "other-classify", "text"]
    assert table["mean_tasks"] == ["other-choose", "other-classify"]
    for one, row in zip(table["methods"], result.tables[0]["rows"][1:]):
        assert one["gain"]["value"] == row["difference"]["value"] and one["gain"]["low"] == row["difference"]["low"]
        changes = [one["changes"][name]["value"] for name in table["mean_tasks"]]
        assert one["mean"]["value"] == pytest.approx(sum(changes) / 2)
    page = (study.parent / "out" / "report.html").read_text()
    assert "What was forgotten: topics" in page and "Each task of the battery" in page
    assert any("topics: whether" in line or "forgot on 2 other tasks" in line for line in result.verdict)
    # Two runs of this study in one table of the command line.
    show_forgetting(table)
