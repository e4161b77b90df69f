"""Documents as sentences: what is split, what is dropped, how many are held at a time."""

from collections import Counter
from collections.abc import Iterator

import pytest
from toy_corpus import CAT, SHIP, SHORT, TOY

from tunewright.pretraining.ppt.sentences import read_document, split_sentences, windows


def test_abbreviations_and_quotations_do_not_end_a_sentence() -> None:
    text = "Mr. Smith paid $3.5m to St. John's Co. in 2004. He said: \"I won't go.\"  Then he left."
    assert split_sentences(text) == [
        "Mr. Smith paid $3.5m to St. John's Co. in 2004.",
        'He said: "I won\'t go."',
        "Then he left.",
    ]


def test_the_end_of_a_line_ends_a_sentence() -> None:
    assert split_sentences("A heading\n\nhi how are you\n  good  and\tyou\r\n\n") == [
        "A heading", "hi how are you", "good and you",
    ]  # fmt: skip


def test_wrapped_lines_are_one_text() -> None:
    wrapped = (
        "It was the best of times, it was the worst of times, it was the\n"
        "age of wisdom. It was the age of foolishness, and the epoch of\n"
        "belief."
    )
    assert split_sentences(wrapped) == [
        "It was the best of times, it was the worst of times, it was the age of wisdom.",
        "It was the age of foolishness, and the epoch of belief.",
    ]


def test_short_sentences_go_and_leave_their_place_empty() -> None:
    document = read_document(SHIP)
    assert document.sentences == (
        "One ship left the old harbour.",
        "Its crew sang all the way.",
        "High waves broke the tall mast.",
        "The captain lost his best hat.",
        "Every sailor reached land that evening.",
    )
    assert document.positions == (0, 1, 3, 4, 5)


def test_a_document_needs_five_sentences_of_five_words() -> None:
    four = CAT.rpartition(" The mouse")[0]
    counts: Counter[str] = Counter()
    found = list(windows([four, CAT, SHORT], counts=counts))
    assert [[d.sentences[0] for d in window] for window in found] == [["The cat sat on the mat."]]
    assert counts == {"documents": 3, "too short": 2}


@pytest.mark.parametrize(
    ("documents", "sizes"),
    [(1, [1]), (14, [14]), (15, [10, 5]), (24, [10, 14]), (25, [10, 10, 5]), (39, [10, 10, 10, 9])],
)
def test_no_window_is_small_beside_others(documents: int, sizes: list[int]) -> None:
    assert [len(window) for window in windows([CAT] * documents, size=10)] == sizes


def test_documents_are_read_as_they_are_needed() -> None:
    read = []

    def stream() -> Iterator[str]:
        for i in range(10_000):
            read.append(i)
            yield TOY[i % 3]

    stream_of_windows = windows(stream(), size=10)
    assert len(next(stream_of_windows)) == 10 and len(read) == 15
    assert len(next(stream_of_windows)) == 10 and len(read) == 25
