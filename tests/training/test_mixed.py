"""Rows of several tasks in one order: how often each is drawn, and that every step mixes them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.backbones.examples import Example, View
from tunewright.errors import InputError
from tunewright.mixtures.rates import shares
from tunewright.training.batches import Batches, Place, spread
from tunewright.training.mixed import MixedRows


class Encoder:
    """Rows of one task: row i of it has `lengths[i]` tokens, all of them the number of the task."""

    def __init__(self, task: int, lengths: Sequence[int]) -> None:
        self.task, self.lengths = task, lengths
        self.rows = list(lengths)

    def examples(self, indices: Sequence[int], epoch: int, purpose: str, room: int = 0) -> list[Example | None]:
        lengths = [self.lengths[i] for i in indices]
        return [Example([View([self.task] * n, [i] * n)]) if n else None for i, n in zip(indices, lengths)]


def mixed(sizes: Sequence[int], rates: Sequence[float] | None = None, seed: int = 0) -> MixedRows:
    encoders: Any = [Encoder(t, [5] * size) for t, size in enumerate(sizes)]
    return MixedRows(encoders, rates, seed)


def tasks_of(rows: MixedRows, order: Sequence[int]) -> list[int]:
    return [rows.task_of(index) for index in order]


def test_shares_are_the_rates_by_the_largest_remainder() -> None:
    assert shares(10, [1, 1]) == [5, 5]
    assert shares(10, [1, 2]) == [3, 7]  # 3.33 and 6.67
    assert shares(10, [1, 1, 1]) == [4, 3, 3]
    assert shares(7, [2.0, 0.5, 1.0]) == [4, 1, 2]
    assert shares(60, [24, 20, 16]) == [24, 20, 16]


def test_without_rates_an_epoch_is_every_row_once() -> None:
    rows = mixed([5, 3, 8])
    assert len(rows) == 16 and rows.draws == [5, 3, 8]
    for epoch in (0, 1):
        assert sorted(rows.order(epoch)) == list(range(16))
    assert rows.order(0) != rows.order(1)
    assert rows.order(0) == mixed([5, 3, 8]).order(0) != mixed([5, 3, 8], seed=1).order(0)


def test_rates_are_kept_exactly_and_no_row_comes_twice_before_all_came_once() -> None:
    """Rates 1 : 3 over 8 + 4 rows: 3 and 9 of an epoch's 12 draws, whatever the tasks' sizes."""
    rows = mixed([8, 4], [1.0, 3.0])
    drawn = [rows.order(epoch) for epoch in range(8)]
    assert [Counter(tasks_of(rows, order)) for order in drawn] == [{0: 3, 1: 9}] * 8
    first = [i for order in drawn for i in order if i < 8]
    assert sorted(first[:8]) == sorted(first[8:16]) == sorted(first[16:24]) == list(range(8))
    assert first[:8] != first[8:16]
    second = [i for order in drawn for i in order if i >= 8]
    assert all(sorted(second[k : k + 4]) == [8, 9, 10, 11] for k in range(0, 72, 4))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(20, 60), min_size=2, max_size=4), st.integers(0, 9))
def test_all_along_an_epoch_each_task_has_its_share(sizes: list[int], seed: int) -> None:
    rows = mixed(sizes, seed=seed)
    tasks = tasks_of(rows, rows.order(seed))
    for t, size in enumerate(sizes):
        for k in range(1, len(tasks) + 1):
            assert abs(tasks[:k].count(t) - k * size / len(tasks)) < len(sizes)


def test_a_rate_that_draws_nothing_is_told() -> None:
    with pytest.raises(InputError, match=r"tasks\[1\]: its rate gives it none of the 20 rows of an epoch; raise it"):
        mixed([10, 10], [1.0, 0.001])


def test_rows_come_from_their_own_task_in_the_order_asked() -> None:
    encoders: Any = [Encoder(0, [1, 0, 3]), Encoder(1, [4, 5])]
    rows = MixedRows(encoders, None, 0)
    found = rows.examples([4, 1, 0, 3, 2, 0], 0, "answer")
    assert [e and e.views[0].ids for e in found] == [[1] * 5, None, [0], [1] * 4, [0] * 3, [0]]


def test_lengths_count_among_those_of_the_own_task() -> None:
    """Task 1's rows are all longer than task 0's; cut by length alone, no step would mix them."""
    short = [(0, Example([View([0] * n, [-1] * n)])) for n in (4, 1, 3, 2)]
    long = [(1, Example([View([1] * n, [-1] * n)])) for n in (90, 70)]
    found = [(e.views[0].ids[0], e.tokens) for e in spread([*short, *long])]
    # places: ⅛ ⅜ ⅝ ⅞ of task 0, ¼ ¾ of task 1
    assert found == [(0, 1), (1, 70), (0, 2), (0, 3), (1, 90), (0, 4)]


def test_every_step_mixes_the_tasks_in_their_shares_and_goes_on_from_any_place() -> None:
    lengths = [[3, 4, 5, 6] * 10, [40, 50] * 10]
    encoders: Any = [Encoder(t, numbers) for t, numbers in enumerate(lengths)]
    rows = MixedRows(encoders, None, 0)

    def batches() -> Batches:
        return Batches(
            60, lambda i, epoch: rows.examples(i, epoch, "answer"), seed=0, batch_size=6, order=rows.order,
            task_of=rows.task_of,
        )  # fmt: skip

    def names(step: list[Example]) -> list[tuple[int, int]]:
        return [(e.views[0].ids[0], e.views[0].soft[0]) for e in step]

    stream = batches().steps(Place(0, 0))
    steps = [(at, names(step)) for at, step in (next(stream) for _ in range(25))]
    for _, step in steps:
        assert len(step) == 6 and 1 <= sum(task for task, _ in step) <= 3  # a third are task 1's: 2, give or take one
    assert Counter(name for _, step in steps[:10] for name in step) == Counter(
        [(t, i) for t, numbers in enumerate(lengths) for i in range(len(numbers))]
    )
    for done in (4, 10, 17):
        later = batches().steps(steps[done - 1][0])
        assert [(at, names(step)) for at, step in (next(later) for _ in range(3))] == steps[done : done + 3]
