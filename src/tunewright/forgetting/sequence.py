"""Tasks one after the other: the matrix of scores R[i, j] and what is made of it.

R[i, j] is the score on task j after stage i (tasks and stages from 1); R[0, j] is the untuned model's. Scores are
fractions of which more is better.
"""

from collections.abc import Sequence
from typing import Any

from tunewright.evaluation.differences import Difference, mean_difference
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.macro import macro_average
from tunewright.evaluation.metrics import metric

Matrix = Sequence[Sequence[float]]  # [T + 1, T], the untuned model first


def average_accuracy(scores: Matrix) -> float:
    """ACC = 1/T Σ_j R[T, j]: the mean over tasks after the last stage (Lopez-Paz & Ranzato 2017, eq. 2)."""
    last = scores[-1]
    return sum(last) / len(last)


def backward_transfer(scores: Matrix) -> float:
    """BWT = 1/(T − 1) Σ_{j<T} (R[T, j] − R[j, j]): below 0, later stages made earlier tasks worse (eq. 3).

    Raises ValueError for fewer than two tasks.
    """
    return _mean(scores[-1][j] - scores[j + 1][j] for j in _earlier(scores))


def forward_transfer(scores: Matrix) -> float:
    """FWT = 1/(T − 1) Σ_{j>1} (R[j − 1, j] − R[0, j]): above 0, earlier stages helped tasks not yet tuned (eq. 4).

    The paper's b_j is a randomly initialised model's score; here it is the untuned model's.
    Raises ValueError for fewer than two tasks.
    """
    return _mean(scores[j][j] - scores[0][j] for j in range(1, len(scores[0])))


def forgotten(scores: Matrix, stage: int | None = None) -> list[float]:
    """f_j = max_{l in 1…k−1} R[l, j] − R[k, j] of each task j < k, at stage k, else the last (Chaudhry et al. 2018).

    Above 0: worse than at its best. Raises ValueError for k < 2.
    """
    last = len(scores) - 1 if stage is None else stage
    if last < 2:
        raise ValueError("forgetting wants two stages")
    return [max(scores[at][j] for at in range(1, last)) - scores[last][j] for j in range(last - 1)]


def forgetting(scores: Matrix, stage: int | None = None) -> float:
    """F_k = 1/(k − 1) Σ_{j<k} f_j (Chaudhry et al. 2018)."""
    return _mean(forgotten(scores, stage))


def sequence_json(
    names: Sequence[str], metrics: Sequence[str], values: Sequence[Sequence[Interval]], rows: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """The content of sequence.json: the matrix with intervals, and the four numbers.

    `values` [T + 1][T]; `rows` [T + 1][T] are each row's scores. Intervals are over rows (one run). The four are null
    where a task's metric is no fraction. Forgetting has no interval: the maximum over stages is picked on the same
    rows, which makes it too large by chance, the more so the fewer rows there are.
    """
    found: dict[str, Any] = {
        "tasks": list(names),
        "metrics": list(metrics),
        "rows": [len(row) for row in rows[0]],
        "matrix": [[one.to_json() for one in line] for line in values],
        "average": None, "backward": None, "forward": None, "forgetting": None, "forgotten": None,
    }  # fmt: skip
    if not all(metric(name).unit == "fraction" and metric(name).higher_is_better for name in metrics):
        return found
    average = macro_average(list(zip(metrics, values[-1])))
    found["average"] = average.to_json() if average is not None else None
    count = len(names)
    if count > 1:
        scores = [[one.value for one in line] for line in values]
        found["backward"] = _json(mean_difference([([rows[-1][j]], [rows[j + 1][j]]) for j in range(count - 1)]))
        found["forward"] = _json(mean_difference([([rows[j][j]], [rows[0][j]]) for j in range(1, count)]))
        # A score made of all rows together is not the mean of its rows' parts to the last digit.
        found["backward"]["value"], found["forward"]["value"] = backward_transfer(scores), forward_transfer(scores)
        found["forgetting"] = {"value": forgetting(scores), "low": None, "high": None}
        found["forgotten"] = forgotten(scores)
    return found


def _json(one: Difference) -> dict[str, Any]:
    return {"value": one.value, "low": one.low, "high": one.high, "p": one.p}


def _earlier(scores: Matrix) -> range:
    return range(len(scores[0]) - 1)


def _mean(values: Any) -> float:
    listed = list(values)
    if not listed:
        raise ValueError("two tasks wanted")
    return sum(listed) / len(listed)
