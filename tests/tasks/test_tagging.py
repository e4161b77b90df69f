"""Entities as text and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.tasks.tagging import spans, tags_to_text, text_to_tags

TYPES = ("location", "person")
TOKENS = ["Ada", "Lovelace", "left", "Paris", "for", "New", "York", "."]
TAGS = ["B-person", "I-person", "O", "B-location", "O", "B-location", "I-location", "O"]


def test_there_and_back() -> None:
    text = "Ada Lovelace: person; Paris: location; New York: location"
    assert tags_to_text(TOKENS, TAGS) == text
    assert text_to_tags(TOKENS, text, TYPES) == TAGS
    assert tags_to_text(["a"], ["O"]) == "none"
    assert text_to_tags(["a"], "none", TYPES) == ["O"]


def test_spans_as_the_conll_scorer_reads_them() -> None:
    tags = ["I-person", "I-person", "B-person", "I-location", "O", "I-location"]
    assert spans(tags) == [(0, 2, "person"), (2, 3, "person"), (3, 4, "location"), (5, 6, "location")]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("Paris: animal; Ada: person", ["B-person", "O", "O", "O"]),  # an unknown type
        ("Rome: location; Paris: location", ["O", "B-location", "O", "O"]),  # words that are not there
        ("Paris: location; Paris: location", ["O", "B-location", "O", "B-location"]),  # the next place each time
        ("Paris: location; Ada: person", ["B-person", "B-location", "O", "O"]),  # out of order
        ("Paris: location;;; : person; Ada", ["O", "B-location", "O", "O"]),  # rubbish around
        (" Ada :person ", ["B-person", "O", "O", "O"]),
        ("", ["O", "O", "O", "O"]),
    ],
)
def test_what_a_model_may_write(text: str, tags: list[str]) -> None:
    assert text_to_tags(["Ada", "Paris", "and", "Paris"], text, TYPES) == tags


def test_words_with_colons_and_semicolons() -> None:
    tokens, tags = ["AT&amp;T", "x;", "10:30"], ["B-person", "I-person", "B-location"]
    assert tags_to_text(tokens, tags) == "AT&amp;T x;: person; 10:30: location"
    assert text_to_tags(tokens, tags_to_text(tokens, tags), TYPES) == tags


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    words = st.text(st.characters(exclude_characters=":;", exclude_categories=("Z", "C")), min_size=1, max_size=5)
    tokens = draw(st.lists(words.filter(lambda w: not w.isspace()), unique=True, max_size=12))
    tags: list[str] = []
    for _ in tokens:
        before = tags[-1] if tags else "O"
        continued = [f"I-{before[2:]}"] if before != "O" else []
        tags.append(draw(st.sampled_from(["O", "B-location", "B-person", *continued])))
    return tokens, tags


@given(tagged())
def test_different_words_come_back_as_they_were(case: tuple[list[str], list[str]]) -> None:
    tokens, tags = case
    assert text_to_tags(tokens, tags_to_text(tokens, tags), TYPES) == tags


@given(st.lists(st.text(max_size=4), max_size=8), st.text(max_size=60))
def test_any_text_gives_one_tag_a_token(tokens: list[str], text: str) -> None:
    tags = text_to_tags(tokens, text, TYPES)
    assert len(tags) == len(tokens)
    assert set(tags) <= {"O", "B-location", "I-location", "B-person", "I-person"}
