"""Numbers one can check by eye: spread, what validation picks, regret, what calibration changes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.evaluation.differences import difference
from tunewright.evaluation.metrics import metric
from tunewright.sensitivity.cells import Cell, Way, likelihood
from tunewright.sensitivity.plan import draw_orders
from tunewright.sensitivity.summary import Scored, effects, group_summary, picked, row_table, scored, spread
from tunewright.tasks.task import Rows

PLAIN, CONTEXTUAL = Way(0, "none", "none"), Way(0, "contextual", "none")
ACCURACY = metric("accuracy")
ROWS: dict[Any, Rows] = {
    "validation": Rows({"label": ["a", "a", "b", "b"]}, ["v0", "v1", "v2", "v3"]),
    "test": Rows({"label": ["a", "a", "b", "b", "b"]}, ["t0", "t1", "t2", "t3", "t4"]),
}


def cell(name: str, validation: str, test: str, way: Way = PLAIN, order: int = 0, likely: float = -1.0) -> Cell:
    """Answers a letter a row; a dot where the template skips it."""
    said: Any = {"validation": validation, "test": test}
    answers: Any = {split: [None if c == "." else c for c in text] for split, text in said.items()}
    return Cell(name, order, way, likely, answers)


def of(*cells: Cell) -> list[Scored]:
    return scored(cells, ROWS, "label", ["accuracy"])


def summary(*cells: Cell) -> dict[str, Any]:
    return group_summary(cells[0].way, of(*cells), row_table(cells, ROWS["test"], "label", ACCURACY), ACCURACY)


def test_a_group_by_hand() -> None:
    """Test accuracies 1.0, 0.6, 0.2; validation 0.5, 0.75, 0.25: it picks the second, 0.4 below the best."""
    found = summary(cell("one", "aaaa", "aabbb"), cell("two", "aaba", "aaaab"), cell("three", "bbba", "bbbaa"))
    assert found["label"] == "zero-shot plain"
    assert (found["mean"], found["min"], found["max"]) == (pytest.approx(0.6), 0.2, 1.0)
    assert found["std"] == pytest.approx(0.4)
    assert (found["picked"]["template"], found["picked"]["validation"]["value"]) == ("two", 0.75)
    assert found["picked"]["test"]["value"] == 0.6 and found["picked"]["test"]["low"] < 0.6
    assert found["best_by_test"]["template"] == "one"
    assert found["regret"] == pytest.approx(0.4)
    assert found["mean_interval"]["low"] < 0.6 < found["mean_interval"]["high"]


def test_equal_on_validation() -> None:
    """The likelier right answers decide, then the first."""
    same = [cell("one", "aabb", "aaaaa"), cell("two", "aabb", "bbbbb", likely=-0.5), cell("three", "aabb", "aabbb")]
    assert picked(of(*same), ACCURACY).cell.template == "two"
    assert picked(of(*same[::2]), ACCURACY).cell.template == "one"


@given(st.lists(st.text("ab", min_size=5, max_size=5), min_size=2, max_size=5), st.data())
def test_test_rows_never_pick(answers: list[str], data: st.DataObject) -> None:
    """Whatever is said to the test rows, the pick is the same."""
    validation = [data.draw(st.text("ab", min_size=4, max_size=4)) for _ in answers]
    groups = [
        [cell(str(i), mine, theirs) for i, (mine, theirs) in enumerate(zip(validation, tests))]
        for tests in (answers, ["aabbb"] * len(answers))
    ]
    assert len({picked(of(*group), ACCURACY).cell.template for group in groups}) == 1
    assert summary(*groups[0])["regret"] >= 0


def test_skipped_rows_leave_the_pairs() -> None:
    cells = [cell("one", "aabb", "a.bbb"), cell("two", "....", "bbbb.")]
    assert row_table(cells, ROWS["test"], "label", ACCURACY).tolist() == [[1, 1, 1], [0, 1, 1]]
    one, two = of(*cells)
    assert (one.n["test"], two.n["validation"], one.value("test")) == (4, 0, 1.0)
    assert picked([two, one], ACCURACY).cell.template == "one"


def test_what_calibration_changes() -> None:
    """Paired by template and row; orders of one template are averaged first."""
    plain = [cell("one", "aabb", "aaaaa", order=1), cell("one", "aabb", "aabaa", order=2), cell("two", "aabb", "aabbb")]
    better = [cell(c.template, "aabb", "aabbb", CONTEXTUAL, c.order) for c in plain]
    (found,) = effects([*plain, *better], ROWS["test"], "label", ACCURACY)
    # one: 1.0 − mean(0.4, 0.6) = 0.5; two: 0
    assert found["value"] == pytest.approx(0.25)
    assert (found["templates"], found["rows"], found["better_for"], found["worse_for"]) == (2, 5, 1, 0)
    reference = difference(np.ones((2, 5)), np.array([[1, 1, 0.5, 0, 0], [1, 1, 1, 1, 1]]))
    assert (found["low"], found["high"], found["p"]) == (reference.low, reference.high, reference.p)
    assert effects(better, ROWS["test"], "label", ACCURACY) == []  # nothing to compare with


def test_spread_of_one() -> None:
    assert spread([0.5]) == {"mean": 0.5, "std": None, "min": 0.5, "max": 0.5}


def test_a_lower_score_can_be_better() -> None:
    mae = metric("mae")
    rows: dict[Any, Rows] = {s: Rows({"y": ["1", "2"]}, ["r0", "r1"]) for s in ("validation", "test")}
    near = Cell("near", 0, PLAIN, -1.0, {"validation": ["1", "3"], "test": ["1", "4"]})
    far = Cell("far", 0, PLAIN, -1.0, {"validation": ["3", "4"], "test": ["1", "3"]})
    found = scored([far, near], rows, "y", ["mae"])
    line = group_summary(PLAIN, found, row_table([far, near], rows["test"], "y", mae), mae)
    assert (line["picked"]["template"], line["best_by_test"]["template"], line["regret"]) == ("near", "far", 0.5)


def test_names_of_groups() -> None:
    assert [Way(0, "pmi", "byte").label, Way(4, "none", "none").label] == ["zero-shot pmi, byte", "4-shot plain"]


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 3))
def test_orders_differ(count: int, wanted: int, seed: int) -> None:
    found = draw_orders(count, wanted, seed)
    assert len(found) == len(set(found)) == min(wanted, [1, 1, 2, 6, 24, 120, 720][count])
    assert all(sorted(order) == list(range(count)) for order in found)
    assert found == draw_orders(count, wanted, seed)


def test_likelihood_of_nothing() -> None:
    assert likelihood([]) == -1e6
