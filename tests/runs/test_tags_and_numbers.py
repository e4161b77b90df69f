"""Runs on tasks of tags and of numbers: by a head, and in words."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import pytest
import torch
from run_parts import read, recipe_of
from tiny import tiny_prepared, tiny_task

from tunewright.errors import InputError
from tunewright.evaluation.metrics import score
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asking, predict, read_number
from tunewright.methods.registry import make_method
from tunewright.prompts.template import Template
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import assemble, pick_templates
from tunewright.runs.run import run
from tunewright.settings import validate
from tunewright.task_block import NumbersBlock, TaskBlock
from tunewright.tasks.open import open_task
from tunewright.tasks.tagging import tags_to_text

NUMBERS = {"low": 0, "high": 2, "step": 0.5}


def test_a_head_learns_tags_and_is_kept(tmp_path: Path) -> None:
    training = {"steps": 60, "learning_rate": 0.01}
    result = run(recipe_of("head", "bert", "tag", training=training), tmp_path / "run", alone=False)
    before, after = result.before_metrics["entity-f1"].value, result.after_metrics["entity-f1"].value
    assert before < 0.3 and after > 0.5
    types = read(result.folder, "after.json")["types"]
    assert set(types) >= {p.target.split(": ")[1] for p in result.after}
    right = sum(one["right"] for one in types.values())
    assert after == pytest.approx(2 * right / sum(one["gold"] + one["said"] for one in types.values()))
    line = json.loads((result.folder / "predictions.jsonl").read_text().splitlines()[0])
    assert line["after"] == tags_to_text(line["tokens"], line["predicted_tags"])
    assert len(line["before_tags"]) == len(line["tokens"])
    kept = load_kept(result.folder)
    rows = result.prepared.task.split("test")
    bare = type(rows)({"tokens": rows.columns["tokens"]}, rows.ids)
    found = predict(kept.tuner, kept.encoder(bare), kept.task, Asking())
    assert [p.predicted_tags for p in found] == [p.predicted_tags for p in result.after]


def test_validation_of_tags_is_entity_f1(tmp_path: Path) -> None:
    result = run(recipe_of("head", "bert", "tag"), tmp_path / "run")
    log = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    looks = [line["validation"] for line in log if "validation" in line]
    assert all(len(look) == 2 and 0 <= look[0] <= 1 for look in looks)
    prepared = result.prepared
    found = predict(prepared.tuner, prepared.encoder(prepared.validation()), prepared.task, Asking())
    best = max(look[0] for look in looks)
    assert score(found, ["entity-f1"])["entity-f1"].value == pytest.approx(best)
    page = (result.folder / "report.html").read_text()
    assert "Entities by type" in page and 'class="entity"' in page


def test_words_beyond_the_limit_are_no_entities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"tokens": ["the", "dog"] * 8 + [f"day{i}"], "tags": ["B-a", "O"] * 8 + ["O"]} for i in range(20)]
    file = tmp_path / "long.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = recipe_of("head", "bert", "tag", task={"path": str(file)}, training={"max_tokens": 8, "steps": 1})
    result = run(recipe, tmp_path / "run", alone=False)
    assert "words were cut off or have no token, and are not tagged" in capsys.readouterr().err
    for p in result.after:
        assert len(p.predicted_tags or ()) == 17 and (p.predicted_tags or ())[8:] == ("O",) * 9


@pytest.mark.parametrize(
    ("method", "arch", "kind", "said"),
    [
        ("full", "bert", "tag", r"tiny-tag: a masked model \(.*\) cannot write entities; use method head, which tags"),
        ("full", "bert", "regress", r"tiny-regress: a masked model \(.*\) cannot write numbers; use method head, or"),
    ],
)
def test_a_masked_model_with_a_template_is_told_of_the_head(method: str, arch: str, kind: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny_prepared(method, arch, kind)


@pytest.mark.parametrize("arch", ["llama", "t5"])
def test_tags_in_words_without_tuning_and_with_examples(arch: str, tmp_path: Path) -> None:
    for method in ("none", {"name": "in-context", "examples": 2, "choose": "fixed"}):
        name = method if isinstance(method, str) else method["name"]
        result = run(recipe_of(method, arch, "tag"), tmp_path / name, alone=False)
        for p in result.after:
            assert len(p.predicted_tags or ()) == len(p.tokens or ()) == len(p.gold_tags or ())


# Numbers


def shifted(method: Any, arch: str) -> Any:
    """A prepared regression whose targets are 100, 110 and 120."""
    task = tiny_task("regress")
    splits = {
        name: replace_rows(rows, [100 + 10 * score for score in rows.columns["score"]])
        for name, rows in task.splits.items()
    }
    recipe = validate(
        Recipe,
        {"model": "tiny", "task": "tiny", "method": method, "training": {"precision": "fp32", "steps": 5}},
        "tiny",
    )
    task = replace(task, splits=splits)
    from tiny import tiny_backbone

    return assemble(recipe, task, pick_templates(recipe, task), make_method(recipe.method), tiny_backbone(arch))


def replace_rows(rows: Any, scores: list[float]) -> Any:
    return type(rows)({**rows.columns, "score": scores}, rows.ids)


def test_targets_are_standardised_on_the_training_rows(tmp_path: Path) -> None:
    prepared = shifted("head", "bert")
    targets = prepared.task.split("train").columns["score"]
    mean, deviation = fmean(targets), pstdev(targets)
    assert prepared.tuner.tunable.standard == (mean, deviation)
    examples = prepared.encoder(prepared.task.split("train")).examples(range(24), 0, "pool")
    numbers = torch.tensor([example.number for example in examples])
    torch.testing.assert_close(numbers, (torch.tensor(targets) - mean) / deviation)
    assert float(numbers.mean()) == pytest.approx(0, abs=1e-6)
    rows = prepared.task.split("test")
    found = predict(prepared.tuner, prepared.encoder(rows), prepared.task, Asking())
    batch = prepared.backbone.collate(prepared.encoder(rows).examples(range(6), 0, "pool"))
    with torch.no_grad():
        raw = prepared.tuner(batch).squeeze(-1)
    assert [p.prediction for p in found] == pytest.approx((raw * deviation + mean).tolist(), rel=1e-5)
    assert [p.target for p in found] == rows.columns["score"]  # as the data has them

    prepared.tuner.tunable.save(tmp_path)
    other = tiny_prepared("head", "bert", "regress", seed=1)
    assert other.tuner.tunable.standard != (mean, deviation)
    other.tuner.tunable.load(tmp_path)
    assert other.tuner.tunable.standard == (mean, deviation)
    again = predict(other.tuner, other.encoder(rows), other.task, Asking())
    assert [p.prediction for p in again] == [p.prediction for p in found]


def test_a_constant_target_is_not_divided_by_nothing() -> None:
    prepared = shifted("head", "bert")
    task = prepared.task
    flat = replace(task, splits={name: replace_rows(r, [7.0] * len(r)) for name, r in task.splits.items()})
    again = assemble(prepared.recipe, flat, prepared.templates, prepared.method, prepared.backbone)
    assert again.tuner.tunable.standard == (7.0, 1.0)


def test_numbers_as_words() -> None:
    task = replace(tiny_task("regress"), numbers=("0.0", "0.5", "1.0", "1.5", "2.0"))
    template = Template.from_block("n", "{{ text }} {{ answer_choices | join(', ') }}: {{ answer }}", task)
    for target, word in ((0.0, "0.0"), (0.26, "0.5"), (1.9, "2.0"), (0.25, "0.0"), (0.75, "1.0"), (2.0, "2.0")):
        prompt = template.render({"text": "a day", "score": target})
        assert prompt is not None and prompt.choices is not None and prompt.gold is not None
        assert prompt.target == word == prompt.choices[prompt.gold]  # halves: to the even step, as T5 rounds
        assert prompt.text() == "a day 0.0, 0.5, 1.0, 1.5, 2.0: "
    new = template.render({"text": "a day"})
    assert new is not None and new.choices == task.numbers and new.gold is None


@pytest.mark.parametrize(("method", "arch"), [("lora", "llama"), ("full", "t5"), ("full", "bert")])
def test_a_number_is_chosen_or_the_mean_of_all(tmp_path: Path, method: str, arch: str) -> None:
    answers = {}
    for way in ("expected", "best"):
        recipe = recipe_of(method, arch, "regress", task={"numbers": NUMBERS}, evaluation={"number": way})
        result = run(recipe, tmp_path / way, alone=False)
        answers[way] = [float(p.prediction) for p in result.after]
        assert all(0 <= answer <= 2 for answer in answers[way])
    assert all(2 * answer == round(2 * answer) for answer in answers["best"])
    prepared = result.prepared
    rows = prepared.task.split("test")
    encoder = prepared.encoder(rows)
    for i in range(2):
        (example,) = encoder.examples([i], 0, "choices")
        assert example is not None and example.choices == 5
        batch = prepared.backbone.collate([example])
        with torch.no_grad():
            log_probs = prepared.tuner(batch).tolist()
        sums = [sum(v for v, slot in zip(log_probs, batch.ask_slot.tolist()) if slot == c) for c in range(5)]
        weights = [math.exp(value - max(sums)) for value in sums]
        mean = sum(weight * 0.5 * c for c, weight in enumerate(weights)) / sum(weights)
        assert answers["expected"][i] == pytest.approx(mean, abs=1e-4)
        assert answers["best"][i] == 0.5 * max(range(5), key=sums.__getitem__)
    kept = load_kept(tmp_path / "best")
    assert kept.task.numbers == ("0.0", "0.5", "1.0", "1.5", "2.0")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"low": 0, "high": 1, "step": 0.5}, r"row \d+: score is 2, and numbers go from 0 to 1"),
        ({"low": 0, "high": 2, "step": 0.3}, "low to high wants 1 to 999 whole steps, found 6.66667"),
        ({"low": 2, "high": 0, "step": 1}, "low to high wants 1 to 999 whole steps, found -2"),
    ],
)
def test_numbers_that_do_not_fit(numbers: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(recipe_of("lora", "llama", "regress", task={"numbers": numbers}), Path("unused"))


def test_numbers_are_for_numbers() -> None:
    with pytest.raises(InputError, match="numbers are for the kind regress, not classify"):
        run(recipe_of("lora", "llama", "classify", task={"numbers": NUMBERS}), Path("unused"))
    recipe = recipe_of(
        "lora", "llama", "regress", task={"numbers": NUMBERS}, evaluation={"ensemble": "weighted"},
        template=["plain", "short"],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"evaluation\.ensemble: weighted wants an accuracy; numbers have none"):
        run(recipe, Path("unused"))


def test_steps_are_written_with_the_digits_they_need(tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("text,stars\n" + "".join(f"review number {i},{1 + i % 5}\n" for i in range(40)))
    block = TaskBlock.model_validate(
        {"path": str(file), "kind": "regress", "fields": {"text": "text", "score": "stars"},
         "numbers": {"low": 1, "high": 5, "step": 1}}
    )  # fmt: skip
    assert open_task(block).numbers == ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("low", "high", "step", "words"),
    [
        (8, 11, 1, ("8", "9", "10", "11")),
        (1, 10, 3, ("1.0", "4.0", "7.0", "10.0")),  # else `10` would begin with all of `1`, and never be likelier
        (0, 100, 50, ("0", "50", "100")),
        (-1, 1, 1, ("-1", "0", "1")),
        (0, 10, 2.5, ("0.0", "2.5", "5.0", "7.5", "10.0")),
    ],
)
def test_no_number_begins_another(low: float, high: float, step: float, words: tuple[str, ...]) -> None:
    assert NumbersBlock(low=low, high=high, step=step).words() == words


@pytest.mark.parametrize(
    ("text", "number"),
    [("3.5 stars", 3.5), (".5", 0.5), ("about -.25", -0.25), ("4.", 4.0), ("+2", 2.0), ("7/10", 7.0)],
)
def test_the_first_number_in_a_text(text: str, number: float) -> None:
    assert read_number(text) == number and math.isnan(read_number("none."))


def test_mean_squared_error() -> None:
    rows = [Prediction("a", 1.0, 3.0), Prediction("b", 2.0, 2.0), Prediction("c", 0.0, 1.0)]
    found = score(rows, ["mse", "mae"])
    assert found["mse"].value == pytest.approx((4 + 0 + 1) / 3)
    assert found["mae"].value == 1.0
