"""Greedy answers: alone, in a batch, with slots; against transformers' own and a loop written out by hand."""

from copy import deepcopy

import pytest
import torch
from tiny import CAUSAL, SEQ2SEQ, WIDTH, prompt_of, row, tiny_backbone
from torch import Tensor

from tunewright.backbones import causal
from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import View
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Soft

LAYOUT = SlotLayout((SlotGroup("p", 0, 4), SlotGroup("d", 4, 3, side="decoder")))
TABLE = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(5))
NEW = 6

PLAIN = [
    prompt_of(row("the film was good and the story was fine"), ". topic: ", Answer()),
    prompt_of(row("a cat"), ". topic: ", Answer()),
    prompt_of("who said that: ", Answer()),
]
SOFT = [
    prompt_of(Soft("p", 4), row("the film was good and the story was fine"), ": ", Answer()),
    prompt_of(row("a cat"), Soft("p", 4), ": ", Answer()),
]
DECODER = [
    prompt_of(Soft("d", 3, side="decoder"), row("the film was good and the story was fine"), ": ", Answer()),
    prompt_of(Soft("d", 3, side="decoder"), Soft("p", 4), row("a cat"), ": ", Answer()),
]


@torch.no_grad()
def talkative(arch: str) -> Backbone:
    """A backbone that does not just repeat its last token, as a small random one with a tied head does."""
    backbone = tiny_backbone(arch)
    for name, weight in backbone.model.named_parameters():
        if weight.dim() == 2 and not any(word in name for word in ("embed", "shared", "wte", "wpe", "lm_head")):
            weight *= 4
    return backbone


def views(backbone: Backbone, prompts: list[Prompt]) -> list[View]:
    return [example.views[0] for example in backbone.encode_many(prompts, LAYOUT, "generate")]


def generate(backbone: Backbone, prompts: list[Prompt], table: Tensor | None = None) -> list[str]:
    return backbone.generate(backbone.collate(backbone.encode_many(prompts, LAYOUT, "generate"), "left"), table, NEW)


def decode(backbone: Backbone, ids: list[int]) -> str:
    return backbone.tokenizer.decode(ids, skip_special_tokens=True).strip()


@torch.no_grad()
def by_hand(backbone: Backbone, view: View, table: Tensor) -> str:
    """One forward pass over everything for each new token; no cache, no mask."""

    def vectors(ids: list[int], soft: list[int]) -> Tensor:
        words = backbone.model.get_input_embeddings()(torch.tensor(ids))
        return torch.stack([table[s] if s >= 0 else w for w, s in zip(words, soft)]).unsqueeze(0)

    ids, soft = view.decoders[0] if view.decoders else (view.ids, view.soft)
    new: list[int] = []
    ends = {backbone.tokenizer.eos_token_id}
    while len(new) < NEW and not ends & set(new):
        x = vectors([*ids, *new], [*soft, *[-1] * len(new)])
        if view.decoders:
            out = backbone.model(inputs_embeds=vectors(view.ids, view.soft), decoder_inputs_embeds=x)
        else:
            out = backbone.model(inputs_embeds=x)
        new.append(int(out.logits[0, -1].argmax()))
    return decode(backbone, new)


@pytest.mark.parametrize("arch", [*CAUSAL, *SEQ2SEQ])
def test_without_slots_as_transformers_does_with_ids(arch: str) -> None:
    backbone = talkative(arch)
    expected = []
    for view in views(backbone, PLAIN):
        start = {"decoder_input_ids": torch.tensor([view.decoders[0][0]])} if view.decoders else {}
        ids = backbone.model.generate(
            input_ids=torch.tensor([view.ids]), attention_mask=torch.ones(1, len(view.ids)), do_sample=False,
            max_new_tokens=NEW, pad_token_id=backbone.pad, eos_token_id=backbone.tokenizer.eos_token_id, **start,
        )  # fmt: skip
        skip = len(view.decoders[0][0]) if view.decoders else len(view.ids)
        expected.append(decode(backbone, ids[0, skip:].tolist()))
    assert len(set(expected)) > 1, expected
    assert [generate(backbone, [prompt])[0] for prompt in PLAIN] == expected
    assert generate(backbone, PLAIN) == expected


@pytest.mark.parametrize("arch", [*CAUSAL, *SEQ2SEQ])
def test_with_slots_as_a_loop_by_hand(arch: str) -> None:
    backbone = talkative(arch)
    expected = [by_hand(backbone, view, TABLE) for view in views(backbone, SOFT)]
    assert len(set(expected)) > 1, expected
    assert [generate(backbone, [prompt], TABLE)[0] for prompt in SOFT] == expected
    assert generate(backbone, SOFT, TABLE) == expected


@pytest.mark.parametrize("arch", SEQ2SEQ)
def test_with_slots_in_the_decoder_as_a_loop_by_hand(arch: str) -> None:
    backbone = talkative(arch)
    expected = [by_hand(backbone, view, TABLE) for view in views(backbone, DECODER)]
    assert any(expected), expected
    assert [generate(backbone, [prompt], TABLE)[0] for prompt in DECODER] == expected
    assert generate(backbone, DECODER, TABLE) == expected


@pytest.mark.parametrize("arch", SEQ2SEQ)
def test_a_batch_may_mix_forms_of_decoder_starts(arch: str) -> None:
    """Plain, with decoder slots, with a sentinel: several templates in one run."""
    backbone = talkative(arch)
    mixed = [DECODER[0], PLAIN[1], prompt_of("it was a ", Answer(), " day"), DECODER[1], PLAIN[0]]
    expected = [by_hand(backbone, view, TABLE) for view in views(backbone, mixed)]
    assert generate(backbone, mixed, TABLE) == expected


def test_an_answer_ends_at_the_turns_end_or_the_end_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """SmolLM2 ends a turn with <|im_end|>; a model whose end of text is another token ends at both."""
    backbone = tiny_backbone("llama")
    backbone.tokenizer = deepcopy(backbone.tokenizer)
    backbone.tokenizer.eos_token = "<|endoftext|>"
    seen: list[set[int]] = []
    monkeypatch.setattr(causal, "write_greedily", lambda model, batch, x, cache, ends, most: seen.append(ends) or [[5]])
    generate(backbone, [PLAIN[0]])
    assert seen == [{0, 2}]


def test_t5_ends_at_its_next_sentinel_too(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("t5")
    seen = {}
    monkeypatch.setattr(backbone.model, "generate", lambda **settings: seen.update(settings) or torch.tensor([[0, 5]]))
    generate(backbone, [prompt_of("it was a ", Answer(), " day")])
    assert seen["eos_token_id"] == [1, backbone.tokenizer.convert_tokens_to_ids("<extra_id_1>")]


def test_an_architecture_that_was_not_checked_is_left_to_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = talkative("llama")
    expected = generate(backbone, PLAIN)

    def never(*given: object) -> None:
        raise AssertionError("its cache may not be cut and shared")

    monkeypatch.setattr(causal, "write_greedily", never)
    with pytest.raises(AssertionError):
        generate(backbone, PLAIN)
    monkeypatch.setattr(causal, "TREE_READY", frozenset())
    assert generate(backbone, PLAIN) == expected
