"""Texts drawn from a model: by seed alone, greedy where the temperature is near zero."""

import pytest
import torch
from tiny import prompt_of, tiny_backbone

from tunewright.backbones.sampling import Sampling
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer


@pytest.mark.parametrize("arch", ["llama", "gpt2", "t5", "bart"])
def test_the_seed_alone_decides(arch: str) -> None:
    backbone = tiny_backbone(arch)
    (example,) = backbone.encode_many([prompt_of("the film was ", Answer())], SlotLayout(), "generate")

    def texts(sampling: Sampling | None) -> list[str]:
        return backbone.generate(backbone.collate([example, example], "left"), None, 8, sampling=sampling)

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = texts(Sampling(1.5, 1.0, 0))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers are as they were
    torch.manual_seed(6)
    assert texts(Sampling(1.5, 1.0, 0)) == first
    assert texts(Sampling(1.5, 1.0, 1)) != first
    assert first[0] != first[1]  # each row draws
    greedy = texts(None)
    assert greedy[0] == greedy[1]
    assert texts(Sampling(1e-4, 1.0, 0)) == texts(Sampling(1.5, 1e-6, 3)) == greedy
