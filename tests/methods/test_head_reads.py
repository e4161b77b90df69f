"""A head with a part of the network: trained is what its states come from, and its outputs are fp32."""

from typing import Any

import pytest
import torch
from tiny import tiny_prepared

from tunewright.objectives.losses import head_loss
from tunewright.runs.first_look import training_purpose
from tunewright.runs.prepare import Prepared

PARTS = ("trained", "bitfit", "layer-norm", "last-layers", "embeddings")
NO_BIASES = {("bitfit", "t5"), ("bitfit", "llama")}


def batch_of(prepared: Prepared) -> Any:
    purpose = training_purpose(prepared)
    found = prepared.encoder(prepared.task.split("train").take(range(4))).examples(range(4), 0, purpose)
    return prepared.backbone.collate([example for example in found if example is not None])


@pytest.mark.parametrize("kind", ["classify", "tag"])
@pytest.mark.parametrize("arch", ["llama", "gpt2", "t5", "bart", "bert", "roberta"])
@pytest.mark.parametrize("part", PARTS)
def test_every_trained_weight_has_a_gradient(part: str, arch: str, kind: Any) -> None:
    """No decoder's weights, no vocabulary head's: they would be counted and kept, and never move."""
    if (part, arch) in NO_BIASES:
        return
    prepared = tiny_prepared({"name": "head", "backbone": part}, arch, kind)
    batch = batch_of(prepared)
    gold = batch.ask_token if kind == "tag" else batch.gold
    head_loss(prepared.tuner(batch), gold, None).backward()
    trained = prepared.tuner.tunable.trained()
    assert [name for name, p in trained.items() if p.grad is None] == []
    assert any(name.startswith("model.") for name in trained)


@pytest.mark.parametrize(("arch", "stack"), [("t5", "model.encoder.block."), ("bart", "model.model.encoder.layers.")])
def test_the_last_layers_under_a_head_are_the_encoders(arch: str, stack: str) -> None:
    trained = tiny_prepared({"name": "head", "backbone": "last-layers"}, arch).tuner.tunable.trained()
    inside = [name for name in trained if name.startswith("model.") and "norm" not in name]
    assert inside and all(name.startswith(stack) for name in inside)


@pytest.mark.parametrize("kind", ["classify", "regress", "tag"])
@pytest.mark.parametrize("method", ["head", "soft-verbalizer", {"name": "soft-verbalizer", "prototypes": True}])
def test_outputs_are_fp32_in_half_precision(method: Any, kind: Any) -> None:
    if method != "head" and kind != "classify":
        return
    prepared = tiny_prepared(method, "bert", kind, training={"precision": "bf16"})
    torch.nn.init.normal_(next(p for p in prepared.tuner.tunable.parameters() if p.dim() == 2))  # prototypes start as 0
    out = prepared.tuner(batch_of(prepared))
    assert out.dtype == torch.float32
    assert not torch.equal(out, out.bfloat16().float())  # nor rounded on the way


def test_the_mean_of_257_halves() -> None:
    """bf16 has no 257: the mean of 256 zeros and a 257 would be 257 / 256."""
    head: Any = tiny_prepared("head", "bert", "regress").tuner.tunable.head()
    states = torch.zeros(1, 257, 32, dtype=torch.bfloat16)
    states[0, 0] = 1
    expected = head.linear(torch.full((1, 32), 1 / 257))
    found = head(states, torch.ones(1, 257, dtype=torch.bool), torch.tensor([256]))
    assert torch.allclose(found, expected, atol=1e-7)
