"""What each objective asks, by eye, and what its noise always is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_backbone

from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.objectives import raw_text as o
from tunewright.objectives.masking import masked_lm, word_starts
from tunewright.pretraining.raw.vocabulary import train_tokenizer
from tunewright.seeds import numpy_random

BLOCK = [10, 11, 12, 13, 14, 15, 16, 17]


def asked(example: Example) -> list[tuple[int, int]]:
    return [(ask.position, ask.token) for ask in example.views[0].asks]


def test_causal_lm_and_the_prefix_it_leaves_out() -> None:
    whole = o.causal_lm([10, 11, 12], 0)
    assert whole.views[0].ids == [10, 11, 12] and asked(whole) == [(0, 11), (1, 12)]
    assert asked(o.causal_lm([10, 11, 12, 13], 2)) == [(1, 12), (2, 13)]


def test_prefix_lm_of_an_encoder_decoder() -> None:
    (view,) = o.prefix_lm(BLOCK, 3, end=1, start=0).views
    assert view.ids == [10, 11, 12, 1]
    assert view.decoders == [([0, 13, 14, 15, 16], [-1] * 5)]
    assert [(ask.position, ask.token) for ask in view.asks] == [(0, 13), (1, 14), (2, 15), (3, 16), (4, 17)]


def test_span_corruption_of_a_given_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 11 [12 13] 14 15 [16] 17: T5's inputs and targets."""
    mask = np.array([0, 0, 1, 1, 0, 0, 1, 0], dtype=bool)
    monkeypatch.setattr(o, "spans_noise_mask", lambda *_: mask)
    example = o.span_corruption(BLOCK, numpy_random("x"), 0.4, 2.0, sentinels=[99, 98, 97], end=1, start=0)
    (view,) = example.views
    assert view.ids == [10, 11, 99, 14, 15, 98, 17, 1]
    assert [ask.token for ask in view.asks] == [99, 12, 13, 98, 16, 1]
    assert view.decoders[0][0] == [0, 99, 12, 13, 98, 16]


@settings(deadline=None)
@given(length=st.integers(2, 300), share=st.floats(0.05, 0.6), mean=st.floats(1, 8), seed=st.integers(0, 99))
def test_the_mask_of_spans(length: int, share: float, mean: float, seed: int) -> None:
    """T5's numbers: so many hidden tokens in so many spans, an open one first and a hidden one last."""
    mask = o.spans_noise_mask(length, numpy_random("mask", seed), share, mean)
    hidden = min(max(round(length * share), 1), length - 1)
    spans = min(max(round(hidden / mean), 1), length - hidden)
    starts = int(mask[0]) + int((mask[1:] & ~mask[:-1]).sum())
    assert (len(mask), int(mask.sum()), starts) == (length, hidden, spans)
    assert not mask[0] and mask[-1]


def test_cuts_of_four_in_two_are_equally_likely() -> None:
    found = [tuple(o._parts(4, 2, numpy_random("parts", i))) for i in range(3000)]
    shares = {parts: found.count(parts) / 3000 for parts in set(found)}
    assert set(shares) == {(1, 3), (2, 2), (3, 1)}
    assert all(abs(share - 1 / 3) < 0.04 for share in shares.values())


def masked(seed: int, starts: np.ndarray | None = None, block: list[int] = BLOCK) -> Example:
    return masked_lm(block, numpy_random("mlm", seed), 0.25, 4, [70, 71], [2], [3], starts)


def test_masked_lm_asks_a_quarter_and_hides_most_of_it() -> None:
    kinds = {"mask": 0, "random": 0, "same": 0}
    for seed in range(1500):
        (view,) = masked(seed).views
        assert len(view.asks) == 2 and view.ids[0] == 2 and view.ids[-1] == 3 and len(view.ids) == 10
        for ask in view.asks:
            assert ask.token == BLOCK[ask.position - 1]
            now = view.ids[ask.position]
            kinds["mask" if now == 4 else "random" if now in (70, 71) else "same"] += 1
        others = set(range(1, 9)) - {ask.position for ask in view.asks}
        assert all(view.ids[at] == BLOCK[at - 1] for at in others)
    assert [round(count / 3000, 1) for count in kinds.values()] == [0.8, 0.1, 0.1]


def test_whole_words_are_asked_together() -> None:
    """10 11 | 12 | 13 14 15 | 16 | 17, where 11, 14 and 15 go on a word."""
    starts = np.ones(100, dtype=bool)
    starts[[11, 14, 15]] = False
    words = [{1, 2}, {3}, {4, 5, 6}, {7}, {8}]
    for seed in range(40):
        places = {ask.position for ask in masked(seed, starts).views[0].asks}
        assert places and all(word <= places or not word & places for word in words)


def bert_reference(block: list[int], random: np.random.Generator, share: float, starts: np.ndarray) -> set[int]:
    """Google's create_masked_lm_predictions (bert/create_pretraining_data.py), whole words, SEP (3) left out."""
    candidates: list[list[int]] = []
    for i, token in enumerate(block):
        if token == 3:
            continue
        if candidates and not starts[token]:
            candidates[-1].append(i)
        else:
            candidates.append([i])
    order = [candidates[k] for k in random.permutation(len(candidates))]
    wanted = max(1, round(len(block) * share))
    covered: list[int] = []
    for indices in order:
        if len(covered) >= wanted:
            break
        if len(covered) + len(indices) > wanted:
            continue
        covered += indices
    return set(covered)


def test_whole_words_are_chosen_as_in_berts_code() -> None:
    starts = np.ones(100, dtype=bool)
    starts[[11, 14, 15]] = False
    block = [10, 11, 12, 3, 13, 14, 15, 16, 17, 3, 18, 10, 11]
    for seed in range(60):
        example = masked_lm(block, numpy_random("w", seed), 0.3, 4, [70], [2], [3], starts, 3)
        places = {ask.position - 1 for ask in example.views[0].asks}
        assert places == bert_reference(block, numpy_random("w", seed), 0.3, starts)


def test_a_word_longer_than_the_share_and_a_border_that_is_never_asked() -> None:
    starts = np.zeros(100, dtype=bool)
    (view,) = masked_lm([10, 11, 12, 3, 13, 14], numpy_random("x"), 0.2, 4, [70], [], [], starts, 3).views
    assert [ask.token for ask in view.asks] == [13, 14]  # of two words too long the shorter one
    for seed in range(50):
        (view,) = masked_lm([10, 3, 11, 3], numpy_random("x", seed), 0.9, 4, [70], [], [], None, 3).views
        assert {ask.token for ask in view.asks} == {10, 11} and view.ids[1] == view.ids[3] == 3


def test_every_mask_of_spans_is_equally_likely() -> None:
    """8 tokens, 4 hidden in 2 spans: 3 ways to cut 4 open ones in two, 3 to cut the hidden: nine masks, by hand."""
    cuts = [(1, 3), (2, 2), (3, 1)]
    every = {"." * a + "#" * c + "." * b + "#" * d for a, b in cuts for c, d in cuts}
    found = [
        "".join(".#"[int(hidden)] for hidden in o.spans_noise_mask(8, numpy_random("nine", i), 0.5, 2.0))
        for i in range(4500)
    ]
    assert set(found) == every and len(every) == 9
    assert all(abs(found.count(mask) / 4500 - 1 / 9) < 0.02 for mask in every)


def test_prefixes_end_at_every_point_alike() -> None:
    found = [o._cut(5, numpy_random("cut", i)) for i in range(2000)]
    assert set(found) == {1, 2, 3, 4} and all(abs(found.count(cut) / 2000 - 0.25) < 0.04 for cut in set(found))


def test_a_stage_rehearses_those_before() -> None:
    def marked(number: int) -> o.Make:
        return lambda block, random: o.causal_lm([number, number], 0)

    make = o.rehearsing(marked(3), [marked(1), marked(2)], 0.4)
    found = [make([], numpy_random("rehearse", i)).views[0].ids[0] for i in range(2000)]
    assert [round(found.count(number) / 2000, 1) for number in (1, 2, 3)] == [0.2, 0.2, 0.6]
    plain = marked(3)
    assert o.rehearsing(plain, [], 0.0) is plain


def test_what_begins_a_word() -> None:
    for arch, start, inside in (("bert", "cat", "##a"), ("roberta", "Ġcat", "a"), ("t5", "▁cat", "a")):
        backbone = tiny_backbone(arch)
        ids = backbone.tokenizer.convert_tokens_to_ids
        found = word_starts(backbone)
        assert found[ids(start)] and not found[ids(inside)] and found[backbone.tokenizer.all_special_ids].all()
        assert not set(backbone.ordinary_tokens()) & set(backbone.tokenizer.all_special_ids)


def test_objectives_of_other_families_are_refused() -> None:
    with pytest.raises(InputError, match="objective mlm: for masked models; tiny-llama is causal"):
        o.make_objective("mlm", tiny_backbone("llama"))
    with pytest.raises(InputError, match=r"span-corruption: the tokenizer of tiny-bart has no sentinels"):
        o.make_objective("span-corruption", tiny_backbone("bart"))
    make = o.make_objective("span-corruption", tiny_backbone("t5"), share=0.5, mean_span=1)
    with pytest.raises(InputError, match=r"more than 10 spans; shorten training.max_tokens"):
        make(list(range(20, 50)), numpy_random("x"))


def test_a_vocabulary_in_t5s_form() -> None:
    texts = [f"the {a} film was {b} and long" for a in ("good", "bad", "old") for b in ("fine", "dull", "short")]
    tokenizer = train_tokenizer(texts * 5, 160)
    ids = tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>", "<extra_id_99>", "<extra_id_0>"])
    assert ids == [0, 1, 2, len(tokenizer) - 100, len(tokenizer) - 1]
    assert tokenizer.decode(tokenizer("the good film").input_ids) == "the good film</s>"
