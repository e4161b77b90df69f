"""What a study over numbers of rows says once."""

from tunewright.studies.sentences import together

SIZES = [("a", "a, 4 shots"), ("a", "a, 8 shots"), ("a", "a, all rows"), ("b", "b, 4 shots")]


def test_equal_ends_are_said_once() -> None:
    said = [
        "a, 4 shots: two rows left out.", "a, 4 shots: x is better.", "a, 8 shots: two rows left out.",
        "a, 8 shots: x: can't tell.", "a, all rows: two rows left out.", "a, all rows: x is better.",
        "b, 4 shots: x is better.", "c, 4 shots: x is better.", "no colon", "other: x is better.",
    ]  # fmt: skip
    assert together(said, SIZES) == [
        "a: two rows left out.", "a, 4 shots, all rows: x is better.", "a, 8 shots: x: can't tell.",
        "b: x is better.", "c, 4 shots: x is better.", "no colon", "other: x is better.",
    ]  # fmt: skip


def test_without_sizes_nothing_changes() -> None:
    said = ["a: one.", "b: one.", "a, 4 shots: one."]
    assert together(said, []) == said
