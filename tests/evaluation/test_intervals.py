import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.evaluation.intervals import Interval, interval_of_mean, wilson

FRACTION = (0.0, 1.0)


def test_wilson_of_eight_in_ten():
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=5e-5)


def test_wilson_at_the_ends():
    # z²/(n + z²) = 3.8415 / 13.8415
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=5e-5)


@given(st.floats(0, 1), st.floats(1, 1e6))
def test_wilson_holds_the_share(share, n):
    low, high = wilson(share, n)
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1 and low < high


def test_right_and_wrong_rows_get_wilson():
    found = interval_of_mean([1.0] * 8 + [0.0] * 2, FRACTION)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=5e-5)
    assert interval_of_mean([1.0] * 10, FRACTION).low == pytest.approx(0.7225, abs=5e-5)


def test_other_scores_get_a_t_interval():
    # mean 0.4, standard deviation 0.2, t at 2 degrees of freedom 4.3027; cut at 0
    found = interval_of_mean([0.2, 0.4, 0.6], FRACTION)
    half = 4.302653 * 0.2 / math.sqrt(3)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.0, 0.4 + half))
    errors = interval_of_mean([2.0, 4.0, 6.0], (0.0, math.inf))
    assert (errors.low, errors.high) == pytest.approx((0.0, 4 + 10 * half))


def test_equal_scores_have_no_width_zero():
    assert interval_of_mean([0.5] * 10, FRACTION) == Interval(0.5, *wilson(0.5, 10))
    assert interval_of_mean([3.0, 3.0], (0.0, math.inf)) == Interval(3.0, None, None)


def test_one_row_has_no_interval():
    assert interval_of_mean([1.0], FRACTION).to_json() == {"value": 1.0, "low": None, "high": None}
