"""The answer at the end of a chain of thought."""

import re
from collections.abc import Sequence

from tunewright.evaluation.text_metrics import normalise

# The phrasings of our templates and of GSM8K's and the Flan Collection's solutions; the last one in a text counts.
_PHRASE = re.compile(
    r"####|\banswer\s+is\b(?:\s*:)?|\banswer\s*:|\bresult\s*:|\bhence\b\s*[:,]?|\bso\s+it\s+is\b|\bthat\s+gives\b"
    r"|\bthe\s+result\s+is\b|\btherefore\b\s*[:,]?(?!\s+the\b)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-−]?\.\d+")
_END = re.compile(r"\n|[.!?](?=\s|$)")  # of the answer: a line's or a sentence's end, not the point in 3.5


def final_answer(text: str) -> str:
    """What stands behind the last phrase that announces an answer (`So the answer is`, `####`, `Hence:` …).

    Up to the end of its sentence or line, without quotes and brackets around it. Without a phrase it is the last line,
    whole.
    """
    found = list(_PHRASE.finditer(text))
    if found:
        rest = text[found[-1].end() :].strip()
        end = _END.search(rest)
        said = rest[: end.start()] if end else rest
    else:
        said = text.strip().rpartition("\n")[2].strip().rstrip(".")
    return said.strip(" \t\"'*“”$()[]")


def number_in(text: str) -> float | None:
    """The last number of a text, thousands' commas read over; None where there is none."""
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "").replace("−", "-")) if found else None


def final_match(answer: str, references: Sequence[str]) -> float:
    """1.0 where the final answer equals a reference's: as numbers where the reference's is one, else normalised.

    An answer without a phrase and without a last line that is the number gives its last number (Cobbe et al. 2021).
    """
    return float(any(_same(answer, final_answer(reference)) for reference in references))


def _same(answer: str, right: str) -> bool:
    said = final_answer(answer)
    if re.fullmatch(rf"\W*(?:{_NUMBER.pattern})\W*", right):
        number = number_in(said)
        return (number_in(answer) if number is None else number) == number_in(right)
    return normalise(said) == normalise(right)
