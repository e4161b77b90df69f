"""Numbers of a report from predictions one can check by eye."""

import pytest

from tunewright.evaluation.predictions import Prediction
from tunewright.reports.collect import MethodRuns, task_data, verdicts

GOLD = ["a", "b"] * 20


def answers(wrong: int, rows: int = 40) -> list[Prediction]:
    """The first `wrong` rows answered wrongly."""
    return [Prediction(f"r{i}", "x" if i < wrong else GOLD[i], GOLD[i], prompt=f"p{i}") for i in range(rows)]


def entries() -> list[MethodRuns]:
    cost = {"trained_parameters": 10, "train_seconds": 2.0}
    return [
        MethodRuns("majority class", "majority class", "baseline", {0: answers(20), 1: answers(20)}),
        MethodRuns("none", "zero-shot", "zero-shot", {0: answers(30)}),
        MethodRuns("lora", "LoRA", "tuned", {0: answers(2), 1: answers(4)}, [cost, {**cost, "train_seconds": 4.0}]),
        MethodRuns("full", "full", "tuned", {0: answers(3)}, failed=["seed 1: diverged"]),
    ]


def test_means_costs_and_differences() -> None:
    task = task_data("t", ["accuracy", "macro-f1"], entries(), 16)
    rows = {row["label"]: row for row in task["table"]}
    assert task["test_rows"] == 40
    assert rows["LoRA"]["metrics"]["accuracy"]["value"] == pytest.approx(1 - 3 / 40)  # mean of 38/40 and 36/40
    assert rows["zero-shot"]["metrics"]["accuracy"]["value"] == pytest.approx(0.25)
    assert rows["zero-shot"]["difference"] is None
    change = rows["LoRA"]["difference"]
    assert change is not None and change["value"] == pytest.approx(27 / 40)
    assert change["p_holm"] is not None and change["p"] is not None and change["p_holm"] >= change["p"]
    assert rows["LoRA"]["cost"] is not None
    assert rows["LoRA"]["cost"]["trained_parameters"] == 10
    assert rows["LoRA"]["cost"]["train_seconds"] == pytest.approx(3.0)
    assert rows["full"]["failed"] == ["seed 1: diverged"]
    assert rows["full"]["seeds"] == 1
    assert rows["LoRA"]["spread"] == pytest.approx(0.05 / 2**0.5)  # 38/40 and 36/40
    assert rows["full"]["spread"] is None and rows["zero-shot"]["spread"] is None


def test_pairs_are_tuned_against_tuned_and_the_best_baseline() -> None:
    task = task_data("t", ["accuracy"], entries(), 16)
    assert [(p["a"], p["b"]) for p in task["pairs"]] == [
        ("LoRA", "full"), ("LoRA", "majority class"), ("full", "majority class"),
    ]  # fmt: skip
    by_name = {(p["a"], p["b"]): p for p in task["pairs"]}
    assert by_name["full", "majority class"]["verdict"] == "a better"
    # One seed of `full` stands against two of LoRA: rows 3 wrong against (2 + 4) / 2.
    assert by_name["LoRA", "full"]["value"] == pytest.approx(0.0)
    assert by_name["LoRA", "full"]["verdict"] == "can't tell"


def test_only_rows_that_all_answered_are_compared() -> None:
    runs = entries()
    runs[2].runs[1] = runs[2].runs[1][:10]
    task = task_data("t", ["accuracy"], runs, 16)
    assert task["test_rows"] == 10
    assert next(r for r in task["table"] if r["label"] == "zero-shot")["metrics"]["accuracy"]["value"] == 0.0


def test_examples_pair_before_and_after() -> None:
    task = task_data("t", ["accuracy"], entries(), 16)
    first = task["examples"][5]
    assert (first["id"], first["method"], first["before"], first["after"]) == ("r5", "LoRA", "x", "b")
    assert (first["before_score"], first["after_score"]) == (0.0, 1.0)


def test_verdict_in_words() -> None:
    said = verdicts(task_data("t", ["accuracy"], entries(), 16))

    assert said[0].startswith("t: ") and "clearly better than zero-shot in accuracy" in said[0] and "full" in said[0]
    assert any("the best cheap baseline is majority class" in sentence for sentence in said)
    assert any("1 seed (5 are advised)" in sentence for sentence in said)


def test_a_method_without_a_zero_shot_of_its_own_is_not_judged_against_it() -> None:
    task = task_data("t", ["accuracy"], entries(), 16)
    for row in task["table"]:
        if row["label"] == "LoRA":
            row["difference"] = None
    sentence = verdicts(task)[0]
    assert "zero-shot" in sentence and "LoRA" not in sentence
