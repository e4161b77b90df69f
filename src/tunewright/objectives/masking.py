"""BERT's masking of a block of tokens."""

from collections.abc import Sequence

import numpy as np

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Ask, Example, View
from tunewright.objectives.documents import documents_in

MASKED, RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stay as they are (Devlin et al. 2019, §3.1)


def masked_lm(
    block: Sequence[int],
    random: np.random.Generator,
    share: float,
    mask: int,
    plain: Sequence[int],
    before: Sequence[int],
    after: Sequence[int],
    starts: np.ndarray | None = None,
    border: int | None = None,
    isolate: bool = False,
) -> Example:
    """`share` of the tokens is asked: 80 % masked, 10 % random, 10 % as they stand (Devlin et al. 2019).

    `starts` [V] (whole-word masking): all pieces of a chosen word are chosen; a word too long for what is left to
    choose is passed over, as in BERT's code. `plain` are the ids drawn at random. The border between documents is never
    asked. `isolate`: each document stands in a frame of its own and sees itself alone.
    """
    wanted = max(1, round(share * len(block)))
    groups = _words(block, starts, border)
    chosen: list[int] = []
    for g in random.permutation(len(groups)).tolist():
        if len(chosen) + len(groups[g]) <= wanted:
            chosen += groups[g]
    if not chosen and groups:  # nothing but words longer than that
        chosen = sorted(groups, key=len)[0]
    numbers = documents_in(block, border) if isolate and border is not None else None
    ids, place, branches = _framed(block, before, after, numbers)
    view = View(ids, [-1] * len(ids), branches=branches)
    for i in sorted(chosen):
        at, roll = place[i], random.random()
        view.asks.append(Ask(0, at, ids[at], 0))
        if roll < MASKED:
            view.ids[at] = mask
        elif roll < MASKED + RANDOM:
            view.ids[at] = int(plain[int(random.integers(len(plain)))])
    return Example([view])


def _framed(
    block: Sequence[int], before: Sequence[int], after: Sequence[int], numbers: Sequence[int] | None
) -> tuple[list[int], list[int], list[int] | None]:
    """A block in its frame, or each of its documents in one: ids, each token's place in them, each id's document.

    In a frame of its own a document's border is the frame's end.
    """
    if numbers is None:
        return [*before, *block, *after], [len(before) + i for i in range(len(block))], None
    ids: list[int] = []
    place: list[int] = []
    branches: list[int] = []
    for i, (token, number) in enumerate(zip(block, numbers)):
        if i == 0 or numbers[i - 1] != number:
            ids += before
        ends = i + 1 < len(numbers) and numbers[i + 1] != number
        place.append(len(ids))
        ids += after if ends else [token]
        branches += [number] * (len(ids) - len(branches))
    ids += after
    return ids, place, [*branches, *[numbers[-1]] * len(after)]


def _words(block: Sequence[int], starts: np.ndarray | None, border: int | None) -> list[list[int]]:
    """Positions grouped by word, borders left out; each by itself without `starts`."""
    groups: list[list[int]] = []
    begins = True
    for i, token in enumerate(block):
        if token == border:
            begins = True
            continue
        if starts is None or begins or starts[token]:
            groups.append([i])
        else:
            groups[-1].append(i)
        begins = False
    return groups


def word_starts(backbone: Backbone) -> np.ndarray:
    """Whether each token begins a word, bool [V]: WordPiece marks what does not (##), others what does (Ġ, ▁)."""
    pieces = type(backbone.tokenizer.backend_tokenizer.model).__name__ == "WordPiece"
    starts = np.ones(backbone.vocabulary, dtype=bool)
    for token, i in backbone.tokenizer.get_vocab().items():
        if i < len(starts):
            starts[i] = not token.startswith("##") if pieces else token.startswith(("Ġ", "▁", "Ċ"))
    starts[backbone.tokenizer.all_special_ids] = True
    return starts
