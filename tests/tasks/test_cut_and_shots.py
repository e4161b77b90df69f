"""Seeded cuts and draws, as arrays one can check by eye."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import InputError
from tunewright.tasks.fingerprint import fingerprint
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.splitting import cut, fill_shares
from tunewright.tasks.task import Rows

SHARES = {"test": 0.2, "validation": 0.1}


def rows(labels: str) -> Rows:
    return Rows(
        {"text": [f"t{i}" for i in range(len(labels))], "label": list(labels)},
        [f"train-{i}" for i in range(len(labels))],
    )


def test_a_cut_is_seeded_and_keeps_the_order() -> None:
    assert cut(10, SHARES, seed=0) == {"test": [2, 4], "validation": [6], "train": [0, 1, 3, 5, 7, 8, 9]}
    assert cut(10, SHARES, seed=0) == cut(10, SHARES, seed=0) != cut(10, SHARES, seed=1)


def test_a_stratified_cut_keeps_the_proportions() -> None:
    labels = "aaaaaaaaaabbbbbbbbbbbbbbbbbbbb"  # 10 a, 20 b
    dealt = cut(30, SHARES, seed=3, strata=labels)
    counts = {split: Counter(labels[i] for i in indices) for split, indices in dealt.items()}
    assert counts == {"test": {"a": 2, "b": 4}, "validation": {"a": 1, "b": 2}, "train": {"a": 7, "b": 14}}
    assert dealt["test"] == [1, 7, 14, 20, 22, 28]


def test_a_rare_label_stays_in_train() -> None:
    labels = "aaaaaaaaab"
    for seed in range(20):
        assert 9 in cut(10, SHARES, seed, strata=labels)["train"]


@given(st.lists(st.sampled_from("abc"), min_size=3, max_size=60), st.integers(0, 5), st.sampled_from([0.05, 0.2, 0.45]))
def test_any_cut_deals_each_row_once(labels: list[str], seed: int, share: float) -> None:
    dealt = cut(len(labels), {"test": share, "validation": share}, seed, strata=labels)
    assert sorted(i for indices in dealt.values() for i in indices) == list(range(len(labels)))
    assert all(dealt[split] for split in ("train", "validation", "test"))
    assert len(dealt["test"]) <= max(1, round(share * len(labels)))


def test_shares_of_train_itself() -> None:
    assert fill_shares(["test", "validation"], {}) == {"test": 0.2, "validation": 0.1}
    assert fill_shares(["test"], {"test": 0.3}) == {"test": 0.3}
    filled = fill_shares(["test", "validation"], {"train": 0.7})
    assert {split: round(share, 6) for split, share in filled.items()} == {"train": 0.7, "test": 0.2, "validation": 0.1}
    dealt = cut(10, {"train": 0.5, "test": 0.2, "validation": 0.1}, seed=0)
    assert [len(dealt[split]) for split in ("train", "test", "validation")] == [5, 2, 1]


@pytest.mark.parametrize("shares", [{"test": 1.2}, {"test": 0.0}, {"test": 0.6, "validation": 0.4}, {"test": -0.1}])
def test_shares_that_are_none(shares: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"^splits: shares of the rows between 0 and 1"):
        cut(10, shares, 0)


def test_too_few_rows_to_cut() -> None:
    with pytest.raises(InputError, match=r"^2 rows are too few to cut test and validation from"):
        cut(2, SHARES, 0)


def test_shots_are_balanced_seeded_and_nested() -> None:
    data = rows("aaaaaabbbbbb")
    two = draw_shots(data, "classify", ("a", "b"), 2, seed=0)
    assert two.ids == ["train-8", "train-4", "train-0", "train-10"]
    assert Counter(two.columns["label"]) == {"a": 2, "b": 2}
    assert set(two.ids) < set(draw_shots(data, "classify", ("a", "b"), 4, seed=0).ids)
    assert two.ids == draw_shots(data, "classify", ("a", "b"), 2, seed=0).ids
    assert set(two.ids) != set(draw_shots(data, "classify", ("a", "b"), 2, seed=1).ids)


def test_shots_of_other_kinds_are_rows_in_all() -> None:
    assert len(draw_shots(rows("aaab"), "generate", None, 3, seed=0)) == 3


def test_too_few_shots_name_the_class() -> None:
    with pytest.raises(InputError, match=r"^shots: 2 rows wanted, class 'b' has 1 in train$"):
        draw_shots(rows("aab"), "classify", ("a", "b"), 2, seed=0)
    with pytest.raises(InputError, match=r"^shots: 5 rows wanted, there are 3 in validation$"):
        draw_shots(rows("aab"), "generate", None, 5, seed=0, split="validation")


def test_a_fingerprint_sees_values_and_order() -> None:
    data = rows("ab")
    lines = b'\n{"label": "a", "text": "t0"}\n{"label": "b", "text": "t1"}\n'
    assert fingerprint(data) == hashlib.sha256(lines).hexdigest()
    assert len({fingerprint(d) for d in (data, rows("aa"), rows("abb"), data.take([1, 0]))}) == 4
