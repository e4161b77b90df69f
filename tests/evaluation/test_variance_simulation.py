"""Simulated studies of two equally good methods: how often does the comparison call them different?"""

import numpy as np
import pytest

from tunewright.evaluation import simulated_studies
from tunewright.evaluation.variance import two_way

STUDIES, ROWS = 2000, 200


def outcomes(spread, seeds, own, gap=0.0, methods=2):
    return simulated_studies.outcomes(STUDIES, spread, seeds, ROWS, own, gap, methods)


@pytest.mark.parametrize("own", [0.0, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("seeds", [3, 5])
def test_equal_methods_are_rarely_called_different(seeds, spread, own):
    (a, true_a), (b, true_b) = outcomes(spread, seeds, own)
    assert true_a == true_b
    layout = two_way(a - b)
    variance, critical = layout.widest()
    half = critical * np.sqrt(variance)
    called = float((np.abs(layout.mean) > half).mean())
    print(f"seeds {seeds} spread {spread:.2f} own {own:.0f}: {called:.1%} called different, ±{half.mean():.1%}")
    assert called <= 0.06
    assert called > 0.001  # an interval that is never wrong is too wide to be of use


@pytest.mark.parametrize("seeds", [3, 5])
def test_intervals_hold_a_true_difference(seeds):
    (a, true_a), (b, true_b) = outcomes(0.02, seeds, 1.0, gap=0.08)
    layout = two_way(b - a)
    variance, critical = layout.widest()
    off = np.abs(layout.mean - (true_b - true_a))
    assert float((off <= critical * np.sqrt(variance)).mean()) >= 0.94
    if seeds == 5:
        assert float((layout.mean > critical * np.sqrt(variance)).mean()) > 0.75  # and they find it


def test_rows_alone_call_many_equal_methods_different():
    """Why runs count: the same studies, judged as if the average over seeds were all there is."""
    (a, _), (b, _) = outcomes(0.05, 3, 1.0)
    of_rows = (a - b).mean(axis=1)
    error = of_rows.std(axis=1, ddof=1) / np.sqrt(ROWS)
    assert float((np.abs(of_rows.mean(axis=1)) > 1.97 * error).mean()) > 0.25


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05])
def test_the_interval_of_one_method_holds_its_mean(seeds, spread):
    from tunewright.evaluation.differences import mean_interval

    [(scores, truth)] = outcomes(spread, seeds, 1.0, methods=1)
    found = [mean_interval(table) for table in scores[:600]]
    held = float(np.mean([i.low <= truth <= i.high for i in found]))
    assert held >= 0.94
