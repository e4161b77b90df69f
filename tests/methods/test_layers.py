"""Rates that fall towards the input, and weights that stay as they are, on any architecture."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_backbone, tiny_parts, tiny_prepared, tiny_train
from torch import nn
from transformers import AutoModelForCausalLM

from tunewright.errors import InputError
from tunewright.methods.layers import freeze, layer_shares
from tunewright.training.loop import _groups
from tunewright.training.optimizers import make_optimizer

# Two blocks (an encoder-decoder: two below two); 0.5 for each block above.
EXPECTED: dict[str, dict[str, float]] = {
    "llama": {
        "model.embed_tokens.weight": 0.25,  # the head's too: tied
        "model.layers.0.self_attn.q_proj.weight": 0.5,
        "model.layers.1.mlp.up_proj.weight": 1.0,
        "model.norm.weight": 1.0,
    },
    "gpt2": {
        "transformer.wte.weight": 0.25, "transformer.wpe.weight": 0.25, "transformer.h.0.ln_1.weight": 0.5,
        "transformer.h.1.mlp.c_fc.weight": 1.0, "transformer.ln_f.weight": 1.0,
    },
    "opt": {
        "model.decoder.embed_positions.weight": 0.25, "model.decoder.layers.0.fc1.weight": 0.5,
        "model.decoder.layers.1.fc1.weight": 1.0, "model.decoder.final_layer_norm.weight": 1.0,
    },
    "bert": {
        "bert.embeddings.word_embeddings.weight": 0.25, "bert.embeddings.LayerNorm.weight": 0.25,
        "bert.encoder.layer.0.output.dense.weight": 0.5, "bert.encoder.layer.1.output.dense.weight": 1.0,
        "cls.predictions.transform.dense.weight": 1.0, "cls.predictions.bias": 1.0,
    },
    "t5-untied": {
        "shared.weight": 0.0625, "encoder.block.0.layer.0.SelfAttention.q.weight": 0.125,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": 0.125,
        "encoder.block.1.layer.0.SelfAttention.q.weight": 0.25, "encoder.final_layer_norm.weight": 0.25,
        "decoder.block.0.layer.1.EncDecAttention.q.weight": 0.5,
        "decoder.block.1.layer.1.EncDecAttention.q.weight": 1.0,
        "decoder.final_layer_norm.weight": 1.0,
    },
    "bart": {
        "model.shared.weight": 0.0625, "model.encoder.embed_positions.weight": 0.0625,
        "model.encoder.layernorm_embedding.weight": 0.0625, "model.encoder.layers.1.fc1.weight": 0.25,
        "model.decoder.embed_positions.weight": 0.25, "model.decoder.layernorm_embedding.weight": 0.25,
        "model.decoder.layers.0.fc1.weight": 0.5, "model.decoder.layers.1.fc1.weight": 1.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("arch", EXPECTED)
def test_layer_shares(arch: str) -> None:
    model, _ = tiny_parts(arch)
    shares = layer_shares(model, 0.5)
    named = dict(model.named_parameters())
    assert {name: shares[id(named[name])] for name in EXPECTED[arch]} == EXPECTED[arch]
    assert shares.keys() == {id(p) for p in named.values()}


def test_a_network_without_blocks() -> None:
    with pytest.raises(InputError, match=r"method.layer_decay: the network has no stack of blocks"):
        layer_shares(nn.Linear(2, 2), 0.9)


def test_a_head_reads_the_encoder_alone() -> None:
    """Its last block has the whole rate, and the decoder is not trained."""
    tunable = tiny_prepared({"name": "head", "layer_decay": 0.5}, "bart").tuner.tunable
    found = {name: tunable.rate_of(name) for name in tunable.trained()}
    assert found["model.model.shared.weight"] == 0.25
    assert found["model.model.encoder.layers.0.fc1.weight"] == 0.5
    assert found["model.model.encoder.layers.1.fc1.weight"] == found["tunable.pooled.linear.weight"] == 1.0
    assert not any("decoder" in name for name in found)


@pytest.mark.parametrize("method", ["full", "head"])
@pytest.mark.parametrize("arch", ["llama", "t5-untied", "bert"])
def test_a_step_moves_each_block_by_its_share(method: str, arch: str) -> None:
    """Adam's first step moves a weight by the rate itself, so the rates can be read off the weights."""
    prepared = tiny_prepared({"name": method, "layer_decay": 0.5}, arch, training={"learning_rate": 1e-3})
    tunable = prepared.tuner.tunable
    before = {name: p.detach().clone() for name, p in tunable.trained().items()}
    training = {"steps": 1, "schedule": "constant", "clip": None, "weight_decay": 0.0, "evaluate_every": None,
                "keep_best": False}  # fmt: skip
    tiny_train(prepared, None, look=lambda tuner: [0.0], **training)
    seen = set()
    for name, p in tunable.trained().items():
        moved = float((p.detach() - before[name]).abs().max())
        if moved > 0 and not name.endswith("key.bias"):  # whose true gradient is zero: a softmax does not see it
            assert moved == pytest.approx(1e-3 * tunable.rate_of(name), rel=0.02), name
            seen.add(tunable.rate_of(name))
    assert len(seen) >= 3


@pytest.mark.parametrize("method", ["full", "head"])
def test_frozen_weights_have_no_gradient_and_no_state(method: str) -> None:
    block = {"name": method, "freeze": ["*embeddings*", "bert.encoder.layer.0.*"]}
    prepared = tiny_prepared(block, "bert", training={"learning_rate": 1e-2})
    model, tunable = prepared.backbone.model, prepared.tuner.tunable
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    tiny_train(prepared, None, look=lambda tuner: [0.0], steps=2, keep_best=False)
    for name, p in model.named_parameters():
        frozen = "embeddings" in name or "layer.0." in name
        assert p.requires_grad != frozen or name.startswith("cls")
        if frozen:
            assert p.grad is None and torch.equal(p, before[name])
    assert not torch.equal(
        model.bert.encoder.layer[1].output.dense.weight, before["bert.encoder.layer.1.output.dense.weight"]
    )
    groups = _groups(prepared.tuner, tunable.trained())
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in tunable.trained().values()}
    assert not any("embeddings" in name for name in tunable.trained())
    assert make_optimizer("adamw", groups, 1e-3, 0.0).state == {}


def test_a_tied_weight_goes_by_both_names() -> None:
    model, _ = tiny_parts("llama")
    freeze(model, ["lm_head.weight"])
    assert not model.get_input_embeddings().weight.requires_grad


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("model.layer.*", r"near it: model.layers.\*.input_layernorm.weight, "),
        ("*q_projection*", r"did you mean|near it|known: "),
        ("*embed_token.*", r"near it: model.embed_tokens.weight\)"),
    ],
)
def test_a_pattern_that_names_nothing(pattern: str, near: str) -> None:
    with pytest.raises(InputError, match=rf"method.freeze: .* matches no weight \(({near})"):
        tiny_prepared({"name": "full", "freeze": [pattern]}, "llama")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "full", "freeze": ["*"]}, "method.freeze: nothing is left to train"),
        ({"name": "full", "layer_decay": 0}, "layer_decay"),
        ({"name": "full", "layer_decay": 1.1}, "layer_decay"),
        (
            {"name": "head", "backbone": "frozen", "layer_decay": 0.9},
            "freeze and layer_decay are for backbone: trained",
        ),
        ({"name": "head", "backbone": "frozen", "freeze": ["*"]}, "freeze and layer_decay are for backbone: trained"),
    ],
)
def test_what_makes_no_sense(method: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny_prepared(method, "llama")


def test_frozen_weights_are_kept_as_they_were(tmp_path: Path) -> None:
    """Not rounded to bf16 on the way: the folder is the model, less what was tuned."""
    prepared = tiny_prepared({"name": "full", "freeze": ["*layers.0*"]}, "llama", training={"precision": "bf16"})
    tiny_train(prepared, None, steps=1)
    prepared.tuner.tunable.save(tmp_path)
    again, untuned = AutoModelForCausalLM.from_pretrained(tmp_path), tiny_backbone("llama").model
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    first, second = (f"model.layers.{i}.mlp.up_proj.weight" for i in (0, 1))
    assert torch.equal(again.get_parameter(first), untuned.get_parameter(first))
    assert torch.equal(again.get_parameter(second), prepared.backbone.model.get_parameter(second))
    assert not torch.equal(again.get_parameter(second), untuned.get_parameter(second))
