"""Which rows stand in which step."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.backbones.examples import Example, View
from tunewright.training.batches import Batches, Place, cut, parts


def example(length: int, views: int = 1, name: int = 0) -> Example:
    return Example([View([name] * length, [-1] * length) for _ in range(views)])


START = Place(0, 0)


class Source:
    """Rows of given lengths; remembers what was encoded. A row of length 0 is skipped."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths, self.asked = lengths, []

    def __call__(self, indices: Sequence[int], epoch: int) -> list[Example | None]:
        self.asked.append((epoch, list(indices)))
        return [example(self.lengths[i], name=i) if self.lengths[i] else None for i in indices]


def rows_of(step: list[Example]) -> list[int]:
    return [e.views[0].ids[0] for e in step]


def take(batches: Batches, count: int, place: Place = START) -> list[tuple[Place, list[int]]]:
    stream = batches.steps(place)
    return [(at, rows_of(step)) for at, step in (next(stream) for _ in range(count))]


LENGTHS = [3, 9, 4, 8, 2, 7, 5, 6, 1, 10]


def test_every_row_once_an_epoch_and_the_same_for_the_same_seed() -> None:
    batches = Batches(10, Source(LENGTHS), seed=3, batch_size=4)
    steps = take(batches, 6)
    for epoch in (steps[:3], steps[3:]):
        assert sorted(row for _, rows in epoch for row in rows) == list(range(10))
        assert sorted(len(rows) for _, rows in epoch) == [2, 4, 4]
    assert [at for at, _ in steps] == [Place(0, 1), Place(0, 2), Place(0, 3), Place(1, 1), Place(1, 2), Place(1, 3)]
    assert steps == take(Batches(10, Source(LENGTHS), seed=3, batch_size=4), 6)
    assert steps != take(Batches(10, Source(LENGTHS), seed=4, batch_size=4), 6)
    assert [rows for _, rows in steps[:3]] != [rows for _, rows in steps[3:]]


def test_rows_meet_others_in_the_next_epoch() -> None:
    """Windows of eight rows: not the same eight again."""
    steps = take(Batches(10, Source(LENGTHS), seed=3, batch_size=1), 20)
    windows = [{row for _, rows in steps[start : start + 8] for row in rows} for start in (0, 10)]
    assert len(windows[0]) == len(windows[1]) == 8 and windows[0] != windows[1]


def test_a_window_is_cut_by_length() -> None:
    """10 rows are one window: the shortest four stand together, and so on."""
    steps = [
        sorted(LENGTHS[row] for row in rows) for _, rows in take(Batches(10, Source(LENGTHS), seed=3, batch_size=4), 3)
    ]
    assert sorted(steps) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 8))
def test_going_on_from_a_place_is_going_on(size: int, done: int) -> None:
    whole = take(Batches(10, Source(LENGTHS), seed=1, batch_size=size), done + 5)
    place = whole[done - 1][0] if done else Place(0, 0)
    assert take(Batches(10, Source(LENGTHS), seed=1, batch_size=size), 5, place) == whole[done:]


def test_skipped_rows_leave_the_rest() -> None:
    steps = take(Batches(5, Source([0, 2, 0, 3, 4]), seed=0, batch_size=2), 2)
    assert sorted(row for _, rows in steps for row in rows) == [1, 3, 4]


def test_no_rows_left_ends_the_stream() -> None:
    assert list(Batches(3, Source([0, 0, 0]), seed=0, batch_size=2).steps(Place(0, 0))) == []


def test_rows_are_encoded_a_window_at_a_time() -> None:
    source = Source([5] * 100)
    next(Batches(100, source, seed=0, batch_size=4).steps(Place(0, 0)))
    assert [len(indices) for _, indices in source.asked] == [32]


def test_cut_by_padded_tokens() -> None:
    lengths = [2, 3, 4, 4, 9, 30]
    found = [[e.tokens for e in part] for part in cut([example(n) for n in lengths], None, 12)]
    assert found == [[2, 3, 4], [4], [9], [30]]  # 3 × 4 = 12 fits, 4 × 4 does not; a row too long stands alone
    falling = [[e.tokens for e in part] for part in cut([example(n) for n in reversed(lengths)], None, 12)]
    assert falling == [[30], [9], [4, 4, 3], [2]]


def test_views_count() -> None:
    assert [len(part) for part in cut([example(4, views=2), example(4, views=2)], None, 12)] == [1, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(40, 200))
def test_a_token_budget_is_kept_and_nothing_is_lost(lengths: list[int], budget: int) -> None:
    found = cut(sorted([example(n) for n in lengths], key=lambda e: e.tokens), None, budget)
    assert sorted(e.tokens for part in found for e in part) == sorted(lengths)
    assert all(max(e.tokens for e in part) * len(part) <= budget for part in found)


def test_length_buckets_keep_padding_low() -> None:
    lengths = [10 + (7 * i) % 190 for i in range(1024)]
    batches = Batches(1024, Source(lengths), seed=0, batch_tokens=2048)
    real = padded = 0
    stream = batches.steps(Place(0, 0))
    while real < sum(lengths):
        _, step = next(stream)
        real += sum(e.tokens for e in step)
        padded += max(e.tokens for e in step) * len(step)
    assert real == sum(lengths)
    assert 1 - real / padded < 0.10


@pytest.mark.parametrize(("count", "sizes"), [(1, [5]), (2, [2, 3]), (3, [1, 2, 2]), (9, [1, 1, 1, 1, 1])])
def test_parts_of_a_step(count: int, sizes: list[int]) -> None:
    examples = [example(1, name=i) for i in range(5)]
    found = parts(examples, count)
    assert [len(part) for part in found] == sizes
    assert [e for part in found for e in part] == examples


def test_packed_steps_are_cut_by_the_sum_of_their_tokens() -> None:
    """Whatever rows come next in the epoch's order: no row waits for others of its length."""
    lengths = [5, 1, 4, 2, 9, 3, 3, 1, 6, 2]
    examples = [Example([View([0] * n, [-1] * n)]) for n in lengths]
    packed = Batches(10, lambda indices, epoch: [examples[i] for i in indices], seed=0, batch_tokens=10, packed=True)
    order = list(packed.order(0))
    steps: list[list[int]] = [[]]
    for i in order:
        if sum(lengths[j] for j in steps[-1]) + lengths[i] > 10:
            steps.append([])
        steps[-1].append(i)
    found = []
    for place, step in packed.steps(Place(0, 0)):
        if place.epoch:
            break
        found.append([next(i for i in range(10) if examples[i] is example) for example in step])
    assert sorted(found) == sorted(steps)
