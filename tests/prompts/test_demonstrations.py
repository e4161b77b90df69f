"""Which rows stand before a prompt, in which order: small pools, expected by eye."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import prompt_of, row

from tunewright.prompts.demonstrations import Demonstrations, Demonstrator, PoolRow, Undemonstrated, draw, most_useful
from tunewright.prompts.segments import Answer, Prompt, Segment, Sep, Text
from tunewright.prompts.show import render_rich

WORDS = ("goal", "bank", "match", "price", "team", "rain")
LABELS = ("sport", "money", "sport", "money", "sport", "weather")


def rendered(word: str, label: str) -> tuple[Segment, ...]:
    return (Text("It is "), row(word), Text(": "), Answer(trained=False, text=label))


POOL = [PoolRow(f"train-{i}", label, (rendered(w, label),)) for i, (w, label) in enumerate(zip(WORDS, LABELS))]


def asks(word: str, row_label: str = "") -> Undemonstrated:
    return Undemonstrated(0, prompt_of("It is ", row(word), ": ", Answer(), target=row_label))


def vectors(texts: Sequence[str]) -> np.ndarray:
    """Words on a line from left to right as angles: near places, near vectors."""
    places = {
        "goal": 0.0,
        "team": 0.1,
        "match": 0.2,
        "bank": 0.5,
        "price": 0.6,
        "rain": 1.2,
        "trade": 0.55,
        "win": 0.12,
    }
    angles = np.array([places[text] for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def no_vectors(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError("likeness is not wanted here")


def demonstrator(seed: int = 0, pool: Sequence[PoolRow] = POOL, **changes: Any) -> Demonstrator:
    keys = {"examples": 4, "choose": "fixed", "balanced": True, "order": "random", "separator": "\n\n", **changes}
    likeness = keys["choose"] == "nearest" or keys["order"] == "similar-last"
    return Demonstrator(Demonstrations(**keys), pool, seed, vectors if likeness else no_vectors)


def rows_of(prompt: Prompt) -> list[int]:
    return [int(one.row.removeprefix("train-")) for one in prompt.demonstrations]


def test_one_of_each_class_in_turn() -> None:
    order = [4, 0, 2, 1, 5, 3]  # sport sport sport money weather money
    assert draw(order, LABELS, 1, balanced=True) == [4]
    assert draw(order, LABELS, 4, balanced=True) == [4, 1, 5, 0]
    assert draw(order, LABELS, 6, balanced=True) == [4, 1, 5, 0, 3, 2]  # the others go on where a class has no more
    assert draw(order, LABELS, 4, balanced=False) == [4, 0, 2, 1]
    assert draw(order, LABELS, 3, balanced=True, allowed=lambda index: index != 4) == [0, 1, 5]
    assert draw(order, LABELS, 99, balanced=False) == order
    assert draw(order, [None] * 6, 2, balanced=True) == [4, 0]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 12), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_counts_of_classes_are_as_equal_as_can_be(labels: list[str], count: int, random: Any) -> None:
    order = list(range(len(labels)))
    random.shuffle(order)
    found = draw(order, labels, count, balanced=True)
    assert len(set(found)) == len(found) == min(count, len(labels))
    taken, there = Counter(labels[i] for i in found), Counter(labels)
    for label in there:
        if taken[label] < there[label]:  # it had more to give: no other class has two more
            assert max(taken.values()) - taken[label] <= 1


def test_what_a_person_reads() -> None:
    one = demonstrator(examples=2, choose="nearest", order="similar-last")([asks("trade", "money")])[0]
    assert one.text("?") == "It is match: sport\n\nIt is bank: money\n\nIt is trade: ?"
    assert one.target == "money"
    assert render_rich(one).plain == "It is match: sport\n\nIt is bank: money\n\nIt is trade: money"
    pair = PoolRow("train-0", None, ((row("a"), Sep(), row("b"), Answer(text="yes")),))
    shown = demonstrator(examples=1, pool=[pair], separator=" | ")([asks("goal")])[0]
    assert shown.text("") == "a\nbyes | It is goal: "


def test_fixed_is_the_same_for_all_rows_and_comes_from_the_seed() -> None:
    first, second = demonstrator()([asks("trade"), asks("win")])
    assert rows_of(first) == rows_of(second) and len(set(rows_of(first))) == 4
    assert Counter(LABELS[i] for i in rows_of(first)) in (
        {"sport": 2, "money": 1, "weather": 1}, {"sport": 1, "money": 2, "weather": 1},
    )  # fmt: skip
    assert first == demonstrator()([asks("trade")])[0]
    orders = {tuple(rows_of(demonstrator(seed)([asks("trade")])[0])) for seed in range(12)}
    assert len(orders) > 6
    same_rows = {tuple(rows_of(demonstrator(seed, examples=6)([asks("trade")])[0])) for seed in range(12)}
    assert len(same_rows) > 6 and {tuple(sorted(order)) for order in same_rows} == {(0, 1, 2, 3, 4, 5)}


def test_random_is_drawn_for_each_row_wherever_it_stands() -> None:
    words = [f"word {i}" for i in range(20)]
    together = demonstrator(choose="random", examples=3)([asks(word) for word in words])
    assert len({tuple(rows_of(prompt)) for prompt in together}) > 10
    alone = [demonstrator(choose="random", examples=3)([asks(word)])[0] for word in reversed(words)]
    assert together == alone[::-1]
    other = demonstrator(1, choose="random", examples=3)([asks(word) for word in words])
    assert [rows_of(p) for p in other] != [rows_of(p) for p in together]
    for prompt in together:
        assert {LABELS[i] for i in rows_of(prompt)} == {"sport", "money", "weather"}


@pytest.mark.parametrize(
    ("balanced", "order", "expected"),
    [
        # from `win` at 0.12: team 0.1, match 0.2, goal 0.0, bank 0.5, price 0.6, rain 1.2
        (False, "similar-last", [0, 2, 4]),
        (False, "given", [0, 2, 4]),
        (True, "similar-last", [5, 1, 4]),
        (True, "given", [1, 4, 5]),
    ],
)
def test_nearest_finds_the_neighbours(balanced: bool, order: str, expected: list[int]) -> None:
    prompt = demonstrator(examples=3, choose="nearest", balanced=balanced, order=order)([asks("win")])[0]
    assert rows_of(prompt) == expected
    ranks = {one.row: one.rank for one in prompt.demonstrations}
    assert ranks["train-4"] == 0  # the nearest
    assert ranks["train-5" if balanced else "train-0"] == 2  # the farthest


def test_similar_last_also_orders_what_was_drawn() -> None:
    prompt = demonstrator(examples=6, choose="fixed", order="similar-last")([asks("win")])[0]
    assert rows_of(prompt) == [5, 3, 1, 0, 2, 4]
    assert [rows_of(p) for p in demonstrator(examples=6, order="given")([asks("trade")])] == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("choose", ["fixed", "random", "nearest"])
def test_a_row_never_sees_its_own_answer(choose: str) -> None:
    order = "similar-last" if choose == "nearest" else "random"
    for i, word in enumerate(WORDS):
        prompt = demonstrator(examples=6, choose=choose, order=order)([asks(word)])[0]
        assert sorted(rows_of(prompt)) == [j for j in range(6) if j != i]
    if choose != "fixed":  # fixed: the pool is what all see
        assert all(len(rows_of(p)) == 3 for p in demonstrator(examples=3, choose=choose, order=order)([asks("goal")]))


def test_the_same_row_in_other_template_words_is_still_the_same() -> None:
    other = Undemonstrated(0, prompt_of("What is ", row("goal"), "? ", Answer()))
    assert 0 not in rows_of(demonstrator(examples=6)([other])[0])


def test_without_classes_balance_means_nothing() -> None:
    pool = [PoolRow(one.row, None, one.rendered) for one in POOL]
    prompts = [demonstrator(seed, pool=pool, examples=6)([asks("win")])[0] for seed in (0, 1)]
    assert [sorted(rows_of(prompt)) for prompt in prompts] == [[0, 1, 2, 3, 4, 5]] * 2
    assert rows_of(prompts[0]) != rows_of(prompts[1])


def test_the_most_useful_ones_keep_their_order() -> None:
    prompt = demonstrator(examples=3, choose="nearest", order="similar-last")([asks("win")])[0]
    assert [rows_of(most_useful(prompt, count)) for count in (3, 2, 1, 0)] == [[5, 1, 4], [1, 4], [4], []]
    assert most_useful(prompt, 0).text("") == "It is win: "
