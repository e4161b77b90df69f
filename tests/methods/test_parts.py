"""A part of the weights: which ones, the loss falls, the rest stays, what is kept comes back, detached is the start."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_every_method import loss_of, outputs, weights
from tiny import killed_and_whole, tiny_backbone, tiny_parts, tiny_prepared, tiny_train
from torch import nn

from tunewright.errors import InputError
from tunewright.methods.parts import EmbeddingTuning
from tunewright.methods.structure import attention_linears, block_stack, final_norms, norm_modules
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune

RATES = {"bitfit": 3e-2, "layer-norm": 3e-2, "last-layers": 3e-3, "embeddings": 1e-2}
PART = [(method, arch) for method in RATES for arch in ("llama", "gpt2", "t5-untied", "bert")]
PAIRS = [pair for pair in PART if pair not in (("bitfit", "llama"), ("bitfit", "t5-untied"))]


def prepared_for(method: Any, arch: str, **training: Any) -> Prepared:
    name = method if isinstance(method, str) else method["name"]
    block = {"learning_rate": RATES.get(name, 1e-2), "steps": 15, "evaluate_every": 15, **training}
    return tiny_prepared(method, arch, training=block)


def trained(prepared: Prepared) -> dict[str, torch.Tensor]:
    return {name.removeprefix("model."): p for name, p in prepared.tuner.tunable.trained().items()}


def numbers(prepared: Prepared) -> int:
    return sum(p.numel() for p in trained(prepared).values())


@pytest.mark.parametrize(("method", "arch"), PAIRS)
def test_it_learns_and_comes_back(tmp_path: Path, method: str, arch: str) -> None:
    prepared = prepared_for(method, arch)
    untuned, before, loss = outputs(prepared), weights(prepared), loss_of(prepared)
    tune(prepared, tmp_path, resume=False, name="tiny")
    assert loss_of(prepared) < 0.98 * loss
    tuned = outputs(prepared)
    moving = {p.data_ptr() for p in trained(prepared).values()}
    still = {n: v for n, v in prepared.tuner.state_dict().items() if v.data_ptr() not in moving}
    assert still and all(torch.equal(value, before[name]) for name, value in still.items())

    with prepared.tuner.tunable.detached():
        assert torch.equal(outputs(prepared), untuned)
    assert torch.equal(outputs(prepared), tuned)

    prepared.tuner.tunable.save(tmp_path)
    assert load_file(tmp_path / "weights.safetensors").keys() == prepared.tuner.tunable.trained().keys()
    again = prepared_for(method, arch)
    again.tuner.tunable.load(tmp_path)
    assert torch.equal(outputs(again), tuned)
    with again.tuner.tunable.detached():
        assert torch.equal(outputs(again), untuned)


@pytest.mark.parametrize(
    ("method", "arch", "count"),
    [
        # two blocks of 32 numbers width, 48 within; a bias for each matrix and each norm
        ("bitfit", "gpt2", 2 * (32 + 96 + 32 + 32 + 128 + 32) + 32),
        ("bitfit", "bert", 32 + 2 * (6 * 32 + 48 + 32) + 32 + 32 + 154),
        ("layer-norm", "llama", 5 * 32),
        ("layer-norm", "gpt2", 5 * 2 * 32),
        ("layer-norm", "t5-untied", (5 + 7) * 32),
        ("layer-norm", "bart", 12 * 2 * 32),
        ("layer-norm", "bert", 6 * 2 * 32),
        ({"name": "last-layers", "layers": 1}, "llama", 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48 + 2 * 32 + 32),
        ({"name": "last-layers", "layers": 1}, "t5-untied", 8 * 32 * 32 + 3 * 32 * 48 + 3 * 32 + 32),
        ({"name": "last-layers", "layers": 2}, "bert", 2 * (4 * 32 * 33 + 2 * 32 * 48 + 48 + 32 + 4 * 32)),
        ("embeddings", "llama", 423 * 32),
        ("embeddings", "t5-untied", 127 * 32),
    ],
)
def test_what_is_trained(method: Any, arch: str, count: int) -> None:
    prepared = prepared_for(method, arch)
    assert numbers(prepared) == count
    assert all(p.dtype == torch.float32 for p in trained(prepared).values())


def test_names_of_what_is_trained() -> None:
    assert {name.rpartition(".")[2] for name in trained(prepared_for("bitfit", "opt"))} == {"bias"}
    last = trained(prepared_for({"name": "last-layers", "layers": 1}, "opt"))
    assert {name.split(".")[2] for name in last} == {"layers", "final_layer_norm"}
    assert all(".layers.1." in name for name in last if ".layers." in name)
    decoder = trained(prepared_for({"name": "last-layers", "layers": 1}, "bart"))
    assert all(name.startswith("model.decoder.layers.1.") for name in decoder)  # its norms stand behind each block


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_a_tied_head_moves_along(arch: str) -> None:
    prepared = prepared_for("embeddings", arch)
    assert len(trained(prepared)) == 1
    tiny_train(prepared, None, steps=2)
    model = prepared.backbone.model
    assert torch.equal(model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    start = tiny_parts(arch)[0].get_output_embeddings().weight
    assert not torch.equal(model.get_output_embeddings().weight, start)


def test_an_untied_head_stays() -> None:
    backbone = tiny_backbone("llama")
    model = backbone.model
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    chosen = EmbeddingTuning().chosen(backbone)
    assert len(chosen) == 1 and chosen[0] is model.get_input_embeddings().weight is not model.lm_head.weight


@pytest.mark.parametrize(
    ("method", "arch"),
    [("bitfit", "gpt2"), ("bitfit", "bert"), ("embeddings", "gpt2"), ("last-layers", "bart"), ("layer-norm", "t5")],
)
def test_half_precision_around_fp32_masters(method: str, arch: str) -> None:
    prepared = prepared_for(method, arch, precision="bf16", steps=3)
    assert {p.dtype for p in trained(prepared).values()} == {torch.float32}
    frozen = {p.dtype for p in prepared.backbone.model.parameters() if not p.requires_grad}
    assert torch.bfloat16 in frozen
    losses = tiny_train(prepared, None).losses
    plain = tiny_train(prepared_for(method, arch, steps=3), None).losses
    assert losses == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize(("method", "arch"), [("layer-norm", "llama"), ("last-layers", "t5"), ("bitfit", "bert")])
def test_resume_is_bit_equal(tmp_path: Path, method: str, arch: str) -> None:
    again, whole = killed_and_whole(
        lambda: prepared_for(method, arch, steps=6, checkpoint_every=3, evaluate_every=2, keep="last"), tmp_path
    )
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights(again).values(), weights(whole).values()))


@pytest.mark.parametrize(
    ("method", "arch", "why"),
    [
        ("bitfit", "llama", r"method bitfit: tiny-llama has no bias terms \(llama models .*; method layer-norm trains"),
        ("bitfit", "t5", r"method bitfit: tiny-t5 has no bias terms"),
        ({"name": "last-layers", "layers": 3}, "llama", "method last-layers: layers: 3, tiny-llama: it has 2 blocks"),
        ({"name": "last-layers", "layers": 3}, "t5", "layers: 3, tiny-t5: its decoder has 2 blocks"),
        ({"name": "last-layers", "layers": 0}, "t5", "layers: input should be greater than 0, found 0"),
        ({"name": "bitfit", "layer": 1}, "bert", r"unknown key 'layer'"),
    ],
)
def test_what_is_refused(method: Any, arch: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        prepared_for(method, arch)


def test_a_head_with_a_part_of_the_network() -> None:
    """`frozen` is the head alone (test_every_method); the norms are those of layer-norm, not the vocabulary head's."""
    prepared = tiny_prepared({"name": "head", "backbone": "layer-norm"}, "bert", training={"learning_rate": 0.05})
    norms = [name for name in trained(prepared_for("layer-norm", "bert")) if "cls." not in name]
    assert trained(prepared).keys() == {*norms, "tunable.pooled.linear.weight", "tunable.pooled.linear.bias"}
    loss, before = loss_of(prepared), weights(prepared)
    tiny_train(prepared, None)
    assert loss_of(prepared) < 0.9 * loss
    moved = {name for name, value in prepared.tuner.state_dict().items() if not torch.equal(value, before[name])}
    assert {"model.bert.encoder.layer.0.output.LayerNorm.weight", "tunable.pooled.linear.bias"} < moved
    assert "model.bert.encoder.layer.0.output.dense.weight" not in moved
    with pytest.raises(InputError, match="method bitfit: tiny-llama has no bias terms"):
        tiny_prepared({"name": "head", "backbone": "bitfit"}, "llama")


# ---- found by structure --------------------------------------------------------------------------------------


class FirstAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_lin, self.dense = nn.Linear(2, 2), nn.Linear(2, 2)


class OneBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn, self.dense = FirstAttention(), nn.Linear(2, 2)
        self.norm, self.plain = nn.LayerNorm(2), nn.LayerNorm(2, elementwise_affine=False)


def test_modules_by_what_they_are() -> None:
    root = nn.ModuleDict({"blocks": nn.ModuleList([OneBlock(), OneBlock()])})
    # `dense` is not attention's alone, so it is named in full
    assert attention_linears(root) == ["q_lin", "blocks.0.attn.dense", "blocks.1.attn.dense"]
    assert list(norm_modules(root)) == ["blocks.0.norm", "blocks.1.norm"]


@pytest.mark.parametrize(
    ("arch", "norms"), [("llama", 1), ("gpt2", 1), ("opt", 1), ("t5", 1), ("bart", 0), ("bert", 0), ("roberta", 0)]
)
def test_blocks_of_every_architecture(arch: str, norms: int) -> None:
    parent, blocks = block_stack(tiny_backbone(arch))
    assert len(blocks) == 2 and len(final_norms(parent)) == norms


def test_a_model_without_blocks() -> None:
    backbone = tiny_backbone("llama")
    backbone.model.base_model.layers = nn.Module()
    with pytest.raises(InputError, match="tiny-llama: llama models have no list of blocks"):
        block_stack(backbone)
