"""Word differences between a reference and an output: which words match, which are extra, which are missing."""

import difflib
import string
from typing import Literal, NamedTuple

# Word diffs take quadratic time, and nobody reads more in a report.
MAX_WORDS = 300


class Piece(NamedTuple):
    """A stretch of words. `same`: in both; `extra`: only in the output; `missing`: only in the reference."""

    kind: Literal["same", "extra", "missing"]
    text: str


def word_diff(reference: str, output: str) -> list[Piece]:
    """The output's words in order, marked against the reference, with missing words where they would stand.

    Words are compared without case and surrounding punctuation; the output's spelling is shown. Of either text
    the first 300 words are compared; what was cut is shown as "…".
    """
    wanted, wanted_cut = _words(reference)
    given, given_cut = _words(output)
    pieces: list[Piece] = []
    matcher = difflib.SequenceMatcher(None, [_key(w) for w in wanted], [_key(w) for w in given], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", " ".join(given[j1:j2])))
            continue
        if i2 > i1:
            pieces.append(Piece("missing", " ".join(wanted[i1:i2])))
        if j2 > j1:
            pieces.append(Piece("extra", " ".join(given[j1:j2])))
    if wanted_cut or given_cut:
        pieces.append(Piece("same", "…"))
    return pieces


def _words(text: str) -> tuple[list[str], bool]:
    words = text.split()
    return words[:MAX_WORDS], len(words) > MAX_WORDS


def _key(word: str) -> str:
    # A word of nothing but punctuation stands for itself: else "-" and "!" would be equal.
    return word.casefold().strip(string.punctuation + "“”‘’«»…") or word
