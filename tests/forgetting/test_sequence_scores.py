"""The four numbers of a sequence, by hand."""

import pytest

from tunewright.evaluation.intervals import Interval
from tunewright.forgetting.sequence import (
    average_accuracy,
    backward_transfer,
    forgetting,
    forgotten,
    forward_transfer,
    sequence_json,
)
from tunewright.reports.sequence import sequence_view

# After stages 0 (untuned) to 3, on tasks 1 to 3.
R = [
    [0.30, 0.50, 0.20],
    [0.90, 0.40, 0.25],
    [0.70, 0.80, 0.30],
    [0.60, 0.85, 0.75],
]


def test_formulas():
    assert average_accuracy(R) == pytest.approx((0.60 + 0.85 + 0.75) / 3)
    assert backward_transfer(R) == pytest.approx(((0.60 - 0.90) + (0.85 - 0.80)) / 2)
    assert forward_transfer(R) == pytest.approx(((0.40 - 0.50) + (0.30 - 0.20)) / 2)
    # Task 1 was best after its own stage; task 2 (best 0.80) ended better, which counts against forgetting.
    assert forgotten(R) == pytest.approx([0.90 - 0.60, 0.80 - 0.85])
    assert forgetting(R) == pytest.approx(0.125)
    assert forgotten(R, 2) == pytest.approx([0.20])


def test_the_best_may_be_before_the_tasks_own_stage():
    found = [[0.1, 0.1, 0.1], [0.5, 0.9, 0.1], [0.5, 0.6, 0.1], [0.5, 0.4, 0.5]]
    assert forgotten(found) == pytest.approx([0.0, 0.5])
    assert backward_transfer(found) == pytest.approx(-0.1)


def test_one_task_has_no_transfer():
    assert average_accuracy([[0.1], [0.7]]) == 0.7
    for measure in (backward_transfer, forward_transfer, forgetting):
        with pytest.raises(ValueError, match="two"):
            measure([[0.1], [0.7]])


def content(metrics=("accuracy", "accuracy")):
    """Two tasks of four rows."""
    rows = [[[0, 0, 1, 0], [1, 0, 0, 1]], [[1, 1, 1, 1], [0, 0, 0, 1]], [[1, 0, 0, 0], [1, 1, 1, 1]]]
    values = [[Interval(sum(one) / 4, None, None) for one in line] for line in rows]
    found = sequence_json(["a", "b"], metrics, values, rows)
    return {**found, "split": "test", "method": "lora"}


def test_content_and_view():
    value = content()
    assert value["average"]["value"] == 0.625 and value["rows"] == [4, 4]
    assert value["backward"]["value"] == -0.75 and value["backward"]["low"] < -0.75 < value["backward"]["high"]
    assert value["forward"]["value"] == -0.25
    assert value["forgetting"] == {"value": 0.75, "low": None, "high": None} and value["forgotten"] == [0.75]
    view = sequence_view(value)
    assert [row["stage"] for row in view["rows"]] == ["untuned", "1. a", "2. b"]
    assert [[cell["text"] for cell in row["cells"]] for row in view["rows"]] == [
        ["25.0", "50.0"], ["100.0", "25.0"], ["25.0", "100.0"],
    ]  # fmt: skip
    assert [[cell["own"] for cell in row["cells"]] for row in view["rows"]] == [
        [False, False], [True, False], [False, True],
    ]  # fmt: skip
    heat, lines = view["figures"]
    assert heat["data"][0]["z"] == [[0.25, 0.5], [1.0, 0.25], [0.25, 1.0]] and heat["data"][0]["zmax"] == 1
    assert lines["data"][0]["y"] == [25.0, 100.0, 25.0] and lines["data"][1]["marker"]["size"] == [7, 7, 14]
    assert [(one["name"], one["text"]) for one in view["measures"]] == [
        ("average accuracy", "62.5"), ("backward transfer", "−75.0"),
        ("forward transfer", "−25.0"), ("forgetting", "75.0"),
    ]  # fmt: skip


def test_other_scales_have_no_mean():
    value = content(("accuracy", "mae"))
    assert [value[key] for key in ("average", "backward", "forward", "forgetting")] == [None] * 4
    assert sequence_view(value)["measures"] == [] and sequence_view(value)["sentences"] == []
