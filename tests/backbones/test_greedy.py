"""The common start of a batch, rows that leave it, and what is read: literal arrays and a model that counts."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import CAUSAL, WIDTH, prompt_of, row, tiny_backbone
from torch import Tensor
from transformers import DynamicCache

from tunewright.backbones.base import Backbone
from tunewright.backbones.batch import Batch
from tunewright.backbones.common_start import common_start
from tunewright.backbones.deep import prefix_cache
from tunewright.backbones.greedy import write_greedily
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Soft

LAYOUT = SlotLayout((SlotGroup("p", 0, 4),))
TABLE = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(5))
PROMPTS = [
    prompt_of(Soft("p", 4), "say it: ", row("the film was good and the story was fine"), ": ", Answer()),
    prompt_of(Soft("p", 4), "say it: ", row("a cat"), ": ", Answer()),
    prompt_of(Soft("p", 4), "say it: ", row("who said that"), ": ", Answer()),
]


def batch_of(ids: list[list[int]], soft: list[list[int]], mask: list[list[int]]) -> Any:
    asked = torch.zeros(0, dtype=torch.long)
    shown = torch.tensor(mask).bool()
    return SimpleNamespace(ids=torch.tensor(ids), soft=torch.tensor(soft), mask=shown, ask_row=asked, decoder_ids=None)


def left(backbone: Backbone, prompts: list[Prompt]) -> Batch:
    return backbone.collate(backbone.encode_many(prompts, LAYOUT, "generate"), "left")


def test_the_common_start_of_left_padded_rows() -> None:
    ids = [[0, 9, 7, 5, 3], [0, 0, 9, 7, 5], [9, 7, 5, 8, 8]]
    none = [[-1] * 5] * 3
    mask = [[0, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert common_start(batch_of(ids, none, mask)) == 2  # the shortest row keeps its last token
    assert common_start(batch_of(ids[:1], none[:1], mask[:1])) == 0  # nothing to share
    slots = [[-1, 0, -1, -1, -1], [-1, -1, 1, -1, -1], [0, -1, -1, -1, -1]]
    assert common_start(batch_of(ids, slots, mask)) == 0  # another slot is another vector
    assert common_start(batch_of([[4, 9, 7], [4, 2, 7]], [[-1] * 3] * 2, [[1] * 3] * 2)) == 1


@pytest.mark.parametrize("arch", CAUSAL)
@pytest.mark.parametrize("deep", [False, True])
def test_a_batch_writes_what_each_row_writes_alone(arch: str, deep: bool) -> None:
    backbone = tiny_backbone(arch)
    with torch.no_grad():
        for name, weight in backbone.model.named_parameters():
            if weight.dim() == 2 and "embed" not in name and "wte" not in name and "wpe" not in name:
                weight *= 4
    prefix = None
    if deep:
        prefix = backbone.key_values(torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(6)))
    ends = range(0, 400, 3)  # a third of the tokens end an answer: rows end at different steps

    def write(prompts: list[Prompt]) -> list[list[int]]:
        batch = left(backbone, prompts)
        x = backbone.embed(batch.ids, batch.soft, TABLE)
        cache = DynamicCache() if prefix is None else prefix_cache(prefix, 1, x.dtype)
        return write_greedily(backbone.model, batch, x, cache, ends, 12)

    alone = [write([prompt])[0] for prompt in PROMPTS]
    assert len({len(tokens) for tokens in alone}) > 1, alone
    assert write(PROMPTS) == alone


def test_what_is_common_is_read_once_and_ended_rows_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llama")
    batch = left(backbone, PROMPTS)
    start = common_start(batch)
    assert start >= 5
    x = backbone.embed(batch.ids, batch.soft, TABLE)
    shapes: list[tuple[int, int]] = []
    plain = backbone.model.base_model.forward

    def counted(*args: Any, **settings: Any) -> Any:
        new = settings["inputs_embeds"] if "inputs_embeds" in settings else settings["input_ids"]
        shapes.append((new.shape[0], new.shape[1]))
        return plain(*args, **settings)

    answers = iter([[5, 5, 5], [5, 9, 5], [5, 5], [9, 9]])

    def head(model: Any, states: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(torch.tensor(next(answers)), 20).float()

    monkeypatch.setattr(backbone.model.base_model, "forward", counted)
    monkeypatch.setattr("tunewright.backbones.greedy.vocabulary_head", head)
    assert write_greedily(backbone.model, batch, x, DynamicCache(), {9}, 12) == [[5, 5, 5], [5], [5, 5, 5]]
    width = x.shape[1] - start
    assert shapes == [(1, start), (3, width), (3, 1), (2, 1), (2, 1)]


CHOICES = [
    prompt_of(Soft("p", 4), "say it: ", row(text), ": ", Answer(), choices=("good", "a warm day", "no"), gold=0)
    for text in ("the film was good and the story was fine", "a cat", "who said that", "a cat")
]


@pytest.mark.parametrize("arch", CAUSAL)
def test_scores_and_states_behind_a_common_start_are_those_of_whole_rows(
    arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = tiny_backbone(arch)
    batch = backbone.collate(backbone.encode_many(CHOICES, LAYOUT, "choices"))
    shapes: list[int] = []
    plain = backbone.model.base_model.forward

    def counted(*args: Any, **settings: Any) -> Any:
        shapes.append(settings["inputs_embeds"].shape[1])
        return plain(*args, **settings)

    monkeypatch.setattr(backbone.model.base_model, "forward", counted)
    with torch.no_grad():
        whole = backbone.states(batch, TABLE)
        assert len(shapes) == 1  # too few tokens to pay
        monkeypatch.setattr("tunewright.backbones.common_start.WORTH", 1)
        shared = backbone.states(batch, TABLE)
    start = common_start(batch)
    assert shapes == [whole.shape[1], start, whole.shape[1] - start]
    assert start >= 5
    where = batch.mask.unsqueeze(-1)
    assert torch.allclose(whole * where, shared * where, atol=1e-5)
    trained = backbone.states(batch, TABLE)  # with gradients: the whole rows
    assert shapes[3:] == [whole.shape[1]]
    assert torch.allclose(trained, whole, atol=1e-5)
