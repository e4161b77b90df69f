"""What the choices of a row have in common is read once, and scores stay what they are."""

from dataclasses import replace

import pytest
import torch
from tiny import SEQ2SEQ, WIDTH, prompt_of, row, tiny_backbone
from torch.utils.flop_counter import FlopCounterMode

from tunewright.backbones import shared_start
from tunewright.backbones.base import Backbone
from tunewright.backbones.shared_start import LENDS
from tunewright.methods.base import Tunable
from tunewright.objectives.losses import choice_scores
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Soft
from tunewright.training.tuner import Tuner

CHOICES = ("good", "very warm day", "bad rain")


def test_every_architecture_said_to_lend_is_tried() -> None:
    assert {tiny_backbone(arch).model.config.model_type for arch in SEQ2SEQ} == LENDS


@pytest.mark.parametrize("prefix", [0, 3])
@pytest.mark.parametrize("arch", SEQ2SEQ)
def test_answers_of_one_row_score_as_apart(arch: str, prefix: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with slots in the decoder, with other openings, with one choice, behind a deep prompt."""
    backbone = tiny_backbone(arch)
    layout = SlotLayout((SlotGroup("s", 0, 2),))
    table = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0))
    deep = torch.randn(prefix, 2, 2, 4, 8, generator=torch.Generator().manual_seed(1)) if prefix else None
    prompts = [
        prompt_of(row("the film was good"), Soft("s", 2, side="decoder"), ". topic: ", Answer()),
        prompt_of("It was ", Answer(), ": ", row("a cat and a dog and the sea")),
        prompt_of(row("a cat"), ". topic: ", Answer()),
    ]
    counts = (3, 3, 1)
    prompts = [
        replace(p, choices=CHOICES[:n], choice_labels=tuple(range(n)), target=CHOICES[0])
        for p, n in zip(prompts, counts)
    ]
    batch = backbone.collate(backbone.encode_many(prompts, layout, "choices"))
    assert batch.decoder_of is not None and len(batch.decoder_of) == 7

    def states() -> torch.Tensor:
        with torch.no_grad():
            return backbone.states(batch, table, deep)[batch.ask_row, batch.ask_position]

    shared = states()
    monkeypatch.setattr(shared_start, "LENDS", frozenset())
    assert torch.allclose(shared, states(), rtol=1e-4, atol=1e-5)


def cost(backbone: Backbone, choices: int) -> tuple[int, torch.Tensor]:
    """Floating-point operations of scoring so many short choices behind prompts of about 100 tokens."""
    text = row("the film was good and the dog and the sea and a day " * 6)
    prompt = prompt_of("review: ", text, ". topic: ", Answer(), choices=tuple("abcde")[:choices])
    examples = backbone.encode_many([replace(prompt, choice_labels=tuple(range(choices)))] * 3, SlotLayout(), "choices")
    batch = backbone.collate(examples)
    tuner = Tuner(backbone, Tunable(backbone)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        scores = choice_scores(tuner(batch), batch)
    return counter.get_total_flops(), scores


@pytest.mark.parametrize("arch", ["llama", "gpt2", "t5", "t5-untied", "bart", "bert"])
def test_five_choices_cost_little_more_than_one(arch: str) -> None:
    backbone = tiny_backbone(arch)
    (one, first), (five, scores) = cost(backbone, 1), cost(backbone, 5)
    assert five <= 1.2 * one
    assert torch.allclose(scores[:, :1], first, rtol=1e-4, atol=1e-4)
