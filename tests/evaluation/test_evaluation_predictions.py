import json

import pytest

from tunewright.errors import InputError
from tunewright.evaluation.predictions import Prediction


def test_a_line_goes_out_and_comes_back():
    row = Prediction(
        "test-3", "yes", "no", prompt="Is it?", references=("no",), choices=("no", "yes"), scores=(-2.5, -0.5)
    )
    line = json.dumps(row.to_json())
    assert json.loads(line) == {
        "id": "test-3",
        "prediction": "yes",
        "target": "no",
        "prompt": "Is it?",
        "references": ["no"],
        "choices": ["no", "yes"],
        "scores": [-2.5, -0.5],
    }
    assert Prediction.from_json(json.loads(line)) == row


def test_empty_parts_are_left_out_and_numbers_stay_numbers():
    row = Prediction("test-0", 2.5, 3.0)
    assert row.to_json() == {"id": "test-0", "prediction": 2.5, "target": 3.0}
    assert Prediction.from_json(row.to_json()) == row


def test_tags_go_out_and_come_back():
    row = Prediction("0", "", "", tokens=("Ann", "left"), gold_tags=("B-PER", "O"), predicted_tags=("O", "O"))
    assert Prediction.from_json(row.to_json()) == row


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match="line 4: key 'target' is missing"):
        Prediction.from_json({"id": "0", "prediction": "a"}, "line 4")
