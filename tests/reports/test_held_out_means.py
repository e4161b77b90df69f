"""Means over clusters of tasks that were kept out, with numbers one can check by eye."""

from typing import Any

import pytest

from tunewright.evaluation.predictions import Prediction
from tunewright.reports.collect import MethodRuns, task_data
from tunewright.reports.data import TaskData
from tunewright.reports.held_out import held_out_means, held_out_sentences, held_out_task, held_out_view, overlap_view

ROWS = 40


def answers(right: int) -> list[Prediction]:
    """The first `right` rows answered rightly."""
    return [Prediction(f"r{i}", "a" if i < right else "x", "a", prompt="p") for i in range(ROWS)]


def said(*asked: tuple[str, str, int], ids: list[str]) -> dict[str, Any]:
    overlap = {"rows": ROWS, "short": 1, "overlapping": len(ids), "share": len(ids) / ROWS, "examples": [], "ids": ids}
    entries = [{"name": name, "task": name, "cluster": cluster, "exemplars": count} for name, cluster, count in asked]
    return {"asked": entries, "overlap": {asked[0][0]: overlap}}


def task(name: str, cluster: str, before: int, after: int, ids: list[str] | None = None, cell: str = "") -> TaskData:
    entries = [
        MethodRuns("none", "zero-shot", "zero-shot", {0: answers(before)}),
        MethodRuns("lora", "lora", "tuned", {0: answers(after)}),
    ]
    found = task_data(name, ["accuracy"], entries, 0)
    held = held_out_task(said((name, cluster, 0), ids=ids or []), name, cell, ["accuracy"], entries)
    assert held is not None
    found["held_out"] = held
    return found


def test_means_of_clusters_and_their_mean() -> None:
    """x: tasks from 10 and 20 to 20 and 40 of 40 rows; y: from 8 to 8. Not the mean of the three tasks."""
    tasks = [task("a", "x", 10, 20), task("b", "x", 20, 40), task("c", "y", 8, 8)]
    (group,) = held_out_means(tasks)
    zero, lora = group["methods"]
    assert {name: mean["score"]["value"] for name, mean in zero["clusters"].items()} == {"x": 0.375, "y": 0.2}
    assert {name: mean["score"]["value"] for name, mean in lora["clusters"].items()} == {"x": 0.75, "y": 0.2}
    assert lora["macro"]["score"]["value"] == pytest.approx((0.75 + 0.2) / 2)
    assert lora["macro"]["change"]["value"] == pytest.approx((0.375 + 0.0) / 2)
    assert zero["macro"]["change"] is None
    changes = [row["difference"] for one in tasks[:2] for row in one["table"] if row["label"] == "lora"]
    arms = [one["value"] - one["low"] for one in changes]  # type: ignore[index, operator]
    mean = lora["clusters"]["x"]["change"]
    assert mean["value"] - mean["low"] == pytest.approx((arms[0] ** 2 + arms[1] ** 2) ** 0.5 / 2)
    (sentence,) = held_out_sentences([group])
    assert sentence.startswith("held-out clusters (x, y), zero-shot: zero-shot 28.7 [") and "lora 47.5 [" in sentence


def test_rows_that_overlap_are_left_out_of_a_second_figure() -> None:
    """Without the first ten rows, all of which both got right."""
    found = task("a", "x", 10, 25, [f"r{i}" for i in range(10)])
    clean = found["held_out"]["clean"]
    assert clean is not None
    assert [row["metrics"]["accuracy"]["value"] for row in clean] == [0.0, 0.5]
    assert clean[1]["difference"] is not None and clean[1]["difference"]["value"] == 0.5
    (view,) = held_out_view([found], held_out_means([found]))
    (shown,) = view["clusters"][0]["tasks"]
    assert shown["overlap"] == "25.0 %" and shown["clean"][1][0].startswith("50.0 [")
    (row,) = overlap_view([found])
    assert (row["task"], row["overlapping"], row["short"]) == ("a", 10, 1) and "ids" not in row


def test_cells_stay_apart_and_what_cannot_be_averaged_is_named() -> None:
    other = task("d", "x", 1, 2)
    other["metric"] = "mae"
    first, second = held_out_means([task("a", "x", 1, 2, cell="A"), task("a", "x", 1, 3, cell="B"), {**other}])[:2]
    assert (first["cell"], second["cell"]) == ("A", "B")
    (alone,) = held_out_means([other, task("a", "x", 1, 2)])
    assert alone["without"] == ["d (MAE)"] and list(alone["methods"][1]["clusters"]) == ["x"]
    assert held_out_means([{k: v for k, v in other.items() if k != "held_out"}]) == []  # type: ignore[list-item]
    assert held_out_task(said(("a", "x", 0), ids=[]), "b", "", ["accuracy"], []) is None
