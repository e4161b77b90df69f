"""Instructions that a model wrote: cleaned, or thrown away; and the templates made of them."""

import re
from collections.abc import Sequence

from tunewright.search.words import escaped

MOST_WORDS, MOST_CHARACTERS, FEWEST_WORDS = 60, 400, 3
_LEAD = re.compile(r"^(?:[-*•#>]+|\d+[.)])\s+")
_NAMED = re.compile(r"^(?:the\s+)?instructions?(?:\s+(?:was|is|were|are))?\s*(?::|\bto\b|(?=[\"“']))\s*", re.IGNORECASE)
_QUOTES = "\"'“”‘’«»`*"
_MARKS = re.compile(r"\b(?:input|output)s?\s*:|\|\|\||<\||[\ue000-\uf8ff\U00100000-\U0010ffff\ufffd]", re.IGNORECASE)


def cleaned(text: str, shown: Sequence[str] = (), *, whole: bool = True) -> str | None:
    """The instruction in a model's text, None where there is none to use.

    Its first line that says something, without list signs, quotes and `The instruction was to`; cut after a whole
    sentence where it is long. None: fewer than three words, no sentence's end within 60 words and 400 characters, a
    mark of the demonstrations (`Input:`) or of templates in it, or six words in a row of one of the demonstrations'
    texts (`shown`). `whole` is False for a text that was cut off: its last, unfinished sentence is not kept.
    """
    lines = [_bare(line) for line in text.strip().splitlines()]
    number = next((i for i, line in enumerate(lines) if len(line.split()) >= FEWEST_WORDS), None)
    if number is None:
        return None
    bare = lines[number]
    if _MARKS.search(bare) or _runs(bare) & {run for one in shown for run in _runs(one)}:
        return None
    unfinished = not whole and number == len(lines) - 1 and bare[-1] not in ".?!"
    short = _within(bare, 0 if unfinished else MOST_CHARACTERS)
    if short is None or not any(letter.isalpha() for letter in short):
        return None
    short = short[0].upper() + short[1:]
    return short if short[-1] in ".?!:" else short.rstrip(",;") + "."


def _bare(line: str) -> str:
    """A line without list signs, quotes and `The instruction was to`."""
    line = _LEAD.sub("", " ".join(line.split())).strip(_QUOTES)
    return _NAMED.sub("", line).strip().strip(_QUOTES).strip()


def _runs(text: str) -> set[str]:
    """All six words in a row."""
    words = key_of(text).split()
    return {" ".join(words[i : i + 6]) for i in range(len(words) - 5)}


def _within(text: str, most: int) -> str | None:
    """The text, where it has at most `most` characters; else as many whole sentences as the limits allow, or None."""
    if len(text) <= most and len(text.split()) <= MOST_WORDS:
        return text
    kept = None
    for end in re.finditer(r"[.?!](?=\s)", text):
        part = text[: end.end()]
        if len(part) > MOST_CHARACTERS or len(part.split()) > MOST_WORDS:
            break
        kept = part
    return kept if kept is not None and len(kept.split()) >= FEWEST_WORDS else None


def key_of(instruction: str) -> str:
    """Equal for instructions that differ in case, punctuation or spaces alone."""
    return " ".join(re.findall(r"\w+", instruction.casefold()))


def instruction_template(instruction: str, names: Sequence[str], *, lists_choices: bool = False) -> str:
    """The form in which Zhou et al. 2022 try an instruction: it, the input, `Output:`."""
    options = "\nChoices: {{ answer_choices | join(', ') }}" if lists_choices else ""
    return f"Instruction: {escaped(instruction)}\n\n{input_lines(names)}{options}\nOutput: {{{{ answer }}}}"


def input_lines(names: Sequence[str]) -> str:
    """`Input: {{ text }}`, or a line a field where there are several."""
    if len(names) == 1:
        return f"Input: {{{{ {names[0]} }}}}"
    return "\n".join(f"{name.replace('_', ' ').capitalize()}: {{{{ {name} }}}}" for name in names)
