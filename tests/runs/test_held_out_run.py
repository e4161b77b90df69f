"""A run that keeps a cluster out of its mixture: what is left out, asked, shown before questions, and reported."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import yaml
from run_parts import read, saved_model
from tiny import TEMPLATES, tiny_rows

from tunewright.errors import InputError
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asked, predict_all
from tunewright.recipe import Recipe, load_recipe
from tunewright.runs.held_out import with_asked
from tunewright.runs.kept import load_kept
from tunewright.runs.mixture import open_mixture
from tunewright.runs.prepare import prepare
from tunewright.runs.run import run
from tunewright.runs.scores import asking_of
from tunewright.settings import validate
from tunewright.studies.compare import compare
from tunewright.task_block import Kind

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen"


@cache
def tasks() -> dict[str, dict[str, Any]]:
    """a and b of the cluster x, c and d of y, e copied from c; a training row of a has words of a test row of c."""
    folder = Path(mkdtemp(prefix="held-out-"))
    found = {}
    kinds: dict[str, Kind] = {"a": "classify", "b": "choose", "c": "generate", "d": "classify", "e": "generate"}
    for name, kind in kinds.items():
        rows = [tiny_rows(kind)[i] for first in range(6) for i in range(first, 36, 6)]
        (folder / name).mkdir()
        parts = {"train": rows[:24], "validation": rows[24:30], "test": rows[30:]}
        for split, some in parts.items():
            if (name, split) in (("a", "train"), ("c", "test")):
                some = [{**some[0], "text": f"{LONG} {name}"}, *some[1:]]
            text = "".join(json.dumps(row) + "\n" for row in some)
            (folder / name / f"{split}.jsonl").write_text(text, encoding="utf-8")
        metric = "rouge-1" if kind == "generate" else "accuracy"
        templates = {"plain": TEMPLATES[kind], "lines": "{{ text }}\nAnswer:{{ answer }}"}
        found[name] = {"name": name, "path": str(folder / name), "kind": kind, "metrics": [metric],
                       "templates": templates, "cluster": "y" if name in "cd" else "x"}  # fmt: skip
    found["e"]["sources"] = ["c"]
    return found


def recipe(method: Any = "lora", held_out: Any = None, **keys: Any) -> Recipe:
    members = [{"task": one} for one in tasks().values()]
    blocks: dict[str, Any] = {
        "model": saved_model("llama"), "method": method,
        "mixture": {"formats": {"few_shot": 0.5, "exemplars": [1, 2]}, "members": members},
        "held_out": held_out or {"clusters": ["y"], "exemplars": [0, 2]},
        "training": {"steps": 3, "batch_size": 4, "learning_rate": 0.01, "precision": "fp32", "max_tokens": 128},
        "evaluation": {"baselines": False, "max_new_tokens": 3, "rows": 5, "validation_rows": 4,
                       **keys.pop("evaluation", {})},
        **keys,
    }  # fmt: skip
    return validate(Recipe, blocks, "recipe")


def answers(predictions: list[Prediction]) -> list[Any]:
    return [(p.task, p.id, p.prediction, p.scores) for p in predictions]


def test_a_run(tmp_path: Path) -> None:
    names = ["a", "c", "c, 2 exemplars", "d", "d, 2 exemplars"]
    result = run(recipe(evaluation={"tasks": [{"task": tasks()["a"]}]}), tmp_path / "run")
    folder, said = result.folder, read(result.folder, "held-out.json")
    assert list(read(folder, "after.json")["tasks"]) == names
    assert list(read(folder, "mixture.json")["tasks"]) == ["a", "b"]
    assert {one["task"]: one["why"] for one in said["left_out"]} == {
        "c": "cluster y", "d": "cluster y", "e": "shares rows with c",
    }  # fmt: skip
    kept = load_recipe(folder / "recipe.yaml")
    assert kept.held_out is not None and [one.task.name for one in kept.held_out.asked] == ["c", "d"]  # type: ignore[union-attr]

    asked = [(p.task, p.prompt) for p in result.before]
    assert asked == [(p.task, p.prompt) for p in result.after]  # exemplars too
    shown = [prompt for task, prompt in asked if task == "d, 2 exemplars"]
    alone = [prompt for task, prompt in asked if task == "d"]
    assert len(shown) == len(alone) == 5
    assert all(
        with_them.endswith(prompt) and with_them.count("topic: ") == 3 for with_them, prompt in zip(shown, alone)
    )
    assert len({prompt.rpartition("review")[0] for prompt in shown}) > 1  # drawn for each row
    assert [p.scores for p in result.before] != [p.scores for p in result.after]

    overlap = said["overlap"]
    assert set(overlap) == {"c", "d"} and overlap["d"]["overlapping"] == 0
    assert (overlap["c"]["rows"], overlap["c"]["overlapping"], overlap["c"]["short"]) == (6, 1, 5)
    assert overlap["c"]["examples"][0] == {"id": "test-1", "member": "a", "row": "train-1", "words": LONG}

    zero, few = said["scores"]
    assert (zero["exemplars"], few["exemplars"]) == (0, 2)
    of = {one["label"]: one for one in few["methods"]}
    assert list(of) == ["zero-shot", "lora"] and list(of["lora"]["clusters"]) == ["y"]
    parts = [read(folder, "after.json")["tasks"][name]["metrics"] for name in ("c, 2 exemplars", "d, 2 exemplars")]
    mean = (parts[0]["rouge-1"]["value"] + parts[1]["accuracy"]["value"]) / 2
    assert of["lora"]["macro"]["score"]["value"] == pytest.approx(mean)
    before = of["zero-shot"]["macro"]["score"]["value"]
    assert of["lora"]["macro"]["change"]["value"] == pytest.approx(mean - before)
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("Tasks kept out of the mixture", "mean of the clusters", "c, clean", "eleven twelve thirteen"):
        assert text in page, text

    again = load_kept(folder)
    rows = [part.asked_rows() for part in result.prepared.parts]
    found = predict_all(again.tuner, [
        Asked(part.encoder(mine), part.task, asking_of(part.recipe), part.task.name)
        for part, mine in zip(again.parts, rows, strict=True)
    ])  # fmt: skip
    assert answers([p for predictions in found for p in predictions]) == answers(result.after)


def test_exemplars_do_not_go_by_the_training_seed() -> None:
    """So that all models of a study are asked the same."""
    prompts = []
    for seed in (0, 1):
        held_out = {"tasks": [{"task": tasks()["d"], "exemplars": [2]}]}
        one = prepare(recipe("none", held_out, training={"seed": seed, "max_tokens": 128})).parts[0]
        encoder = one.encoder(one.asked_rows(), attached=False)
        prompts.append([encoder.prompt(i).text() for i in range(5)])  # type: ignore[union-attr]
    assert prompts[0] == prompts[1]


def test_what_is_asked_of_a_cluster() -> None:
    """The mixture's tasks of it, or those that are named."""
    found = with_asked(recipe()).held_out
    assert found is not None and [one.task.name for one in found.asked] == ["c", "d"]  # type: ignore[union-attr]
    named = recipe(held_out={"clusters": ["y"], "ask": [{"task": tasks()["d"], "exemplars": [1]}]})
    assert with_asked(named) == named
    mixture = open_mixture(named, None)
    assert mixture is not None and [m.name for m in mixture.train.members] == ["a", "b", "e"]  # c is not asked
    with pytest.raises(
        InputError, match=r"held_out\.clusters: no task is of the cluster 'nly' \(did you mean 'nli'\?\)"
    ):
        with_asked(recipe(held_out={"clusters": ["nly"]}))
    few = recipe("none", {"tasks": [{"task": tasks()["d"], "exemplars": [30]}]})
    with pytest.raises(InputError, match="exemplars: 30 wanted, task d has 24 training rows to show"):
        prepare(few)
    with pytest.raises(InputError, match="method in-context: it shows training rows itself"):
        prepare(recipe({"name": "in-context", "examples": 2}, {"tasks": [{"task": tasks()["d"]}]}))


def test_each_cluster_left_out_in_turn(tmp_path: Path) -> None:
    """Two clusters, two cells; in two parts of a study, the second of which ends with the whole table."""
    base = recipe(held_out={"clusters": ["x"]}, training={"steps": 1, "batch_size": 2}, evaluation={"rows": 2})
    tree = {
        "base": {**base.model_dump(exclude_unset=True, exclude={"method", "mixture"}), "held_out": {"exemplars": [0]}},
        "tasks": [{"mixture": base.mixture, "label": "mix"}],
        "methods": ["lora"], "seeds": 1, "leave_out": "all",
    }  # fmt: skip
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    first = compare(tmp_path / "s.yaml", output=tmp_path / "study", part=(1, 2))
    assert [one["task"] for one in first.tables] == ["a (mix without x)", "b (mix without x)", "e (mix without x)"]
    found = compare(tmp_path / "s.yaml", output=tmp_path / "study", resume=True, part=(2, 2))
    assert found.failed == [] and len(found.tables) == 5
    (group,) = read(tmp_path / "study", "results.json")["held_out"]
    assert group["cell"] == "mix, each cluster left out in turn"
    tuned = next(one for one in group["methods"] if one["label"] == "lora")
    assert list(tuned["clusters"]) == ["x", "y"]
    means = [tuned["clusters"][name]["score"]["value"] for name in ("x", "y")]
    assert tuned["macro"]["score"]["value"] == pytest.approx(sum(means) / 2)
    assert any(s.startswith("mix, each cluster left out in turn: held-out clusters (x, y)") for s in found.verdict)
