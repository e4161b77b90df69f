"""Which documents of a corpus are left out, and by which rule: length, quality (Gopher's rules), near-duplicates.

The rules are pure functions of one text. Their numbers under `rules: gopher` are those of Rae et al. 2021 (Gopher),
appendix A.1.1, tables A1.
"""

import re
from collections import Counter
from typing import Any, Literal

from pydantic import Field, model_validator

from tunewright.settings import Strict

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
GOPHER: dict[str, Any] = {
    "min_words": 50,
    "max_words": 100_000,
    "mean_word_length": (3.0, 10.0),
    "symbols": 0.1,
    "letters": 0.8,
    "bullets": 0.9,
    "ellipses": 0.3,
    "stop_words": 2,
    "repeated_lines": 0.3,
    "repeated_line_characters": 0.2,
}
_BULLETS = ("•", "‣", "▪", "●", "-", "*")
_WORD = re.compile(r"\w+")


class NearDuplicates(Strict):
    """Of documents that share most of their words in order, the first one stays (MinHash-LSH, datasketch)."""

    threshold: float = Field(0.8, gt=0, lt=1, description="Jaccard similarity of the shingles from which on")
    words: int = Field(5, gt=0, description="words a shingle has")
    permutations: int = Field(128, gt=15, description="hashes a document is compared by")


class FiltersBlock(Strict):
    """A document that breaks a rule is left out of training and of what is held out. None: the rule is off."""

    rules: Literal["gopher"] | None = Field(
        None, description="gopher: the numbers of Rae et al. 2021, where none is given here"
    )
    min_words: int | None = Field(None, gt=0)
    max_words: int | None = Field(None, gt=0)
    mean_word_length: tuple[float, float] | None = Field(None, description="lowest and highest, in characters")
    symbols: float | None = Field(None, ge=0, description="most # and … a word")
    letters: float | None = Field(None, gt=0, le=1, description="smallest share of words with a letter")
    bullets: float | None = Field(None, gt=0, le=1, description="largest share of lines that begin with a bullet")
    ellipses: float | None = Field(None, gt=0, le=1, description="largest share of lines that end in … or ...")
    stop_words: int | None = Field(None, gt=0, le=8, description="at least so many of: the be to of and that have with")
    repeated_lines: float | None = Field(None, gt=0, le=1, description="largest share of lines that stand there before")
    repeated_line_characters: float | None = Field(None, gt=0, le=1, description="the same, in characters")
    near_duplicates: NearDuplicates | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """`gopher` is short for `{rules: gopher}`, `near_duplicates: true` for its defaults."""
        if isinstance(value, str):
            return {"rules": value}
        if isinstance(value, dict) and isinstance(value.get("near_duplicates"), bool):
            return {**value, "near_duplicates": {} if value["near_duplicates"] else None}
        return value

    @model_validator(mode="after")
    def _fits(self) -> "FiltersBlock":
        bounds = self.mean_word_length
        if bounds is not None and not 0 < bounds[0] < bounds[1]:
            raise ValueError("mean_word_length: two numbers wanted, the lowest and the highest, e.g. [3, 10]")
        if self.min_words is not None and self.max_words is not None and self.min_words > self.max_words:
            raise ValueError("min_words is above max_words: no document is left")
        return self

    def limits(self) -> dict[str, Any]:
        """The numbers in force by rule, those that are off left out, in the order they are asked."""
        base = GOPHER if self.rules == "gopher" else {}
        found = {name: getattr(self, name) for name in GOPHER}
        return {name: limit for name in GOPHER if (limit := found[name] if found[name] is not None else base.get(name))}


def broken_rule(text: str, limits: dict[str, Any]) -> str | None:
    """The first rule of `limits` that the text breaks."""
    words = text.split()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for rule, limit in limits.items():
        value = _MEASURES[rule](words, lines)
        if rule == "mean_word_length":
            if not limit[0] <= value <= limit[1]:
                return rule
        elif value < limit if rule in _AT_LEAST else value > limit:
            return rule
    return None


def _mean_length(words: list[str], lines: list[str]) -> float:
    return sum(map(len, words)) / len(words)


def _symbols(words: list[str], lines: list[str]) -> float:
    return sum(word.count("#") + word.count("…") + word.count("...") for word in words) / len(words)


def _letters(words: list[str], lines: list[str]) -> float:
    return sum(any(c.isalpha() for c in word) for word in words) / len(words)


def _bullets(words: list[str], lines: list[str]) -> float:
    return sum(line.startswith(_BULLETS) for line in lines) / len(lines)


def _ellipses(words: list[str], lines: list[str]) -> float:
    return sum(line.endswith(("…", "...")) for line in lines) / len(lines)


def _stop_words(words: list[str], lines: list[str]) -> float:
    return len(STOP_WORDS & {w.lower() for word in words for w in _WORD.findall(word)})


def _repeated_lines(words: list[str], lines: list[str]) -> float:
    return 1 - len(set(lines)) / len(lines)


def _repeated_characters(words: list[str], lines: list[str]) -> float:
    again = sum((count - 1) * len(line) for line, count in Counter(lines).items())
    return again / sum(map(len, lines))


_AT_LEAST = {"min_words", "letters", "stop_words"}
_MEASURES = {
    "min_words": lambda words, lines: len(words),
    "max_words": lambda words, lines: len(words),
    "mean_word_length": _mean_length,
    "symbols": _symbols,
    "letters": _letters,
    "bullets": _bullets,
    "ellipses": _ellipses,
    "stop_words": _stop_words,
    "repeated_lines": _repeated_lines,
    "repeated_line_characters": _repeated_characters,
}
