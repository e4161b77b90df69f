"""Choosing by text: the question that lists the options, and the option that an answer names."""

from collections.abc import Sequence

_AROUND = " \t\r\n\"'`*_.,:;!?()[]{}<>“”‘’«»-–"


def question(before: str, choices: Sequence[str]) -> str:
    """The prompt with its options in front, one a line."""
    options = "\n".join(f"- {choice.strip()}" for choice in choices)
    return f"Answer with exactly one of these options and nothing else:\n{options}\n\n{before}"


def named(text: str, choices: Sequence[str]) -> int | None:
    """The choice that an answer is, case and marks around it aside; else the longest one it begins with as a word.

    None: no choice. An answer that names one further on ("it is sport") is none: it may also name what it is not.
    """
    exact = [choice.strip() for choice in choices]
    if text.strip() in exact:
        return exact.index(text.strip())
    said, plain = _bare(text), [_bare(choice) for choice in choices]
    same = [i for i, choice in enumerate(plain) if choice and choice == said]
    if same:
        return same[0] if len(same) == 1 else None  # choices that differ in case or marks alone
    begun = [i for i, choice in enumerate(plain) if choice and said.startswith(choice) and _ends(said, len(choice))]
    return max(begun, key=lambda i: len(plain[i]), default=None)


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_AROUND)


def _ends(text: str, at: int) -> bool:
    """Whether a word ends there."""
    return not text[at : at + 1].isalnum()
