"""Texts are tokenised in stretches where that changes no id, and a stretch that was read is not read again."""

import random
from collections.abc import Callable

import pytest
from tiny import gpt2_tokenizer, roberta_tokenizer, smol_tokenizer, t5_tokenizer
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tunewright.backbones.tokens import Run, TextEncoder

PIECES = (
    "the film", " the dog", "\n", "\n\n", " ", "  ", "Answer:", " 12", "3.5", "'s", "'", "s", "\nTopic: ", "é",
    "\u3000", "\x1c", "\t", "<|im_end|>", "<|im_", "end|>", "\r\n", "It is a long stretch of words that goes on", "\nNo.", "²",
)  # fmt: skip


def with_digits() -> PreTrainedTokenizerFast:
    """SmolLM2's way: single digits are cut off before the words are."""
    found = PreTrainedTokenizerFast(tokenizer_object=smol_tokenizer().backend_tokenizer.from_str(
        smol_tokenizer().backend_tokenizer.to_str()))  # fmt: skip
    digits = pre_tokenizers.Digits(individual_digits=True)
    found.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return found


@pytest.mark.parametrize("make", [smol_tokenizer, gpt2_tokenizer, with_digits])
def test_ids_are_those_of_the_whole_text(make: Callable[[], PreTrainedTokenizerFast]) -> None:
    tokenizer, draw = make(), random.Random(0)
    encoder, plain = TextEncoder(tokenizer), TextEncoder(tokenizer)
    plain._words_alone = False
    assert encoder._words_alone
    runs = [
        Run(tuple((draw.choice(PIECES), draw.random() < 0.5) for _ in range(draw.randint(1, 12)))) for _ in range(1500)
    ]
    runs += [Run(run.parts[: len(run.parts) // 2]) for run in runs]
    assert sum(len(encoder._chunks(run.parts)) > 1 for run in runs) > 300
    for start in range(0, len(runs), 100):
        some = runs[start : start + 100]
        for run, ids, wanted in zip(some, encoder.ids(some), plain.ids(some)):
            assert ids == wanted, run


def test_where_a_text_may_be_cut() -> None:
    encoder = TextEncoder(smol_tokenizer())
    for before, after, wanted in [
        ("film", " good", True), ("film", "\ngood", True), ("film:", " good", True), ("it\n", "good", True),
        ("film", "s", False), ("film ", "good", False), ("it\n\n", "good", False), ("it\n", " good", False),
        ("it \n", "good", False), ("\n", "good", False), ("", " good", False), ("film", "", False),
        ("\x1c", " a", False), ("it", "\tgood", False),
    ]:  # fmt: skip
        assert encoder.cut_between(before, after) is wanted, (before, after)
    for other in (t5_tokenizer, roberta_tokenizer):  # another kind of words; a mask that takes the space before it
        assert not TextEncoder(other()).cut_between("film", " good")


def test_a_stretch_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, read = TextEncoder(smol_tokenizer()), []
    encoded = encoder._encoded
    monkeypatch.setattr(encoder, "_encoded", lambda texts: read.extend(texts) or encoded(texts))
    start = Run((("Review: it is a long film and the dog is in it", True), ("\nTopic:", False)))
    first = encoder.ids([start, start.plus(" sport"), start.plus(" money")])
    assert read == [start.parts[0][0], "\nTopic:", "\nTopic: sport", "\nTopic: money"]
    assert encoder.ids([start, start.plus(" sport"), start.plus(" money")]) == first and len(read) == 4
    first[0].append(1)  # what was given out is the caller's
    assert encoder.ids([start]) != [first[0]]
