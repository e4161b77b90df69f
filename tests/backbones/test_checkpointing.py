"""Gradient checkpointing: the same loss and gradients from less memory."""

from typing import Any

import pytest
import torch
from tiny import tiny_prepared

from tunewright.errors import InputError
from tunewright.training.memory import kept_by


@pytest.mark.parametrize("arch", ["llama", "gpt2", "opt", "t5-untied", "bart", "bert", "roberta"])
@pytest.mark.parametrize("method", ["full", "lora", "prompt-tuning"])
def test_loss_and_gradients_are_equal(arch: str, method: Any) -> None:
    seen, kept = [], []
    for wanted in (False, True):
        prepared = tiny_prepared(method, arch, training={"gradient_checkpointing": wanted})
        rows = prepared.task.split("train").take(range(4))
        examples = [e for e in prepared.encoder(rows).examples(range(4), 0, "answer") if e is not None]
        batch = prepared.backbone.collate(examples)
        prepared.tuner.train()
        kept.append(kept_by(prepared.tuner, batch, training=True).states)
        torch.manual_seed(0)  # dropout is drawn again on the way back
        loss = -prepared.tuner(batch).sum()
        loss.backward()
        gradients = {n: p.grad for n, p in prepared.tuner.tunable.trained().items() if p.grad is not None}
        seen.append((loss.detach(), gradients))
    (loss, gradients), (other, others) = seen
    assert torch.allclose(loss, other) and gradients.keys() == others.keys() and gradients
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, others[name], atol=1e-5), name
    assert kept[1] < 0.6 * kept[0]  # it is on


def test_a_prefix_would_be_thrown_away() -> None:
    with pytest.raises(InputError, match=r"training.gradient_checkpointing: a prefix is kept as keys and values"):
        tiny_prepared("prefix-tuning", "llama", training={"gradient_checkpointing": True})
