"""Where the words of a row stand among its tokens, for a head that labels each of them."""

from collections.abc import Sequence

from tunewright.backbones.examples import Ask
from tunewright.backbones.pieces import Piece
from tunewright.backbones.tokens import Run, TextEncoder
from tunewright.errors import InputError
from tunewright.prompts.segments import Prompt


def word_asks(
    prompt: Prompt, pieces: Sequence[Piece], starts: Sequence[int], encoder: TextEncoder, *, ends: bool = False
) -> list[Ask]:
    """An ask for each word that has a token: at its first sub-token, or (`ends`) at its last; the others are not read.

    `starts` are the places of the runs among the example's ids. A prompt that shows the words several times is asked
    at the last one. Words that were cut off, and such as the tokenizer drops, are not asked.
    Raises InputError where the prompt does not show the words.
    """
    runs = [piece for piece in pieces if isinstance(piece, Run)]
    number, at, shown_end = _shown(prompt.words, runs)
    spans = encoder.spans(runs[number])
    asks = []
    token = 0
    for index, word in enumerate(prompt.words):
        start, end = at, min(at + len(word), shown_end)  # the word's characters in the run
        at += len(word) + 1
        if start >= shown_end:
            break
        inside = []
        while token < len(spans) and spans[token][0] < end:
            if spans[token][1] > max(start, spans[token][0]):
                inside.append(token)
            if spans[token][1] > end:  # it belongs to the next word too
                break
            token += 1
        if inside:
            label = prompt.word_labels[index] if prompt.word_labels else -1
            asks.append(Ask(0, starts[number] + inside[-1 if ends else 0], label, index))
    return asks


def _shown(words: Sequence[str], runs: Sequence[Run]) -> tuple[int, int, int]:
    """(run, start, end) of the words joined by blanks, in a run's text: the last place that shows them.

    Where two showings were cut, one may have lost a little more; what is shorter by half is some other field.
    """
    text = " ".join(words)
    found = []
    for number, run in enumerate(runs):
        at = 0
        for part, from_row in run.parts:
            if from_row and part and text.startswith(part):
                found.append((number, at, at + len(part)))
            at += len(part)
    if not found:
        raise InputError("a head that labels words wants a template with {{ tokens | join(' ') }}")
    longest = max(end - start for _, start, end in found)
    return [place for place in found if 2 * (place[2] - place[1]) >= longest][-1]
