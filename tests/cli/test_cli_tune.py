"""From a recipe to a run, its scores again, its answers for new rows, and a study."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_files import Run, classify_recipe, write_recipe, write_rows
from tiny import tiny_rows

KINDS = ("classify", "choose", "regress", "generate", "tag")
TEMPLATES = {
    "classify": "{{ text }}\ntopic: {{ answer }}",
    "choose": "{{ text }}\ntopic: {{ answer }}",
    "regress": "{{ text }}\nscore: {{ answer }}",
    "generate": "{{ text }}\nanswer: {{ answer }}",
    "tag": "{{ tokens | join(' ') }}\nnames: {{ answer }}",
}


def recipe_of(kind: str, folder: Path, model: Path, **keys: Any) -> Path:
    tree = classify_recipe(folder, model, **keys)
    write_rows(folder / "rows.jsonl", tiny_rows(kind))
    tree["task"] = {"path": str(folder / "rows.jsonl"), "kind": kind, "templates": {"plain": TEMPLATES[kind]}}
    tree["evaluation"]["max_new_tokens"] = 4
    return write_recipe(folder, tree)


@pytest.fixture
def tuned(cli: Run, llama: Path, tmp_path: Path) -> Path:
    """A finished run on the classify rows."""
    assert cli("tune", write_recipe(tmp_path, classify_recipe(tmp_path, llama))).code == 0
    return tmp_path / "out"


def test_tune_prints_its_result(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama))
    done = cli("tune", recipe)
    assert done.code == 0, done.err
    for words in ("prompt-tuning on rows (7 rows of test", "before", "after", "accuracy", "macro-F1"):
        assert words in done.out
    after = json.loads((tmp_path / "out" / "after.json").read_text())
    assert after["n"] == 7 and after["split"] == "test"
    assert f"{100 * after['metrics']['accuracy']['value']:.1f} [" in done.out
    assert "trained 128 parameters" in done.out and "4 tokens added to each request" in done.out
    assert f"folder: {tmp_path / 'out'}" in done.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in done.out
    assert (tmp_path / "out" / "report.html").is_file()


def test_tune_json_and_resume_of_a_finished_run(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, llama))
    first = cli("tune", recipe, "--json")
    assert first.code == 0
    assert first.json["after"] == json.loads((tmp_path / "out" / "after.json").read_text())["metrics"]
    assert first.json["cost"] == json.loads((tmp_path / "out" / "cost.json").read_text())
    assert (first.json["method"], first.json["n"], first.json["baselines"]) == ("prompt-tuning", 7, {})
    again = cli("tune", recipe, "--resume", "--json")
    assert again.code == 0 and again.json == first.json
    assert cli("tune", recipe).code == 2
    other = cli("tune", recipe, "--resume", "--set", "method.length=5")
    assert other.code == 2 and "another recipe" in other.err
    assert (
        cli("tune", recipe, "--overwrite", "--set", "method.length=5", "--json").json["cost"]["trained_parameters"]
        == 160
    )


def test_where_a_run_goes(cli: Run, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = classify_recipe(tmp_path, llama, method="none")
    del tree["output"]
    recipe = write_recipe(tmp_path, tree, "zero.yaml")
    assert cli("tune", recipe, "--json").json["folder"] == "runs/zero"
    assert cli("tune", recipe, "--output", "there", "--json").json["folder"] == "there"
    assert (tmp_path / "there" / "after.json").is_file() and (tmp_path / "runs" / "zero" / "after.json").is_file()


def test_baselines_stand_beside_the_run(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = recipe_of("regress", tmp_path, llama)
    done = cli("tune", recipe, "--set", "evaluation.baselines=true", "--json")
    assert set(done.json["baselines"]) == {"mean of training", "TF-IDF + ridge regression"}
    shown = cli("tune", recipe, "--set", "evaluation.baselines=true", "--resume")
    assert "mean of training" in shown.out and "TF-IDF + ridge regression" in shown.out


def test_evaluate_other_rows(tuned: Path, cli: Run) -> None:
    same = cli("evaluate", tuned, "--json")
    assert same.code == 0, same.err
    after = json.loads((tuned / "after.json").read_text())
    assert same.json == after == json.loads((tuned / "evaluation-test.json").read_text())
    other = cli("evaluate", tuned, "--split", "validation", "--json")
    assert (other.json["split"], other.json["n"]) == ("validation", 4)
    assert (tuned / "evaluation-validation.json").is_file()
    fewer = cli("evaluate", tuned, "--set", "evaluation.rows=3", "--set", "evaluation.metrics=[exact-match]")
    assert "3 rows of test" in fewer.out and "exact match" in fewer.out
    assert json.loads((tuned / "after.json").read_text()) == after


def test_evaluate_says_what_does_not_fit(tuned: Path, cli: Run, tmp_path: Path) -> None:
    assert "belongs to the tuned model" in cli("evaluate", tuned, "--set", "method.length=3").err
    none = cli("evaluate", tmp_path / "nothing")
    assert none.code == 2 and "not a finished run" in none.err
    other = cli("evaluate", tuned, "--set", "task.labels=[sport, money, weather, war]")
    assert other.code == 2 and "the model was tuned on" in other.err


def test_predict_prints_a_line_a_row(tuned: Path, cli: Run, tmp_path: Path) -> None:
    rows = [{"text": "the film and the team"}, {"text": "  "}, {"text": "a day and the rain"}]
    done = cli("predict", tuned, write_rows(tmp_path / "new.jsonl", rows))
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["id"] for line in lines] == [1, 2, 3]
    assert lines[1] == {"id": 2, "prediction": None}
    assert "1 of 3 rows: blank" in done.err
    for line in (lines[0], lines[2]):
        assert sum(line["scores"].values()) == pytest.approx(1)
        assert line["prediction"] == max(line["scores"], key=line["scores"].__getitem__)
        assert list(line["scores"]) == ["money", "sport", "weather"]


def test_predict_into_a_file(tuned: Path, cli: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("id,text\nx-1,the sea and the snow\nx-2,a day and the price\n")
    done = cli("predict", tuned, tmp_path / "new.csv", "--output", tmp_path / "answers.jsonl", "--json")
    assert done.json == {"rows": 2, "skipped": 0, "shortened": 0, "output": str(tmp_path / "answers.jsonl")}
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["x-1", "x-2"]
    printed = cli("predict", tuned, tmp_path / "new.csv", "--json")
    assert printed.json["predictions"] == lines


def test_predict_equals_the_run(tuned: Path, cli: Run, tmp_path: Path) -> None:
    after = [json.loads(line) for line in (tuned / "predictions.jsonl").read_text().splitlines()]
    done = cli("predict", tuned, tmp_path / "rows.jsonl")
    answers = {f"train-{(line := json.loads(text))['id']}": line["prediction"] for text in done.out.splitlines()}
    assert {line["id"]: line["after"] for line in after}.items() <= answers.items()


def test_predict_takes_the_datas_own_column_names(cli: Run, llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama)
    write_rows(tmp_path / "rows.jsonl", [{"Body": r["text"], "Class": r["label"]} for r in tiny_rows("classify")])
    tree["task"]["fields"] = {"text": "Body", "label": "Class"}
    assert cli("tune", write_recipe(tmp_path, tree)).code == 0
    theirs = cli("predict", tmp_path / "out", write_rows(tmp_path / "a.jsonl", [{"Body": "the team"}]))
    ours = cli("predict", tmp_path / "out", write_rows(tmp_path / "b.jsonl", [{"text": "the team"}]))
    assert theirs.code == ours.code == 0 and theirs.out == ours.out


def test_predict_names_the_row_it_cannot_read(tuned: Path, cli: Run, tmp_path: Path) -> None:
    missing = cli("predict", tuned, write_rows(tmp_path / "m.jsonl", [{"text": "a"}, {"other": "b"}]))
    assert (missing.code, missing.out) == (2, "") and "m.jsonl row 2: field 'text' missing" in missing.err
    column = cli("predict", tuned, write_rows(tmp_path / "c.jsonl", [{"txt": "a"}]))
    assert column.code == 2 and "no column 'text'" in column.err and "did you mean 'txt'" in column.err
    (tmp_path / "x.docx").write_text("x")
    assert "unknown kind of file" in cli("predict", tuned, tmp_path / "x.docx").err


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_tuned_scored_and_asked(kind: str, cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = recipe_of(kind, tmp_path, llama)
    tuned = cli("tune", recipe, "--json")
    assert tuned.code == 0, tuned.err
    assert cli("evaluate", tmp_path / "out", "--json").json["metrics"] == tuned.json["after"]
    new = [{key: row[key] for key in ("text", "tokens", "choices") if key in row} for row in tiny_rows(kind)[:2]]
    done = cli("predict", tmp_path / "out", write_rows(tmp_path / "new.jsonl", new))
    assert done.code == 0, done.err
    line = json.loads(done.out.splitlines()[0])
    wanted = {"choose": {"scores"}, "classify": {"scores"}, "tag": {"tags", "entities"}}.get(kind, set())
    assert set(line) == {"id", "prediction"} | wanted
    assert isinstance(line["prediction"], float if kind == "regress" else str)
    if kind == "tag":
        assert len(line["tags"]) == len(new[0]["tokens"])


def test_predict_reads_lists_from_a_table(cli: Run, llama: Path, tmp_path: Path) -> None:
    assert cli("tune", recipe_of("choose", tmp_path, llama)).code == 0
    with open(tmp_path / "new.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["text", "choices"], ["the team", '["sport", "money"]'], ["the rain", "sport"]])
    bad = cli("predict", tmp_path / "out", tmp_path / "new.csv")
    assert bad.code == 2 and "new.csv row 3" in bad.err and "must be a list" in bad.err
    (tmp_path / "new.csv").write_text('text,choices\nthe team,"[""sport"", ""money""]"\n')
    done = cli("predict", tmp_path / "out", tmp_path / "new.csv")
    assert set(json.loads(done.out)["scores"]) == {"sport", "money"}


def study(folder: Path, model: Path, methods: list[Any]) -> Path:
    base = classify_recipe(folder, model)
    task = base.pop("task")
    base.pop("output")
    base.pop("method")
    tree = {"base": base, "tasks": [{"task": task}], "methods": methods, "seeds": [0, 1]}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_compare_prints_a_table_a_task(cli: Run, llama: Path, tmp_path: Path) -> None:
    path = study(tmp_path, llama, ["none", {"method": {"name": "prompt-tuning", "length": 2}}, "full"])
    done = cli("compare", path, "--output", tmp_path / "cmp")
    assert done.code == 0, done.err
    for words in ("zero-shot", "prompt-tuning", "full", "accuracy", "vs zero-shot", f"report: {tmp_path / 'cmp'}"):
        assert words in done.out
    assert (tmp_path / "cmp" / "report.html").is_file()
    again = cli("compare", path, "--output", tmp_path / "cmp", "--resume", "--json")
    assert again.code == 0 and again.json["failed"] == []
    assert [row["label"] for row in again.json["tables"][0]["rows"]] == ["zero-shot", "prompt-tuning", "full"]
    assert cli("compare", path, "--output", tmp_path / "cmp").code == 2


def test_a_failed_trial_is_told_and_the_others_stand(cli: Run, llama: Path, tmp_path: Path) -> None:
    methods = [{"method": {"name": "prompt-tuning", "length": 2, "init": "class-label"}}, "head"]
    done = cli("compare", study(tmp_path, llama, methods), "--output", tmp_path / "cmp", "--json")
    assert done.code == 0
    assert len(done.json["failed"]) == 2 and "prompt-tuning" in done.json["failed"][0]
    assert "failed: prompt-tuning" in done.err
