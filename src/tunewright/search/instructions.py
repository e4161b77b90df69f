"""Instructions that a model wrote: cleaned, or thrown away; and the templates made of them."""

import re
from collections.abc import Sequence

from tunewright.search.words import escaped

MOST_WORDS, MOST_CHARACTERS, FEWEST_WORDS = 60, 400, 3
_LEAD = re.compile(r"^(?:[-*•#>]+|\d+[.)])\s+")
_NAMED = re.compile(r"^(?:the\s+)?instructions?(?:\s+(?:was|is|were|are))?\s*(?::|\bto\b|(?=[\"“']))\s*", re.IGNORECASE)
_QUOTES = "\"'“”‘’«»`*"
_MARKS = re.compile(r"\b(?:input|output)s?\s*:|\|\|\||<\||[\ue000-\uf8ff\U00100000-\U0010ffff\ufffd]", re.IGNORECASE)


def cleaned(text: str, shown: Sequence[str] = ()) -> str | None:
    """The instruction in a model's text, None where there is none to use.

    Its first line that says something, without list signs, quotes and `The instruction was to`; cut after a whole
    sentence where it is long. None: fewer than three words, no sentence's end within 60 words and 400 characters, a
    mark of the demonstrations (`Input:`) or of templates in it, or one of the demonstrations' texts (`shown`).
    """
    for line in text.splitlines():
        line = " ".join(line.split())
        bare = _NAMED.sub("", _LEAD.sub("", line).strip(_QUOTES)).strip().strip(_QUOTES).strip()
        if len(bare.split()) >= FEWEST_WORDS:
            break
    else:
        return None
    if _MARKS.search(bare) or any(len(one) >= 20 and one in bare for one in shown):
        return None
    bare = _within(bare)
    if bare is None or not any(letter.isalpha() for letter in bare):
        return None
    bare = bare[0].upper() + bare[1:]
    return bare if bare[-1] in ".?!:" else bare.rstrip(",;") + "."


def _within(text: str) -> str | None:
    """As many whole sentences as the limits allow; None where not even one."""
    if len(text) <= MOST_CHARACTERS and len(text.split()) <= MOST_WORDS:
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
