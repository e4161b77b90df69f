import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tunewright.evaluation.differences import difference, holm, mean_interval, mean_interval_corpus
from tunewright.evaluation.intervals import wilson
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.variance import two_way

TABLE = [[1, 2, 3], [3, 2, 7]]


def test_mean_squares_of_two_runs_and_three_rows():
    # Means: all 3, runs 2 and 4, rows 2, 2, 5. Sums of squares: 22 in all, 6 of runs, 12 of rows, 4 left.
    layout = two_way(TABLE)
    assert (layout.mean, layout.ms_runs, layout.ms_rows, layout.ms_rest) == (3, 6, 6, 2)


def test_variance_and_cochrans_critical_value():
    # Runs 6/6, rows (6 − 2)/6; t at 1 and 2 degrees of freedom 12.7062 and 4.3027, weighted 6 : 4.
    variance, critical = two_way(TABLE).widest()
    assert variance == pytest.approx(10 / 6)
    assert critical == pytest.approx(0.6 * 12.7062 + 0.4 * 4.3027, abs=1e-4)
    found = difference(TABLE, np.zeros((2, 3)))
    assert found.high - found.value == pytest.approx(9.3448 * (10 / 6) ** 0.5, abs=1e-3)
    assert 1 < found.df < 2


def test_never_narrower_than_rows_alone():
    # Equal run means and no row effect leave the run and row parts at 0; the rows' own spread is still there.
    layout = two_way([[1, 0, 0, -1], [0, 1, -1, 0], [0, 0, 0, 0]])
    assert layout.ms_runs == 0
    variance, critical = layout.widest()
    assert variance == pytest.approx(max(float(layout.ms_rows), float(layout.ms_rest)) / 12)
    assert critical == pytest.approx(3.1824, abs=1e-4)  # t at 3 degrees of freedom


def test_one_seed_is_the_paired_t_interval_and_says_so():
    from scipy import stats

    first, second = [1.0, 0.0, 1.0, 1.0, 0.5], [0.0, 0.0, 1.0, 0.0, 0.5]
    known = stats.ttest_rel(first, second)
    found = difference([first], [second])
    assert found.p == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()))
    assert (found.df, found.seeds, found.rows, found.runs_known) == (4, 1, 5, False)
    assert "One run of each" in found.note and "unknown" in found.note


def test_many_seeds_that_only_shift_are_the_t_interval_over_seeds():
    from scipy import stats

    shifts = np.array([0.1, -0.05, 0.2, 0.0])
    first = shifts[:, None] + np.arange(6.0) / 10
    found = difference(first, np.tile(np.arange(6.0) / 10, (4, 1)))
    known = stats.ttest_1samp(shifts, 0)
    assert (found.p, found.df) == pytest.approx((known.pvalue, 3))
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval()))
    assert found.runs_known and "Only 4 seeds" in found.note


def test_tiny_p_values_stay_numbers():
    random = np.random.default_rng(0)
    noise = random.normal(0, 1e-3, (3, 2000))
    far = difference(0.5 + noise, np.zeros((3, 2000)))
    assert 0 <= far.p < 1e-4 and far.low > 0.49
    assert difference(0.5 + noise[:1], np.zeros((1, 2000))).p == 0.0
    assert difference([[1.0, -1.0, 0.0]], [[0.0, 0.0, 0.0]]).p == 1.0


def test_five_seeds_need_no_note():
    random = np.random.default_rng(0)
    assert difference(random.random((5, 20)), random.random((5, 20))).note == ""


def test_methods_that_never_differ_are_not_called_certainly_equal():
    same = np.ones((3, 100))
    found = difference(same, same)
    # 0 of 100 rows differ: at most 1 − 0.025^(1/100) = 3.6 % could.
    assert (found.value, found.p) == (0, 1)
    assert (found.low, found.high) == pytest.approx((-0.0362, 0.0362), abs=1e-4)
    worse = difference(same, 0 * same)
    assert (worse.value, worse.high) == (1, 1)
    assert worse.low == pytest.approx(1 - 2 * 0.0362, abs=1e-3)
    assert 0 < worse.p < 1e-20


def test_unbounded_scores_without_spread_have_no_interval():
    found = difference([[5.0, 5.0], [5.0, 5.0]], [[3.0, 3.0], [3.0, 3.0]])
    assert (found.value, found.low, found.high, found.p) == (2, None, None, None)


def test_one_row_says_nothing():
    found = difference([[1.0], [0.0]], [[0.0], [0.0]])
    assert (found.value, found.low, found.p) == (0.5, None, None)


def test_shapes_and_nan_are_refused():
    with pytest.raises(ValueError, match="one shape wanted"):
        difference(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="finite"):
        difference([[float("nan"), 1.0]], [[0.0, 0.0]])


SCORES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0.0, 0.25, 1.0]))


@given(SCORES, st.randoms(use_true_random=False))
def test_interval_and_p_agree_and_turn_round(first, random):
    second = np.array([[random.choice([0.0, 0.5, 1.0]) for _ in row] for row in first])
    found, turned = difference(first, second), difference(second, first)
    json.dumps(found.to_json(), allow_nan=False)
    assert found.value == pytest.approx(-turned.value)
    if found.low is None:
        assert first.shape[1] == 1
        return
    assert (found.low, found.high, found.p) == pytest.approx((-turned.high, -turned.low, turned.p))
    assert found.low <= found.value <= found.high and 0 <= found.p <= 1
    if min(abs(found.low), abs(found.high)) > 1e-9:
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(ps):
    adjusted = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))
    assert [adjusted[i] for i in sorted(range(len(ps)), key=ps.__getitem__)] == sorted(adjusted)


def test_mean_interval_of_one_seed_is_the_runs_own():
    assert mean_interval([[1] * 8 + [0] * 2]).low == pytest.approx(0.4902, abs=5e-5)


def test_mean_interval_widens_with_the_spread_of_runs():
    rows = np.array([1.0] * 80 + [0.0] * 20)
    still = mean_interval(np.stack([rows] * 5))
    assert (still.low, still.high) == pytest.approx(wilson(0.8, 100), abs=5e-3)
    spread = np.stack([np.roll(rows, 0), rows, rows, rows, rows])
    spread[0, :10], spread[1, -10:] = 0.0, 1.0
    moved = mean_interval(spread)
    assert moved.value == pytest.approx(0.8)
    assert moved.low < still.low - 0.03 and moved.high > still.high + 0.015
    assert moved.low >= 0 and moved.high <= 1


def test_mean_interval_of_all_right_and_of_errors():
    assert mean_interval(np.ones((3, 50))).high == 1.0
    assert 0.9 < mean_interval(np.ones((3, 50))).low < 0.95
    errors = mean_interval([[1.0, 3.0], [3.0, 1.0]], metric("mae").bounds)
    assert errors.low == 0.0 and errors.value == 2.0 and errors.high > 3
    assert mean_interval(np.full((2, 4), 7.0), metric("mae").bounds).low is None


def runs(*said, gold="aabbab"):
    return [[Prediction(str(i), p, t) for i, (p, t) in enumerate(zip(run, gold, strict=True))] for run in said]


def test_corpus_metrics_over_runs():
    three = runs("aabbab", "aabbaa", "abbbab")
    found = mean_interval_corpus(metric("macro-f1"), three)
    assert found.value == pytest.approx(np.mean([metric("macro-f1").corpus(run) for run in three]))
    assert 0 <= found.low < found.value < found.high <= 1
    plain = mean_interval([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 1, 1]])
    assert mean_interval_corpus(metric("accuracy"), three) == plain
    assert mean_interval_corpus(metric("macro-f1"), three[1:2]) == metric("macro-f1").interval(three[1])
