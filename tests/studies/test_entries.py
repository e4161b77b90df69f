"""Each method stands against the zero-shot of its own model and template."""

from typing import Any

import pytest

from tunewright.evaluation.predictions import Prediction
from tunewright.recipe import Study
from tunewright.reports.collect import MethodRuns, task_data
from tunewright.settings import validate
from tunewright.studies.entries import _start, _starts
from tunewright.studies.grid import trials_of


def labels(base: dict[str, Any], *methods: Any) -> dict[str, str]:
    """Of each method the label of what it is set against."""
    keys = {"base": {"model": "org/small", **base}, "tasks": ["bbc-news"], "methods": list(methods), "seeds": 1}
    trials = trials_of(validate(Study, {**keys, "output": "out"}, "study"), "study")
    starts = _starts(trials)
    return {trial.label: starts[_start(trial)] for trial in trials}


def test_one_model_one_template_one_zero_shot() -> None:
    assert labels({"template": "plain"}, "lora", "full", "head") == dict.fromkeys(("lora", "full", "head"), "zero-shot")


def test_models_and_templates_apart() -> None:
    found = labels(
        {}, "lora", {"label": "named", "method": "lora", "template": "plain"},
        {"label": "text", "method": "lora", "template": "{{ text }} {{ answer }}"},
        {"label": "big", "method": "full", "model": "org/big"},
        {"label": "big head", "method": "head", "model": "org/big"},
        {"label": "other head", "method": "head", "model": "org/other"},
    )  # fmt: skip
    assert found == {
        "lora": "zero-shot, small, default template",
        "named": "zero-shot, small, plain",
        "text": "zero-shot, small, template 3",
        "big": "zero-shot, big",
        "big head": "zero-shot, big",
        "other head": "zero-shot, other",  # nobody asks it untuned: no difference is shown
    }


def answers(right: int) -> list[Prediction]:
    return [
        Prediction(str(i), "a" if i < right else "b", "a", choices=("a", "b"), scores=(0.0, 0.0)) for i in range(40)
    ]


def test_differences_are_those_to_ones_own_start() -> None:
    runs = [
        MethodRuns("none", "zero-shot, small", "zero-shot", {0: answers(10)}),
        MethodRuns("none", "zero-shot, big", "zero-shot", {0: answers(20)}),
        MethodRuns("lora", "lora", "tuned", {0: answers(30)}, start="zero-shot, small"),
        MethodRuns("full", "full", "tuned", {0: answers(30)}, start="zero-shot, big"),
        MethodRuns("head", "head", "tuned", {0: answers(30)}, start="zero-shot, other"),
    ]
    table = {row["label"]: row for row in task_data("t", ["accuracy"], runs, 5)["table"]}
    assert table["lora"]["difference"] is not None and table["lora"]["difference"]["value"] == pytest.approx(0.5)
    assert table["full"]["difference"] is not None and table["full"]["difference"]["value"] == pytest.approx(0.25)
    assert table["head"]["difference"] is None and table["zero-shot, big"]["difference"] is None
