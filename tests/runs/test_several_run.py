"""A whole run of several tasks: its folder, its report, its resume, and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_parts import ALWAYS, SOFT, again, read, recipe_of, saved_model, saved_rows
from stopping import stop_at
from tiny import TEMPLATES

from tunewright.errors import InputError, MachineError
from tunewright.evaluation.predictions import of_task
from tunewright.recipe import Recipe, load_recipe
from tunewright.runs.run import run
from tunewright.settings import validate
from tunewright.training.loop import Interrupted, MeanLook

MULTI = {"name": "multitask-prompt-tuning", "length": 4}


def entry(name: str, kind: str = "classify", **keys: Any) -> dict[str, Any]:
    metrics = {"classify": "accuracy", "generate": "rouge-1", "regress": "mae"}
    task = {
        "path": saved_rows(kind), "kind": kind, "name": name, "metrics": [metrics[kind]],  # type: ignore[arg-type]
        "templates": {"plain": TEMPLATES[kind], "short": "{{ text }}: {{ answer }}"},  # type: ignore[index]
    }  # fmt: skip
    return {"task": task, **keys}


def several_recipe(method: Any, *tasks: dict[str, Any], arch: str = "llama", **keys: Any) -> Recipe:
    """A recipe of six steps with one of these tasks' rows in each batch."""
    tree = recipe_of(method, arch, **keys).model_dump(exclude_unset=True, exclude={"task"})
    return validate(Recipe, {**tree, "model": saved_model(arch), "tasks": list(tasks)}, "recipe")


@pytest.mark.parametrize(
    ("method", "arch"),
    [(SOFT, "llama"), (SOFT, "t5"), ({**SOFT, "shared": True}, "bert"), (MULTI, "bart"), ("p-tuning", "gpt2"),
     ("lora", "llama"), ("full", "roberta"), ("none", "llama")],
)  # fmt: skip
def test_a_run_of_two_tasks(tmp_path: Path, method: Any, arch: str) -> None:
    result = run(several_recipe(method, entry("a"), entry("b", template="short"), arch=arch), tmp_path / "run")
    folder, tuned = result.folder, result.prepared.recipe.method["name"] != "none"
    assert {p.name for p in folder.iterdir()} == ALWAYS | ({"metrics.jsonl", "checkpoints"} if tuned else set())
    assert [part.task.name for part in result.prepared.parts] == ["a", "b"]
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    ids = list(result.prepared.task.split("test").ids)
    assert [(line["task"], line["id"]) for line in lines] == [("a", i) for i in ids] + [("b", i) for i in ids]
    for name in ("before", "after"):
        scores = read(folder, f"{name}.json")
        assert list(scores) == ["split", "tasks", "macro"] and list(scores["tasks"]) == ["a", "b"]
        share = {
            task: sum(line[name] == line["target"] for line in lines if line["task"] == task) / len(ids)
            for task in ("a", "b")
        }
        assert {t: s["metrics"]["accuracy"]["value"] for t, s in scores["tasks"].items()} == pytest.approx(share)
        assert {t: s["n"] for t, s in scores["tasks"].items()} == {"a": len(ids), "b": len(ids)}
        assert scores["macro"]["value"] == pytest.approx(sum(share.values()) / 2)
    assert of_task(result.before, "a")[0].prompt.startswith("review: ")
    assert not of_task(result.before, "b")[0].prompt.startswith("review: ")
    if tuned:
        assert [p.scores for p in result.before] != [p.scores for p in result.after]
        assert [(p.task, p.scores) for p in again(result)] == [(p.task, p.scores) for p in result.after]


def test_tasks_of_different_kinds_have_no_common_mean(tmp_path: Path) -> None:
    recipe = several_recipe(SOFT, entry("a"), entry("g", "generate"), entry("r", "regress"))
    result = run(recipe, tmp_path / "run")
    scores = read(tmp_path / "run", "after.json")
    assert scores["macro"] is None  # an error in the target's unit is no share
    assert [list(one["metrics"]) for one in scores["tasks"].values()] == [["accuracy"], ["rouge-1"], ["mae"]]
    assert [p.prediction for p in again(result)] == [p.prediction for p in result.after]
    log = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    looks = [line for line in log if "validation" in line]
    assert {len(look["validation"]) for look in looks} == {1}  # only the loss is every task's
    for look in looks:
        assert [len(values) for values in look["tasks"].values()] == [2, 1, 1]
        assert look["validation"][0] == pytest.approx(sum(v[-1] for v in look["tasks"].values()) / 3)


def test_a_look_is_the_mean_over_tasks() -> None:
    assert MeanLook({"a": [0.5, -1.0], "b": [1.0, -2.0]}) == [0.75, -1.5]
    assert MeanLook({"a": [0.5, -1.0], "b": [-2.0]}) == [-1.5]
    assert MeanLook({"a": [0.5, -1.0]}).by_task == {"a": [0.5, -1.0]}


def test_the_report_has_a_section_a_task_and_the_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no network")

    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", refuse)
    recipe = several_recipe(
        SOFT, entry("first"), entry("second", rate=2.0, shots=2), evaluation={"baselines": True},
    )  # fmt: skip
    result = run(recipe, tmp_path / "run")
    text = (tmp_path / "run/report.html").read_text()
    for words in ("<h2>first</h2>", "<h2>second</h2>", "All tasks", "of the tasks", "Mean over 2 tasks: zero-shot "):
        assert words in text, words
    assert "one run tunes all these tasks; its costs are those of the whole run" in text
    assert "<dt>rates</dt><dd>1, 2</dd>" in text
    assert text.count("Loss on training batches") == 1 and text.count("Validation: accuracy") == 2
    cheap = read(tmp_path / "run", "baselines.json")["predictions"]["majority class"]
    assert {line["task"] for line in cheap} == {"first", "second"}
    assert set(result.baseline_scores["majority class"]) == {"first", "second"}
    assert [part.task.split("train").ids for part in result.prepared.parts][1:] != [
        result.prepared.task.split("train").ids
    ]


@pytest.mark.parametrize("method", [SOFT, MULTI, "p-tuning"])
def test_an_interrupted_run_of_several_ends_as_if_it_had_not_been(
    tmp_path: Path, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = (entry("a"), entry("b", rate=2.0, template="short"))
    recipe = several_recipe(method, *tasks, training={"steps": 8, "evaluate_every": 2, "batch_size": 4})
    run(recipe, tmp_path / "whole")
    place = tmp_path / "run"
    stop_at(4, monkeypatch)
    with pytest.raises(Interrupted):
        run(recipe, place)
    monkeypatch.undo()
    run(recipe, place, resume=True)
    names = ["metrics.jsonl", "predictions.jsonl", "after.json", "before.json"]
    names += [f"tuned/{path.name}" for path in (place / "tuned").glob("*.safetensors")]
    assert len(names) == (6 if method is MULTI else 5)
    for name in names:
        assert (place / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_recipe_yaml_is_the_recipe(tmp_path: Path) -> None:
    recipe = several_recipe("none", entry("a", shots=2), entry("b", rate=0.5))
    run(recipe, tmp_path / "run")
    assert load_recipe(tmp_path / "run/recipe.yaml").model_dump() == recipe.model_dump()
    written = yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())
    assert "task" not in written and [set(one) for one in written["tasks"]] == [{"task", "shots"}, {"task", "rate"}]


# ---- the recipe -------------------------------------------------------------------------------------------------


def test_task_or_tasks() -> None:
    base = {"model": "m", "method": "none"}
    for keys, found in (({}, "none of them"), ({"task": "a", "tasks": ["b"]}, "task and tasks")):
        with pytest.raises(InputError, match=rf"R: give task \(one\), tasks \(a list\), sequence .*, found {found}"):
            validate(Recipe, {**base, **keys}, "R")
    with pytest.raises(InputError, match=r"unknown key 'tasks.1.shotz' \(did you mean 'shots'\?\)"):
        validate(Recipe, {**base, "tasks": ["a", {"task": "b", "shotz": 3}]}, "R")
    with pytest.raises(InputError, match=r"tasks\.0\.rate: input should be greater than 0, found -1"):
        validate(Recipe, {**base, "tasks": [{"task": "b", "rate": -1}]}, "R")
    with pytest.raises(InputError, match="tasks: list should have at least 1 item"):
        validate(Recipe, {**base, "tasks": []}, "R")


def test_what_an_entry_leaves_out_is_the_runs() -> None:
    tree = {
        "model": "m", "method": "none", "shots": 8, "template": "plain",
        "tasks": ["a", {"task": "b", "shots": 2}, {"task": "c", "shots": None, "template": "x"}],
    }  # fmt: skip
    recipe = validate(Recipe, tree, "R")
    assert [(r.task, r.tasks, r.shots, r.template) for r in recipe.apart()] == [
        ("a", None, 8, "plain"), ("b", None, 2, "plain"), ("c", None, None, "x"),
    ]  # fmt: skip
    assert recipe.rates is None
    rated = validate(Recipe, {**tree, "tasks": ["a", {"task": "b", "rate": 2.5}]}, "R")
    assert rated.rates == [1.0, 2.5]


def test_what_is_wrong_is_told_before_there_is_a_folder(tmp_path: Path) -> None:
    for recipe, message in (
        (several_recipe(SOFT, entry("a"), entry("a")), r"tasks: two are called 'a'; give one another name"),
        (several_recipe(SOFT, entry("a"), entry("shared")), "'shared' is what the slots of all tasks are called"),
        (several_recipe("head", entry("a"), entry("b")), "method head: a head answers one task"),
        (several_recipe(SOFT, entry("a"), entry("b", rate=1e-6)), r"tasks\[1\]: its rate gives it none of the 50 rows"),
        (several_recipe(SOFT, entry("a"), entry("b", template="long")), "'long' is no template of task b"),
        (several_recipe(SOFT, entry("a"), entry("g", "generate"), training={"objective": "choice"}),
         "task g: training.objective: choice wants choices; the task's kind is generate"),
        (several_recipe(SOFT, entry("a"), entry("g", "generate"), arch="bert"), "task g: .*cannot generate text"),
        (several_recipe(MULTI, entry("a"), entry("b", template="{{ text }}{{ soft(3) }} {{ answer }}")),
         "method multitask-prompt-tuning: all tasks must have equally many slots, found a 4, b 3"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_epochs_are_as_long_as_all_tasks_and_the_rate_is_found_on_all(tmp_path: Path) -> None:
    def steps(name: str, *tasks: dict[str, Any], **training: Any) -> int:
        block = {"steps": None, "batch_size": None, **training}
        run(several_recipe(SOFT, *tasks, training=block), tmp_path / name, alone=False)
        return sum("loss" in json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines())

    rows = 2 * 3 + 1 * 3  # shots of three classes
    assert steps("plain", entry("a", shots=2), entry("b", shots=1), epochs=2.0, batch_size=4) == -(-rows // 4) * 2
    assert steps("rated", entry("a", shots=2, rate=5.0), entry("b", shots=1), epochs=2.0, batch_size=4) == 6
    assert 2 <= steps("tokens", entry("a", shots=2), entry("b", shots=1), epochs=1.0, batch_tokens=60) <= 5
    assert steps("auto", entry("a", shots=2), entry("b", shots=1), steps=5, learning_rate="auto") == 5
    assert read(tmp_path / "auto", "learning_rate.json")["learning_rate"] in (0.01, 0.03, 0.1)
