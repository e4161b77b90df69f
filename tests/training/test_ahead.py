"""Steps made ahead in a thread: the same steps in the same order, errors where they would be, and an end."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_prepared

from tunewright.errors import InputError
from tunewright.runs.looks import objective_of
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import make_batches
from tunewright.training.ahead import ahead
from tunewright.training.batches import Batches
from tunewright.training.loop import Interrupted, Plan, train


def numbers(taken: list[int], end: int = 99, wrong: int | None = None) -> Iterator[int]:
    for number in range(end):
        taken.append(number)
        if number == wrong:
            raise InputError(f"row {number}: wrong")
        yield number


def threads() -> int:
    return sum(thread.name == "rows ahead" for thread in threading.enumerate())


def until(taken: list[int], count: int) -> None:
    """Wait until so many are taken, and a little longer, that more could be."""
    for _ in range(1000):
        if len(taken) >= count:
            break
        time.sleep(0.005)
    time.sleep(0.05)


def test_the_first_ones_in_their_order_and_nothing_beyond() -> None:
    taken: list[int] = []
    with ahead(numbers(taken), most=5, depth=2) as items:
        assert list(items) == [0, 1, 2, 3, 4]
    assert taken == [0, 1, 2, 3, 4]
    assert threads() == 0


def test_no_more_than_depth_and_the_one_in_hand_wait() -> None:
    taken: list[int] = []
    with ahead(numbers(taken), most=50, depth=2) as items:
        until(taken, 3)
        assert taken == [0, 1, 2]
        assert next(items) == 0
        until(taken, 4)
        assert taken == [0, 1, 2, 3]
    assert threads() == 0


def test_what_was_read_does_not_depend_on_the_thread_s_speed() -> None:
    def slow(taken: list[int]) -> Iterator[int]:
        for number in numbers(taken):
            time.sleep(0.01)
            yield number

    taken: list[int] = []
    with ahead(slow(taken), most=50, depth=3) as items:
        assert next(items) == 0
    assert taken == [0, 1, 2, 3, 4]


def test_an_error_comes_behind_what_was_before_it() -> None:
    taken: list[int] = []
    with pytest.raises(InputError, match="row 2: wrong"), ahead(numbers(taken, wrong=2), most=50, depth=8) as items:
        assert [next(items), next(items)] == [0, 1]
        next(items)
    assert threads() == 0


def test_a_source_that_ends_and_one_that_is_left() -> None:
    with ahead(numbers([], end=2), most=50, depth=8) as items:
        assert list(items) == [0, 1]
    with pytest.raises(KeyboardInterrupt), ahead(numbers([]), most=50, depth=8) as items:
        raise KeyboardInterrupt
    assert threads() == 0


def test_without_depth_there_is_no_thread() -> None:
    taken: list[int] = []
    with ahead(numbers(taken), most=50, depth=0) as items:
        assert threads() == 0
        assert next(items) == 0
    assert taken == [0]


# ---- in the loop --------------------------------------------------------------------------------------------


def prepared_with(**keys: Any) -> Prepared:
    return tiny_prepared("prompt-tuning", "llama", training={"steps": 20, "batch_size": 2, **keys})


def batches_of(prepared: Prepared) -> Batches:
    """As a run makes them."""
    defaults = prepared.method.defaults_for(prepared.family)
    assert defaults is not None
    rows = prepared.encoder(prepared.task.split("train"))
    return make_batches(prepared, rows, objective_of(prepared), defaults)


def test_a_run_has_the_same_losses_with_and_without() -> None:
    found = []
    for depth in (8, 0):
        prepared = prepared_with()
        batches = batches_of(prepared)
        assert batches.ahead == 8
        batches.ahead = depth
        found.append(train(prepared.tuner, batches, Plan(20, 0.05)).losses)
    assert found[0] == found[1] and len(found[0]) == 20


def test_plain_and_rows_with_examples_before_them_go_without() -> None:
    assert batches_of(prepared_with(plain=True)).ahead == 0
    prepared = prepared_with()
    prepared.demonstrator = object()  # type: ignore[assignment]
    assert batches_of(prepared).ahead == 0


@pytest.mark.parametrize("depth", [8, 0])
def test_a_wrong_row_ends_the_run_at_its_step(depth: int) -> None:
    def encode(indices: Any, epoch: int) -> Any:
        if epoch:
            raise InputError("row train-3: its answer is empty")
        return good.encode(indices, epoch)

    def validate(tuner: Any) -> list[float]:
        looks.append(1)
        return [0.0]

    looks: list[int] = []
    prepared = prepared_with()
    good = batches_of(prepared)
    batches = Batches(16, encode, seed=0, batch_size=2, ahead=depth)
    with pytest.raises(InputError, match="row train-3: its answer is empty"):
        train(prepared.tuner, batches, Plan(20, 0.05, evaluate_every=1), validate=validate)
    assert len(looks) == 8
    assert threads() == 0


def test_ctrl_c_ends_the_thread_and_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    def validate(tuner: Any) -> list[float]:
        looks.append(1)
        if len(looks) == 3:
            signal.raise_signal(signal.SIGINT)
        return [0.0]

    looks: list[int] = []
    plan = Plan(20, 0.05, evaluate_every=1)
    prepared = prepared_with()
    with pytest.raises(Interrupted):
        train(prepared.tuner, batches_of(prepared), plan, folder=tmp_path, validate=validate)
    assert threads() == 0
    again, whole = prepared_with(), prepared_with()
    resumed = train(again.tuner, batches_of(again), plan, folder=tmp_path, validate=validate, resume=True)
    assert resumed.losses == train(whole.tuner, batches_of(whole), Plan(20, 0.05)).losses
    assert len(looks) == 20
