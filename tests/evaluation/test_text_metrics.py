import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.evaluation.text_metrics import chrf, exact_match, normalise, rouge, token_f1


def test_normalise():
    assert normalise("  The  Cat's, an  EGG. ") == "cats egg"
    assert normalise("theatre a-b") == "theatre ab"


def test_exact_match_takes_any_reference():
    assert exact_match("the Beatles!", ["Queen", "Beatles"]) == 1.0
    assert exact_match("Beatle", ["Queen", "Beatles"]) == 0.0


def test_token_f1():
    # cat sat / cat sat down: 2 shared of 2 and 3
    assert token_f1("the cat sat", ["a cat sat down"]) == pytest.approx(4 / 5)
    assert token_f1("the cat sat", ["dog", "a cat sat down"]) == pytest.approx(4 / 5)
    assert token_f1("no no no", ["no"]) == pytest.approx(2 * 1 / 4)
    assert token_f1("the", ["a"]) == 1.0
    assert token_f1("", ["cat"]) == 0.0


def test_rouge_by_hand():
    # the cat sat / the cat was sitting here: 2 shared words of 3 and 5, 1 shared pair of 2 and 4
    assert rouge("rouge1", "the cat sat", ["the cat was sitting here"]) == pytest.approx(4 / 8)
    assert rouge("rouge2", "the cat sat", ["the cat was sitting here"]) == pytest.approx(2 / 6)
    # in order: b, d of 3 and 4
    assert rouge("rougeL", "bb aa dd", ["aa bb cc dd"]) == pytest.approx(4 / 7)


def test_rouge_stems_and_averages_over_references():
    assert rouge("rouge1", "booking", ["booked"]) == 1.0
    assert rouge("rouge1", "booking", ["booked", "hotel"]) == 0.5


def test_chrf_is_a_fraction_and_takes_the_best_reference():
    assert chrf("a room", ["a room"]) == pytest.approx(1.0)
    assert chrf("a room", ["xyz", "a room"]) == pytest.approx(1.0)
    assert 0.3 < chrf("a room with a view", ["a room with bath"]) < 0.9


@given(st.text(max_size=40), st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_all_are_fractions(answer, references):
    for found in (
        exact_match(answer, references),
        token_f1(answer, references),
        chrf(answer, references),
        *(rouge(kind, answer, references) for kind in ("rouge1", "rouge2", "rougeL")),
    ):
        assert 0.0 <= found <= 1.0
