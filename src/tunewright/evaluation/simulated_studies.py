"""Simulated studies whose truth is known: what the statistics of this project are checked on."""

import numpy as np

from tunewright.evaluation.corpus_metrics import Floats
from tunewright.seeds import numpy_random

SHARED, SHARE_RIGHT = 2.0, 0.8


def outcomes(
    studies: int, spread: float, seeds: int, rows: int, own: float, gap: float = 0.0, methods: int = 2
) -> list[tuple[Floats, float]]:
    """0/1 outcomes `[studies, seeds, rows]` of each method, and its true accuracy over rows and runs.

    A row is right when `skill + row's ease (shared by the methods) + row's ease for this method + this run's luck +
    noise > 0`. `spread` is the standard deviation of runs and `gap` what each method is better than the one before,
    both in accuracy; `own` is the deviation of a row's ease for one method. Without a gap every difference is false.
    """
    from scipy import stats

    random = numpy_random("simulated studies", spread, seeds, own, gap)
    scale = np.sqrt(1 + SHARED**2 + own**2)
    skill = stats.norm.ppf(SHARE_RIGHT) * scale
    per_accuracy = scale / stats.norm.pdf(skill / scale)  # how far the skill moves for 1 of accuracy
    ease = random.normal(0, SHARED, (studies, 1, rows))
    found = []
    for k in range(methods):
        right = np.empty((studies, seeds, rows), dtype=bool)
        of_rows = skill + k * gap * per_accuracy + ease + own * random.normal(size=(studies, 1, rows))
        luck = spread * per_accuracy * random.normal(size=(studies, seeds, 1))
        for s in range(seeds):
            right[:, s] = of_rows[:, 0] + luck[:, s] + random.normal(size=(studies, rows)) > 0
        truth = stats.norm.cdf((skill + k * gap * per_accuracy) / np.hypot(scale, spread * per_accuracy))
        found.append((right.astype(np.float64), float(truth)))
    return found
