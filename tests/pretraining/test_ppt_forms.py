"""The questions: literal ones from three documents, and the rules that hold for any corpus."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_corpus import CAT, SHORT, TOY

from tunewright.errors import InputError
from tunewright.pretraining.ppt.draw import Deal, Seen, shuffled_anchors
from tunewright.pretraining.ppt.forms import FORMS, LETTERS, PAIR_WORDS, SENTENCE_WORDS, FormName
from tunewright.pretraining.ppt.pool import Pool
from tunewright.pretraining.ppt.sentences import windows

Row = dict[str, Any]


def asked(
    form: FormName, texts: Any, *, seed: int = 0, epoch: int = 0, size: int = 2000, pool: Any = None
) -> list[Row]:
    anchors = shuffled_anchors(windows(texts, size=size), seed, epoch)
    return list(FORMS[form].rows(anchors, pool, seed, epoch))


def test_sentence_pairs_of_three_documents() -> None:
    """Adjacent (either side), at least two places away in the same document, from another document."""
    found = [(row["text_a"], row["text_b"], str(row["label"])) for row in asked("sentence-pair", [*TOY, SHORT])]
    assert found[:6] == [
        ("One ship left the old harbour.", "The mouse never came out again.", "no"),
        ("A fox watched from the hill.", "The fox dug up the bone.", "yes"),
        ("The fox dug up the bone.", "It hid the bone at once.", "maybe"),
        ("The captain lost his best hat.", "The mouse never came out again.", "no"),
        ("The cat saw a grey mouse.", "The mouse ran under the bed.", "yes"),
        ("High waves broke the tall mast.", "Every sailor reached land that evening.", "maybe"),
    ]
    # Each sentence that another follows, once. "Its crew sang …" has a short sentence behind it.
    assert sorted(first for first, _, _ in found) == [
        "A dog found an old bone.", "A fox watched from the hill.", "High waves broke the tall mast.",
        "It hid the bone at once.", "One ship left the old harbour.", "The captain lost his best hat.",
        "The cat lay down to wait.", "The cat sat on the mat.", "The cat saw a grey mouse.",
        "The fox dug up the bone.", "The mouse ran under the bed.",
    ]  # fmt: skip


def test_multiple_choice_of_three_documents() -> None:
    first = asked("multiple-choice", TOY)[0]
    assert first["text"] == "One ship left the old harbour."
    assert first["choices"] == [
        "Its crew sang all the way.",  # the next one
        "The mouse ran under the bed.",
        "Every sailor reached land that evening.",  # of the same document, not adjacent
        "The dog barked the whole night.",
        "A dog found an old bone.",
        "The cat lay down to wait.",
    ]
    assert (first["label"], first["label"].index_) == ("Its crew sang all the way.", 0)


def test_unified_of_three_documents() -> None:
    """Without labelled sentences: halves of next-sentence selection and of pairs."""
    rows = asked("unified", TOY)
    assert rows[0] == {
        "text_a": "One ship left the old harbour.",
        "text_b": "",
        "choices": [
            "Every sailor reached land that evening.",
            "The fox dug up the bone.",
            "Its crew sang all the way.",
            "The mouse never came out again.",
        ],
        "label": "Its crew sang all the way.",
    }
    assert rows[1] == {
        "text_a": "A fox watched from the hill.",
        "text_b": "It hid the bone at once.",
        "choices": ["no", "yes", "maybe"],
        "label": "yes",
    }
    assert rows[1]["label"].index_ == 1


def test_single_sentences_come_a_fifth_each_and_anew_each_epoch() -> None:
    pool = Pool((("t1", "t2"), ("b1", "b2", "b3"), ("m1", "m2"), ("g1", "g2"), tuple(f"r{i}" for i in range(50))))
    rows = asked("single-sentence", [], pool=pool.rows(0, 0))
    assert len(rows) == 10
    for block in (rows[:5], rows[5:]):
        assert sorted(str(row["label"]) for row in block) == sorted(SENTENCE_WORDS)
    of_word = {word: {row["text"] for row in rows if row["label"] == word} for word in SENTENCE_WORDS}
    assert of_word["terrible"] == {"t1", "t2"} and len(of_word["great"]) == 2
    assert all(text.startswith("r") for text in of_word["great"])
    assert rows == list(pool.rows(0, 0)) != list(pool.rows(0, 1))


def test_held_out_sentences_are_as_balanced_as_can_be() -> None:
    pool = Pool((("t",), (), ("m1", "m2"), ("g1", "g2", "g3"), ()))
    rows = [(row["text"][0], str(row["label"])) for row in pool.all_rows(0)]
    assert rows == [
        ("t", "terrible"), ("m", "maybe"), ("g", "good"), ("m", "maybe"), ("g", "good"), ("g", "good"),
    ]  # fmt: skip
    assert len({row["text"] for row in pool.all_rows(0)}) == 6
    assert list(pool.rows(0, 0)) == []


@pytest.mark.parametrize("form", ["sentence-pair", "multiple-choice", "unified"])
def test_a_question_is_a_function_of_its_place_alone(form: FormName) -> None:
    texts = documents(30)
    assert asked(form, texts, size=8) == asked(form, texts, size=8)
    assert asked(form, texts, size=8) != asked(form, texts, size=8, epoch=1) != asked(form, texts, size=8, seed=1)
    # What comes after a window does not change its questions.
    assert asked(form, texts[:20], size=8)[:30] == asked(form, texts, size=8)[:30]


def test_too_few_documents_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"corpus: 1 long enough documents .* are too few: a question wants 4 different"
    ):
        asked("multiple-choice", [CAT])
    with pytest.raises(InputError, match="a question wants 1 different sentences of others"):
        asked("sentence-pair", [CAT, CAT])  # the other document is the same
    few = [text.replace(".", f" {i}.") for i in range(9) for text in TOY]
    with pytest.raises(
        InputError, match=r"3 long enough documents .* too few"
    ):  # 16 options want 12 others: here are 10
        asked("unified", few, size=3)


# ---- rules for any corpus ----------------------------------------------------------------------------------


def documents(count: int, sentences: int = 6) -> list[str]:
    return ["\n".join(f"this is sentence {s} of text {d}." for s in range(sentences)) for d in range(count)]


@st.composite
def corpora(draw: st.DrawFn) -> list[list[str]]:
    """Documents as lists of sentences, some of them short, many of them repeated within and across documents."""
    own = st.integers(0, 3).map(lambda i: f"here is one more line {i}.")
    shared = st.integers(0, 8).map(lambda i: f"everybody says this line {i}.")
    short = st.just("oh well.")
    found = []
    for d in range(draw(st.integers(4, 9))):
        lines = draw(st.lists(st.one_of(own, own, shared, short), min_size=0, max_size=9))
        unique = [f"only text {d} says line {i}." for i in range(draw(st.integers(5, 7)))]
        found.append([*lines, *unique])
    return found


def right_pair(texts: list[list[str]], a: str, b: str, word: str) -> bool:
    """The rule itself, over whole documents: at least one place where it holds."""
    for lines in texts:
        places = [i for i, line in enumerate(lines) if line == a]
        for i in places:
            distances = [abs(i - j) for j, line in enumerate(lines) if line == b]
            if word == "yes" and 1 in distances:
                return True
            if word == "maybe" and any(d >= 2 for d in distances) and 1 not in distances:
                return True
            if word == "no" and not distances:
                return True
    return False


def blocks(values: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values) - size + 1, size):
        yield values[start : start + size]


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(0, 5), st.integers(0, 2), st.integers(4, 6))
def test_pairs_of_any_corpus(texts: list[list[str]], seed: int, epoch: int, size: int) -> None:
    rows = asked("sentence-pair", ["\n".join(lines) for lines in texts], seed=seed, epoch=epoch, size=size)
    questions = [(row["text_a"], row["text_b"]) for row in rows]
    assert len(set(questions)) == len(questions) and len({a for a, _ in questions}) == len(questions)
    for block in blocks([str(row["label"]) for row in rows], 3):
        assert sorted(block) == sorted(PAIR_WORDS)
    for row in rows:
        assert row["text_a"] != row["text_b"] and right_pair(texts, row["text_a"], row["text_b"], row["label"])
        assert len(row["text_a"].split()) >= 5 and len(row["text_b"].split()) >= 5


@settings(max_examples=40, deadline=None)
@given(corpora(), st.integers(0, 5), st.integers(4, 6))
def test_choices_of_any_corpus(texts: list[list[str]], seed: int, size: int) -> None:
    rows = asked("multiple-choice", ["\n".join(lines) for lines in texts], seed=seed, size=size)
    assert len({row["text"] for row in rows}) == len(rows)
    for row in rows:
        choices, gold = row["choices"], row["label"].index_
        assert len(set(choices)) == 6 and row["text"] not in choices and choices[gold] == row["label"]
        assert any(
            lines[i + 1 : i + 2] == [choices[gold]]
            and sum(choice in lines for choice in choices) == 2
            and sum(abs(i - j) >= 2 for j, line in enumerate(lines) if line in set(choices) - {choices[gold]}) >= 1
            for lines in texts
            for i, line in enumerate(lines)
            if line == row["text"]
        )


def test_unified_has_its_parts_and_numbers_of_options_equally_often() -> None:
    pool = Pool(tuple(tuple(f"{word} sentence {i}" for i in range(40)) for word in SENTENCE_WORDS))
    rows = asked("unified", documents(40), pool=pool.rows(0, 0))
    assert len(rows) >= 270

    def part(row: Row) -> str:
        return "pair" if row["text_b"] else "single" if set(row["choices"]) == set(SENTENCE_WORDS) else "selection"

    for block in blocks([part(row) for row in rows], 3):
        assert sorted(block) == ["pair", "selection", "single"]
    selections = [row for row in rows if part(row) == "selection"]
    for block in blocks([len(row["choices"]) for row in selections], 15):
        assert sorted(block) == list(range(2, 17))
    for row in selections:
        own = row["text_a"].partition(" of ")[2]  # which document
        near = sum(choice.endswith(f" of {own}") for choice in row["choices"]) - 1
        assert near == (1 if len(row["choices"]) <= 6 else 2 if len(row["choices"]) <= 10 else 3)
    for block in blocks([str(row["label"]) for row in rows if part(row) == "pair"], 3):
        assert sorted(block) == sorted(PAIR_WORDS)
    for block in blocks([str(row["label"]) for row in rows if part(row) == "single"], 5):
        assert sorted(block) == sorted(SENTENCE_WORDS)
    orders = Counter(tuple(row["choices"]) for row in rows if part(row) == "pair")
    assert len(orders) == 6  # the words' letters tell nothing
    assert len(LETTERS) == 16 and LETTERS[-1] == "P"


def test_the_same_sentence_is_asked_about_once_across_windows() -> None:
    texts = documents(12)
    rows = asked("sentence-pair", [*texts, *texts], size=4)
    assert len(rows) == 12 * 5


def test_seen_texts() -> None:
    seen = Seen()
    assert seen.first_time(["a", "b", "a"]) == [True, True, False]
    assert seen.first_time(["c", "b", "c", "d"]) == [True, False, False, True]
    assert seen.first_time([]) == []


def test_deals() -> None:
    dealt = [Deal(0, 0, k, "x").dealt(3) for k in range(30)]
    assert all(sorted(dealt[i : i + 3]) == [0, 1, 2] for i in range(0, 30, 3))
    assert len({tuple(dealt[i : i + 3]) for i in range(0, 30, 3)}) > 1
