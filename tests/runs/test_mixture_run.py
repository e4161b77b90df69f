"""A whole run on a mixture: its folder, what it drew, its resume, what is kept of it, and what cannot be."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import yaml
from run_parts import SOFT, again, read, saved_model, saved_rows
from stopping import stop_at
from tiny import TEMPLATES

from tunewright.errors import InputError
from tunewright.recipe import Recipe, load_recipe
from tunewright.runs.mixture import look_at_mixture, mixture_rows
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.run import run
from tunewright.settings import validate
from tunewright.studies.compare import compare
from tunewright.training.batches import Batches, Place
from tunewright.training.loop import Interrupted

METRICS = {"classify": "accuracy", "choose": "accuracy", "generate": "rouge-1", "regress": "mae"}


def task(kind: Any, name: str, **keys: Any) -> dict[str, Any]:
    templates = {"plain": TEMPLATES[kind], "lines": "{{ text }}\nAnswer:{{ answer }}"}  # type: ignore[index]
    return {"path": saved_rows(kind), "kind": kind, "name": name, "metrics": [METRICS[kind]], "templates": templates,
            **keys}  # fmt: skip


@cache
def files() -> str:
    """A mixture of five tasks of five kinds, one a file of conversations; two are a group."""
    folder = Path(mkdtemp(prefix="mixture-"))
    talks = [
        [("user", f"the dog {i}"), ("assistant", "a day"), ("user", "snow?"), ("assistant", f"rain {i}")]
        for i in range(40)
    ]
    rows = [{"messages": [{"role": role, "content": text} for role, text in talk]} for talk in talks]
    (folder / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    members = [
        {"task": task("classify", "a")},
        {"name": "g", "cap": 20, "members": [{"task": task("choose", "b")}, {"task": task("generate", "c")}]},
        {"task": task("regress", "d")},
        {"task": {"path": str(folder / "talks.jsonl"), "name": "talks"}},
    ]
    (folder / "mix.yaml").write_text(yaml.safe_dump({"formats": {"exemplars": [1, 2]}, "members": members}), "utf-8")
    return str(folder / "mix.yaml")


def recipe(method: Any, arch: str = "llama", mixture: str | None = None, **keys: Any) -> Recipe:
    blocks: dict[str, Any] = {
        "model": saved_model(arch), "mixture": mixture or files(), "method": method,
        "training": {"steps": 4, "batch_size": 8, "learning_rate": 0.01, "precision": "fp32", "max_tokens": 128,
                     **keys.pop("training", {})},
        "evaluation": {"baselines": False, "max_new_tokens": 4, "rows": 3, "validation_rows": 8,
                       "tasks": [{"task": task("classify", "a")}, {"task": task("generate", "held out")}],
                       **keys.pop("evaluation", {})},
        **keys,
    }  # fmt: skip
    return validate(Recipe, blocks, "recipe")


@pytest.mark.parametrize(
    ("method", "arch", "packing"), [("lora", "llama", True), ("full", "t5", False), (SOFT, "gpt2", False)]
)
def test_a_run(tmp_path: Path, method: Any, arch: str, packing: bool) -> None:
    result = run(recipe(method, arch, training={"packing": packing}), tmp_path / "run")
    folder = result.folder
    assert list(read(folder, "after.json")["tasks"]) == ["a", "held out"]
    assert [p.scores for p in result.before] != [p.scores for p in result.after]
    assert [(p.task, p.scores) for p in again(result)] == [(p.task, p.scores) for p in result.after]
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    numbers = [number for line in log for number in line.get("drawn", ())]
    assert len(set(numbers)) == 32 and max(numbers) < 64  # four steps of eight, of the eight that a window has
    content = read(folder, "mixture.json")
    assert isinstance(result.prepared, Prepared) and result.prepared.mixture is not None
    mixture = result.prepared.mixture.train
    draws = mixture.draws(np.array(numbers))
    seen = Counter(mixture.members[m].name for m in draws.member)
    assert {name: one["n"] for name, one in content["tasks"].items()} == {
        name: seen[name] for name in ("a", "g/b", "g/c", "d", "talks")
    }
    assert content["examples"] == 32 and set(content["kinds"]) == {"plain", "turns"}
    assert {len(look["validation"]) for look in log if "validation" in look} == {1}  # the mixture's own loss
    assert [one["task"] for one in read(folder, "environment.json")["mixture"]] == ["a", "b", "c", "d", "talks"]
    assert load_recipe(folder / "recipe.yaml").model_dump() == result.prepared.recipe.model_dump()
    if method is SOFT:
        assert [group.name for group in result.prepared.layout.groups] == ["shared/prompt"]
    assert "what was drawn" in (folder / "report.html").read_text().lower()


def test_an_example_with_too_long_an_answer_is_left_out_and_counted(tmp_path: Path) -> None:
    one = task("generate", "long", path=str(tmp_path / "long.jsonl"))
    rows = [{"text": f"the dog {i}", "target": "rain " * (60 if i % 4 == 0 else 2)} for i in range(40)]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "long.yaml").write_text(yaml.safe_dump({"members": [{"task": one}]}), encoding="utf-8")
    prepared = prepare(recipe("lora", mixture=str(tmp_path / "long.yaml"), training={"max_tokens": 60}))
    found = mixture_rows(prepared)
    examples = found.examples(range(len(found)), 0, "answer")
    short = sum(len(row["target"]) < 60 for row in prepared.mixture.train.members[0].rows)  # type: ignore[union-attr]
    assert 0 < short < len(found) == len(examples)
    assert sum(example is not None for example in examples) == short
    assert found.counts["too long"] == len(found) - short
    all_long = [{**row, "target": "rain " * 60 + str(row["text"])} for row in rows]
    (tmp_path / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in all_long), encoding="utf-8")
    with pytest.raises(InputError, match=r"of the first \d+ examples \d+ have an answer or a template longer than"):
        look_at_mixture(prepare(recipe("lora", mixture=str(tmp_path / "long.yaml"), training={"max_tokens": 60})))


def test_a_step_is_made_without_those_before_it() -> None:
    """From a place in mid-epoch the same steps come, and nothing before its window is read."""
    asked: list[int] = []

    def encode(numbers: Any, epoch: int) -> Any:
        from tunewright.backbones.examples import Example, View

        asked.extend(numbers)
        return [None if n % 7 == 0 else Example([View([0] * (1 + n % 5), [-1] * (1 + n % 5))]) for n in numbers]

    batches = Batches(1000, encode, seed=0, batch_size=4, order=lambda e: range(e * 1000, (e + 1) * 1000))
    stream = batches.steps(Place(0, 0))
    steps = [next(stream) for _ in range(500)]
    for done in (1, 37, 214, 215, 216, 430):
        asked.clear()
        after = batches.steps(steps[done - 1][0])
        assert [next(after) for _ in range(20)] == steps[done : done + 20]
        assert len(asked) <= 32 * 6 and min(asked) >= steps[done - 1][0].epoch * 1000 + steps[done - 1][0].window


def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = recipe("lora", training={"steps": 6, "evaluate_every": 3, "batch_size": 4})
    run(one, tmp_path / "whole")
    stop_at(4, monkeypatch)
    with pytest.raises(Interrupted):
        run(one, tmp_path / "run")
    monkeypatch.undo()
    run(one, tmp_path / "run", resume=True)
    names = ["metrics.jsonl", "predictions.jsonl", "after.json", "mixture.json"]
    names += [str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run/tuned").rglob("*.safetensors")]
    assert len(names) >= 5
    for name in names:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_zero_shot_opens_no_mixture(tmp_path: Path) -> None:
    result = run(recipe("none", mixture="no-such.yaml"), tmp_path / "run")
    assert list(result.after_scores) == ["a", "held out"] and not (tmp_path / "run/mixture.json").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"task": "rte"}, "recipe: give task .* found task and mixture"),
        ({"shots": 3}, "recipe: shots: a mixture's file says which rows and templates"),
        ({"evaluation": {"tasks": None}}, "recipe: a mixture wants evaluation.tasks: the tasks to be asked"),
        ({"training": {"objective": "choice"}}, "training.objective: a mixture is trained on its answers"),
    ],
)
def test_what_a_recipe_cannot_say(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe("lora", **keys)


def test_what_cannot_be_is_told_before_there_is_a_folder(tmp_path: Path) -> None:
    for one, message in (
        (recipe("head"), "method head: it answers one task; a mixture is tuned with one that answers any"),
        (recipe({"name": "multitask-prompt-tuning", "length": 2}), "multitask-prompt-tuning: it has a prompt a task"),
        (recipe("lora", mixture="flann"), "no mixture 'flann'"),
        (recipe("lora", evaluation={"tasks": [{"task": task("classify", "a")}] * 2}), "two are called 'a'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            run(one, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=r"evaluation\.tasks is for a mixture; task and tasks are asked themselves"):
        validate(Recipe, {"model": "m", "method": "none", "task": "a", "evaluation": {"tasks": ["a"]}}, "R")


def test_a_study_over_mixtures(tmp_path: Path) -> None:
    """Two mixtures, one set of tasks that are asked: a table for each of them, its rows asked untuned once."""
    base = recipe("lora", training={"steps": 1}).model_dump(exclude_unset=True, exclude={"mixture", "method"})
    tasks = [{"mixture": files(), "label": "all"}, {"mixture": files(), "training": {"steps": 2}}]
    tree = {"base": base, "tasks": tasks, "methods": ["lora"], "seeds": 1}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    found = compare(tmp_path / "s.yaml", output=tmp_path / "study")
    assert found.failed == []
    assert [one["task"] for one in found.tables] == ["a (all)", "held out (all)", "a (mix)", "held out (mix)"]
