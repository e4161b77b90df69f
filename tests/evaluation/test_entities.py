"""Entities type by type, as seqeval counts them, and as the report marks them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report

from tunewright.evaluation.entities import EntityCounts, by_type, mean_by_type
from tunewright.evaluation.metrics import score
from tunewright.evaluation.predictions import Prediction
from tunewright.reports.entities import marked_words, row_f1, type_table

TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


def prediction(gold: list[str], said: list[str]) -> Prediction:
    tokens = tuple(f"w{i}" for i in range(len(gold)))
    return Prediction("r", "", "", tokens=tokens, gold_tags=tuple(gold), predicted_tags=tuple(said))


pairs = st.integers(1, 6).flatmap(lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2))


@settings(max_examples=60, deadline=None)
@given(st.lists(pairs, min_size=1, max_size=4))
def test_precision_and_recall_of_each_type_are_seqevals(rows: list[tuple[list[str], list[str]]]) -> None:
    found = by_type([prediction(gold, said) for gold, said in rows])
    theirs = classification_report(
        [gold for gold, _ in rows], [said for _, said in rows], output_dict=True, zero_division=0
    ) if found else {}  # fmt: skip
    for kind, one in found.items():
        assert one.precision == pytest.approx(theirs[kind]["precision"])
        assert one.recall == pytest.approx(theirs[kind]["recall"])
        assert one.f1 == pytest.approx(theirs[kind]["f1-score"])
        assert one.gold == theirs[kind]["support"]
    counts = EntityCounts(TAGS)
    for gold, said in rows:
        counts.add([TAGS.index(tag) for tag in gold], [TAGS.index(tag) for tag in said])
    whole = score([prediction(gold, said) for gold, said in rows], ["entity-f1"])["entity-f1"].value
    assert counts.value() == pytest.approx(whole)


def test_marks() -> None:
    tokens = ["Ada", "Lovelace", "left", "New", "York", "for", "Bath", "today"]
    gold = ["B-p", "I-p", "O", "B-l", "I-l", "O", "B-l", "O"]
    said = ["B-p", "I-p", "B-l", "O", "B-l", "O", "O", "O"]
    assert [tuple(piece) for piece in marked_words(tokens, gold, said)] == [
        ("same", "Ada Lovelace", "p"),
        ("extra", "left", "l"),
        ("missing", "New York", "l"),
        ("extra", "York", "l"),
        ("plain", "for", ""),
        ("missing", "Bath", "l"),
        ("plain", "today", ""),
    ]
    assert row_f1(prediction(gold, said)) == pytest.approx(2 * 1 / (3 + 3))
    assert row_f1(prediction(["O"], ["O"])) == 1.0


def test_a_table_of_types() -> None:
    first = by_type([prediction(["B-a", "B-b"], ["B-a", "B-a"])])
    second = by_type([prediction(["B-a", "B-b"], ["B-a", "O"])])
    means = mean_by_type([first, second])
    assert means["a"] == {"precision": 0.75, "recall": 1.0, "f1": pytest.approx((2 / 3 + 1) / 2), "gold": 1.0}
    table = type_table({"head": means, "none": {}})
    assert table == {
        "methods": ["head", "none"],
        "rows": [
            ("a", 1, [("83.3", "P 75.0, R 100.0"), ("–", "")]),
            ("b", 1, [("0.0", "P 0.0, R 0.0"), ("–", "")]),
        ],
    }
    assert type_table({"head": {}}) is None
