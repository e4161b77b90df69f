"""Entities as text and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from tunewright.tasks.tagging import entities, repaired, spans, tags_to_text, text_to_tags

TYPES = ("location", "person", "creative-work")
TOKENS = ["Ada", "Lovelace", "left", "Paris", "for", "New", "York", "."]
TAGS = ["B-person", "I-person", "O", "B-location", "O", "B-location", "I-location", "O"]


def test_there_and_back() -> None:
    text = "Ada Lovelace: person; Paris: location; New York: location"
    assert tags_to_text(TOKENS, TAGS) == text
    assert text_to_tags(TOKENS, text, TYPES).tags == TAGS
    assert tags_to_text(["a"], ["O"]) == "none"
    assert text_to_tags(["a"], "none", TYPES).tags == ["O"]


def test_spans_as_the_conll_scorer_reads_them() -> None:
    tags = ["I-person", "I-person", "B-person", "I-location", "O", "I-location"]
    assert spans(tags) == [(0, 2, "person"), (2, 3, "person"), (3, 4, "location"), (5, 6, "location")]


@pytest.mark.parametrize(
    ("text", "tags", "counts"),
    [
        ("Paris: animal; Ada: person", ["B-person", "O", "O", "O"], (1, 0, 0)),  # an unknown type
        ("Rome: location; Paris: location", ["O", "B-location", "O", "O"], (0, 1, 0)),  # words that are not there
        ("Paris: location; Paris: location", ["O", "B-location", "O", "B-location"], (0, 0, 0)),  # the next place each
        ("Paris: location; Paris: person; Paris: person", ["O", "B-location", "O", "B-person"], (0, 1, 0)),  # no third
        ("Paris: location; Ada: person", ["B-person", "B-location", "O", "O"], (0, 0, 0)),  # out of order
        ("Paris: location;;; : person; Ada", ["O", "B-location", "O", "O"], (0, 1, 1)),  # rubbish around
        ("none; Paris: location", ["O", "B-location", "O", "O"], (0, 0, 0)),
        ("I think; Paris: location", ["O", "B-location", "O", "O"], (0, 0, 1)),
        ("There are none in it.\nPost: Ada", ["O", "O", "O", "O"], (1, 0, 1)),  # it goes on with a post of its own
        ("ADA: Person; paris: LOCATION", ["B-person", "B-location", "O", "O"], (0, 0, 0)),  # case
        ("Ada: creative work\nand: creative_work", ["B-creative-work", "O", "B-creative-work", "O"], (0, 0, 0)),
        (" Ada :person ", ["B-person", "O", "O", "O"], (0, 0, 0)),
        ("Ada: person; Par", ["B-person", "O", "O", "O"], (0, 0, 1)),  # cut short
        ("Ada Paris: person; Paris: location", ["B-person", "I-person", "O", "B-location"], (0, 0, 0)),
        ("", ["O", "O", "O", "O"], (0, 0, 0)),
        ("None.", ["O", "O", "O", "O"], (0, 0, 0)),
    ],
)
def test_what_a_model_may_write(text: str, tags: list[str], counts: tuple[int, int, int]) -> None:
    found = text_to_tags(["Ada", "Paris", "and", "Paris"], text, TYPES)
    assert found.tags == tags
    assert (found.unknown_type, found.not_there, found.malformed) == counts


def test_the_spelling_decides_where_both_are_there() -> None:
    assert text_to_tags(["apple", "or", "Apple"], "Apple: person", TYPES).tags == ["O", "O", "B-person"]
    assert text_to_tags(["apple", "or", "Apple"], "APPLE: person", TYPES).tags == ["B-person", "O", "O"]


def test_words_with_colons_and_semicolons() -> None:
    tokens, tags = ["AT&amp;T", "x;", "10:30"], ["B-person", "I-person", "B-location"]
    assert tags_to_text(tokens, tags) == "AT&amp;T x;: person; 10:30: location"
    assert text_to_tags(tokens, tags_to_text(tokens, tags), TYPES).tags == tags


def test_tokens_with_line_breaks_blanks_or_nothing_in_them() -> None:
    tokens = ["", "New", "", "York\u2028City", "and\n", "Bath\x85Spa"]
    tags = ["O", "B-location", "I-location", "I-location", "O", "B-location"]
    text = tags_to_text(tokens, tags)
    assert text == "New York City: location; Bath Spa: location"
    assert text_to_tags(tokens, text, TYPES).tags == tags


def test_tags_of_a_head_are_repaired_as_seqeval_reads_them() -> None:
    tags = ["O", "I-person", "I-person", "I-location", "B-location", "I-location", "O", "I-person"]
    assert repaired(tags) == [
        "O", "B-person", "I-person", "B-location", "B-location", "I-location", "O", "B-person",
    ]  # fmt: skip
    assert repaired(["NOUN", "VERB"]) == ["NOUN", "VERB"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["O", "B-a", "I-a", "B-b", "I-b"]), max_size=12))
def test_repairing_moves_no_entity_of_seqeval(tags: list[str]) -> None:
    whole = repaired(tags)
    assert get_entities(whole) == get_entities(tags) == [(kind, start, end - 1) for start, end, kind in spans(tags)]
    for before, tag in zip(["O", *whole], whole):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


def test_entities_for_people() -> None:
    assert entities(TOKENS, TAGS)[2] == {"text": "New York", "type": "location", "start": 5, "end": 7}


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


@settings(deadline=None)
@given(tagged())
def test_different_words_come_back_as_they_were(case: tuple[list[str], list[str]]) -> None:
    tokens, tags = case
    found = text_to_tags(tokens, tags_to_text(tokens, tags), TYPES)
    assert found.tags == tags
    assert (found.unknown_type, found.not_there, found.malformed) == (0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.text(max_size=4), max_size=8), st.text(max_size=60) | st.text("aB:; \n-", max_size=60))
def test_any_text_gives_one_tag_a_token(tokens: list[str], text: str) -> None:
    tags = text_to_tags(tokens, text, TYPES).tags
    assert len(tags) == len(tokens)
    assert set(tags) <= {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in TYPES)}
    assert repaired(tags) == tags
