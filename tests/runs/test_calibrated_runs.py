"""Calibrated scores and ensembles of templates from a recipe to a run's folder and back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_parts import SOFT, read, recipe_of

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asking, predict
from tunewright.recipe import Recipe
from tunewright.runs.folder import RunFolder
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.run import run
from tunewright.runs.scores import asking_for
from tunewright.settings import validate
from tunewright.tasks.task import Rows

BOTH = ["plain", "short"]
HALF = {"splits": {"validation": 0.5}}
WEIGHTED = {"ensemble": "weighted", "calibration": "contextual", "normalisation": "token"}


def accuracies(prepared: Prepared, rows: Rows, **asking: Any) -> dict[str, float]:
    """Each template's share of right answers, asked one by one."""
    found = {}
    for template in prepared.templates:
        encoder = replace(prepared, templates=[template]).encoder(rows)
        said = predict(prepared.tuner, encoder, prepared.task, Asking(**asking))
        found[template.name] = sum(p.prediction == p.target for p in said) / len(said)
    return found


def test_a_weighted_run_keeps_its_weights_and_answers_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(SOFT, template=BOTH, evaluation=WEIGHTED, task=HALF)
    result = run(recipe, tmp_path / "run")
    prepared, folder = result.prepared, tmp_path / "run"
    expected = accuracies(prepared, prepared.validation(), calibration="contextual", normalisation="token")
    kept = read(folder / "tuned", "tuned.json")
    assert kept["template_accuracy"] == pytest.approx(expected) and max(expected.values()) > 0
    told = capsys.readouterr().err.replace("\n", " ")
    assert f"accuracy of each template on validation: plain {expected['plain']:.3g}, short" in told

    again = load_kept(folder)
    assert again.template_accuracy == pytest.approx(tuple(expected.values()))
    assert asking_for(again).weights == again.template_accuracy
    said = predict(again.tuner, again.encoder(prepared.asked_rows()), again.task, asking_for(again))
    written = RunFolder(folder).predictions("after")
    assert [p.id for p in said] == [p.id for p in written] == [p.id for p in result.after]
    for ours, theirs in zip(said, written):
        assert ours.prediction == theirs.prediction and ours.scores == pytest.approx(theirs.scores, abs=1e-5)
        assert len(ours.scores or ()) == 3
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert "normalisation token, calibration contextual, ensemble weighted" in report
    assert read(folder, "after.json").keys() == {"task", "split", "n", "metrics"}

    rows = tmp_path / "new.jsonl"
    rows.write_text(json.dumps({"text": "the sea and the rain"}) + "\n", encoding="utf-8")
    assert main(["predict", str(folder), str(rows)]) == 0
    line = json.loads(capsys.readouterr().out)
    (alone,) = predict(
        again.tuner, again.encoder(Rows({"text": ["the sea and the rain"]}, ["x"])), again.task, asking_for(again)
    )
    assert alone.scores is not None and line["prediction"] == alone.prediction
    assert sum(line["scores"].values()) == pytest.approx(1)

    for override in ("evaluation.calibration=pmi", "evaluation.ensemble=vote"):
        assert main(["evaluate", str(folder), "--set", override]) == 0
        assert json.loads((folder / "evaluation-test.json").read_text())["n"] == len(written)
    told = capsys.readouterr().err.replace("\n", " ")
    assert told.count("accuracy of each template on validation") == 1  # for pmi anew; a vote has no weights


def test_the_test_rows_have_no_part_in_the_weights() -> None:
    prepared = prepare(recipe_of("none", template=BOTH, evaluation=WEIGHTED, task=HALF))
    task, target = prepared.task, prepared.task.target
    first = asking_for(prepared).weights
    rows = task.split("test")
    wrong = Rows({**rows.columns, target: list(reversed(rows.columns[target]))}, rows.ids)
    assert asking_for(replace(prepared, task=replace(task, splits={**task.splits, "test": wrong}))).weights == first
    checked = task.split("validation")
    said = accuracies(prepared, checked, calibration="contextual", normalisation="token")
    assert first == pytest.approx(tuple(said.values()))
    first_label = list(checked.columns[target])[:1] * len(checked)
    other = replace(
        prepared,
        template_accuracy=None,
        task=replace(
            task, splits={**task.splits, "validation": Rows({**checked.columns, target: first_label}, checked.ids)}
        ),
    )
    assert asking_for(other).weights != first and other.template_accuracy == asking_for(other).weights


@pytest.mark.parametrize("evaluation", [{"calibration": "pmi"}, {"ensemble": "mean"}])
def test_before_and_after_are_asked_the_same_way(tmp_path: Path, evaluation: dict[str, str]) -> None:
    """With a method that trains nothing both are the same, and they are not what is said without."""
    result = run(recipe_of("none", template=BOTH, evaluation=evaluation), tmp_path / "run")
    assert result.before == result.after
    prepared = result.prepared
    plain = predict(prepared.tuner, prepared.encoder(prepared.asked_rows()), prepared.task, Asking())
    assert all(_differ(a, b) for a, b in zip(plain, result.after, strict=True))


def _differ(one: Prediction, other: Prediction) -> bool:
    return one.id == other.id and one.scores != other.scores


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        (
            "generate",
            {"evaluation": {"calibration": "pmi"}},
            r"evaluation\.calibration: pmi wants choices; .* generate",
        ),
        ("regress", {"evaluation": {"ensemble": "vote"}}, r"evaluation\.ensemble: vote wants choices; .* regress"),
        ("classify", {"evaluation": {"ensemble": "mean"}}, r"evaluation\.ensemble: mean wants several templates"),
        (
            "classify",
            {"evaluation": {"calibration": "pmi"}, "template": ["{{ text }} {{ answer }}"]},
            r"evaluation\.calibration pmi: row .* no tokens before the answer",
        ),
    ],
)
def test_what_cannot_be_is_said_before_a_folder_is_made(
    tmp_path: Path, kind: Any, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(recipe_of("none", kind=kind, **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_task_without_choices_beside_one_with(tmp_path: Path) -> None:
    """In a run of several what can be calibrated is; the rest is asked as ever."""
    trees = [recipe_of("none", kind=kind).model_dump(exclude_unset=True) for kind in ("classify", "generate")]
    evaluation = {**trees[0]["evaluation"], "calibration": "contextual", "ensemble": "mean"}
    tasks = [{"task": tree.pop("task"), "template": BOTH} for tree in trees]
    result = run(validate(Recipe, {**trees[0], "tasks": tasks, "evaluation": evaluation}, "several"), tmp_path / "run")
    assert [(p.task, p.scores is not None) for p in result.after[::7]] == [
        ("tiny-classify", True), ("tiny-generate", False)
    ]  # fmt: skip
