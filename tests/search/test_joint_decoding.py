"""LM-BFF's joint decoding against all texts there are, scored by the model's own forward, and against a plain beam."""

from collections.abc import Sequence
from itertools import product

import pytest
import torch
from planting import inputs_of, teach
from tiny import tiny_backbone

from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.errors import InputError
from tunewright.search.joint_decoding import Filled, content_tokens, joint_beam
from tunewright.search.words import texts_of


def backbone_of(arch: str = "t5") -> Seq2SeqBackbone:
    backbone = tiny_backbone(arch)
    assert isinstance(backbone, Seq2SeqBackbone)
    return backbone


class Reference:
    """log p of the next token after some ids: the mean of each row's own logits, rows one by one, then a softmax."""

    def __init__(self, backbone: Seq2SeqBackbone, inputs: Sequence[Sequence[int]]) -> None:
        self.model, self.inputs = backbone.model, inputs
        self.start = [
            backbone.model.config.decoder_start_token_id,
            backbone.tokenizer.convert_tokens_to_ids("<extra_id_0>"),
        ]
        self.seen: dict[tuple[int, ...], torch.Tensor] = {}

    @torch.no_grad()
    def after(self, ids: tuple[int, ...]) -> torch.Tensor:
        if ids not in self.seen:
            decoder = torch.tensor([[*self.start, *ids]])
            rows = [
                self.model(input_ids=torch.tensor([row]), decoder_input_ids=decoder).logits[0, -1]
                for row in self.inputs
            ]
            self.seen[ids] = torch.log_softmax(torch.stack(rows).mean(0), -1)
        return self.seen[ids]

    def of(self, ids: tuple[int, ...]) -> float:
        return sum(float(self.after(ids[:i])[token]) for i, token in enumerate(ids))


@pytest.mark.parametrize("arch", ["t5", "t5-untied"])
def test_a_wide_beam_finds_all_texts_in_the_order_of_brute_force(arch: str) -> None:
    backbone = backbone_of(arch)
    content = [backbone.tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("it", "was", "good")]
    second, third = (backbone.tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") for i in (1, 2))
    inputs = inputs_of(backbone)
    reference = Reference(backbone, inputs)
    expected: list[tuple[float, tuple[tuple[int, ...], ...]]] = []
    for before, after in product(range(3), range(3)):
        if before + after > 2:
            continue
        for x, y, end in product(product(content, repeat=before), product(content, repeat=after), (third, 1)):
            expected.append((reference.of((*x, second, *y, end)), (x, y)))
    expected.sort(key=lambda pair: -pair[0])
    found = joint_beam(backbone, inputs, beam=10_000, max_length=4, content=content)
    assert len(found) == len(expected) == 2 * (1 + 3 + 3 + 9 + 9 + 9)
    for one, (log_prob, parts) in zip(found, expected):
        assert one.log_prob == pytest.approx(log_prob, abs=1e-4)
        assert one.parts == parts


def plain_beam(
    backbone: Seq2SeqBackbone, reference: Reference, content: set[int], beam: int, steps: int
) -> list[Filled]:
    """Gao et al.'s search as their code has it, over the whole vocabulary, with the ends written out."""
    ends = [backbone.tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") for i in (1, 2)]
    stop = backbone.tokenizer.convert_tokens_to_ids(".")
    best: list[tuple[float, tuple[int, ...], int]] = [(0.0, (), 0)]
    for _ in range(steps):
        pool = []
        for log_prob, ids, done in best:
            if done == 2:
                pool.append((log_prob, ids, done))
                continue
            for token, value in enumerate(reference.after(ids).tolist()):
                finishes = token == ends[done] or (done == 1 and token == 1)
                if not finishes and token not in content:
                    continue
                if token == stop and ids and ids[-1] == stop:
                    continue
                pool.append((log_prob + value, (*ids, token), done + finishes))
        best = sorted(pool, key=lambda one: -one[0])[:beam]
    found = []
    for log_prob, ids, done in best:
        if done == 2:
            at = ids.index(ends[0])
            found.append(Filled((ids[:at], ids[at + 1 : -1]), log_prob))
    return found


@pytest.mark.parametrize("beam", [1, 12])
def test_a_narrow_beam_keeps_what_a_plain_one_keeps(beam: int) -> None:
    backbone = backbone_of()
    teach(backbone, "it was", "a day.", steps=12)
    inputs = inputs_of(backbone)
    expected = plain_beam(backbone, Reference(backbone, inputs), set(content_tokens(backbone)), beam, 6)
    found = joint_beam(backbone, inputs, beam=beam, max_length=6)
    assert [one.parts for one in found] == [one.parts for one in expected]
    assert [one.log_prob for one in found] == pytest.approx([one.log_prob for one in expected], abs=1e-4)
    assert found or beam == 1


def test_what_was_learnt_is_written() -> None:
    backbone = backbone_of()
    teach(backbone, "it was", "a day.", steps=25)
    best = joint_beam(backbone, inputs_of(backbone), beam=5, max_length=10)[0]
    assert texts_of(backbone, best.parts) == [" it was", " a day."]


def test_blank_and_special_tokens_are_no_content() -> None:
    backbone = backbone_of()
    content = {backbone.tokenizer.convert_ids_to_tokens(i) for i in content_tokens(backbone)}
    assert {"▁good", ".", "a"} <= content
    assert not {"▁", "</s>", "<pad>", "<unk>", "<extra_id_3>"} & content


def test_two_full_stops_never_follow_each_other() -> None:
    backbone = backbone_of()
    stop = backbone.tokenizer.convert_tokens_to_ids(".")
    found = joint_beam(backbone, inputs_of(backbone), beam=500, max_length=5, content=[stop])
    assert {one.parts for one in found} == {((), ()), ((stop,), ()), ((), (stop,)), ((stop,), (stop,))}


def test_a_model_without_sentinels_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"lm-bff: tiny-bart has no sentinels \(<extra_id_0> …\): a T5-like model wanted"
    ):
        joint_beam(backbone_of("bart"), [[5, 6]], beam=2, max_length=4)
