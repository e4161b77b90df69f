import json

import pytest

from tunewright.evaluation.one_run import mcnemar
from tunewright.evaluation.power import detectable, power_note


def test_mcnemar_of_five_against_one():
    first = [1] * 5 + [0] * 1 + [1] * 4 + [0] * 2
    second = [0] * 5 + [1] * 1 + [1] * 4 + [0] * 2
    found = mcnemar(first, second)
    # 2 · (C(6,0) + C(6,1)) / 2⁶ = 14/64
    assert (found.only_first, found.only_second, found.p) == (5, 1, pytest.approx(14 / 64))
    assert found.value == pytest.approx(4 / 12)
    assert found.low <= 0 < found.value < found.high
    assert "One run of each" in found.note
    assert found == mcnemar(first, second)
    turned = mcnemar(second, first)
    assert (turned.value, turned.p) == pytest.approx((-4 / 12, 14 / 64))
    json.dumps(found.to_json(), allow_nan=False)


def test_mcnemar_of_rows_that_never_differ():
    found = mcnemar([True] * 100, [True] * 100)
    assert (found.value, found.p) == (0, 1)
    assert found.high == pytest.approx(0.0362, abs=1e-4)


def test_mcnemar_wants_the_same_rows():
    with pytest.raises(ValueError, match="one length"):
        mcnemar([True], [True, False])


def test_one_run_of_a_hundred_rows_finds_about_twelve_points():
    # (1.984 + 0.845) · √(0.2 / 100) = 0.1265
    assert detectable(1, 100, 0.0) == pytest.approx(0.1265, abs=0.001)


def test_runs_that_spread_need_larger_differences():
    # Runs alone, spread 4 points: √(2·0.04²/S) = 0.0327 for 3, 0.0253 for 5; t at 2 and 4 degrees of freedom.
    assert detectable(3, 10**6, 0.04) == pytest.approx(0.185, abs=0.002)
    assert detectable(5, 10**6, 0.04) == pytest.approx(0.095, abs=0.002)
    assert detectable(3, 200, 0.04) > detectable(5, 200, 0.04) > detectable(5, 200, 0.0)


def test_power_in_words():
    note = power_note(5, 200, 0.04)
    assert "5 seeds, 200 test rows" in note and "4.0 points" in note and "12.9 points" in note and "80 %" in note
    assert "unknown" in power_note(1, 100, 0.0)


def test_power_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="seeds ≥ 1"):
        detectable(0, 100, 0.0)
