"""PEFT's adapters: each learns, is PEFT's own file, is gone when detached, goes on from a checkpoint bit for bit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, PeftModel, get_peft_model
from peft.tuners.adalora.layer import RankAllocator
from safetensors.torch import load_file
from test_every_method import loss_of, outputs, weights
from tiny import killed_and_whole, tiny_backbone, tiny_parts, tiny_prepared, tiny_train
from torch import Tensor, nn

from tunewright.errors import InputError
from tunewright.methods.any_peft import ELSEWHERE, OWN, adapter_kinds
from tunewright.methods.base import Setting
from tunewright.methods.registry import make_method
from tunewright.prompts.layout import SlotLayout
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune

LOHA: dict[str, Any] = {"name": "peft", "config": {"peft_type": "LOHA", "r": 4}}
BOFT: dict[str, Any] = {"name": "peft", "config": {"peft_type": "BOFT", "boft_block_size": 4}}
NORMS: dict[str, Any] = {"name": "peft", "config": {"peft_type": "LN_TUNING"}}
RATES = {"dora": 1e-2, "adalora": 5e-2, "ia3": 0.1, "vera": 0.1, "oft": 1e-2, "hra": 3e-2, "peft": 2e-2}
EACH: list[Any] = ["dora", "adalora", "ia3", "vera", "oft", "hra", LOHA, BOFT, NORMS]
FAMILIES = ("llama", "t5", "bert")


def name_of(method: Any) -> str:
    return method if isinstance(method, str) else method["config"]["peft_type"]


def prepared_for(method: Any, arch: str, **training: Any) -> Prepared:
    name = method if isinstance(method, str) else method["name"]
    block = {"learning_rate": RATES[name], "steps": 12, "evaluate_every": 12, **training}
    return tiny_prepared(method, arch, training=block)


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    ids = torch.tensor([[3, 9, 20, 11]])
    extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    return model.eval()(input_ids=ids, **extra).logits


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.parametrize("method", EACH, ids=name_of)
def test_it_learns_and_peft_says_the_same(tmp_path: Path, method: Any, arch: str) -> None:
    prepared = prepared_for(method, arch)
    plain, untuned, loss = logits(tiny_parts(arch)[0]), outputs(prepared), loss_of(prepared)
    assert torch.allclose(logits(prepared.backbone.model), plain, atol=1e-5)  # every start is the plain model
    tune(prepared, tmp_path, resume=False, name="tiny")
    assert loss_of(prepared) < 0.98 * loss
    tuned, ours = outputs(prepared), logits(prepared.backbone.model)
    assert (ours - plain).abs().max() > 1e-2

    with prepared.tuner.tunable.detached():
        assert torch.allclose(outputs(prepared), untuned, atol=1e-6)
    assert torch.equal(outputs(prepared), tuned)
    trained = prepared.tuner.tunable.trained().values()
    assert trained and all(p.requires_grad and p.dtype == torch.float32 for p in trained)

    kept = tmp_path / "kept"
    kept.mkdir()
    prepared.tuner.tunable.save(kept)
    theirs = PeftModel.from_pretrained(tiny_parts(arch)[0], str(kept))
    assert torch.allclose(logits(theirs), ours, rtol=1e-5, atol=1e-5)
    again = prepared_for(method, arch)
    again.tuner.tunable.load(kept)
    assert torch.equal(outputs(again), tuned)
    folder = tiny_prepared({"name": "peft-folder", "path": str(kept)}, arch)
    assert torch.allclose(outputs(folder), tuned, atol=1e-5)
    again.tuner.tunable.merge()
    assert torch.allclose(logits(again.backbone.model), ours, rtol=1e-4, atol=1e-4)
    assert type(again.backbone.model.base_model) is type(tiny_parts(arch)[0].base_model)
    assert not any("base_layer" in name for name, _ in again.backbone.model.named_modules())


@pytest.mark.parametrize(
    ("method", "arch", "count"),
    [
        # q [32→32] and v [32→16] of two blocks
        ("lora", "llama", 2 * (8 * 64 + 8 * 48)),
        ("dora", "llama", 2 * (8 * 64 + 8 * 48 + 32 + 16)),
        ("adalora", "llama", 2 * (12 * 64 + 12 * 48 + 2 * 12)),
        ("ia3", "llama", 2 * (16 + 16 + 48)),  # k, v, and what goes into down
        ("vera", "llama", 2 * (256 + 32 + 256 + 16)),
        ("oft", "llama", 2 * 2 * (32 * 31 // 2)),
        ("hra", "llama", 2 * 2 * 8 * 32),
        (LOHA, "llama", 2 * (2 * 4 * 64 + 2 * 4 * 48)),
        (NORMS, "opt", 10 * 32),  # PEFT knows no norms of OPT: found by structure
    ],
)
def test_what_is_trained(method: Any, arch: str, count: int) -> None:
    trained = tiny_prepared(method, arch).tuner.tunable.trained()
    assert sum(p.numel() for p in trained.values()) == count


@pytest.mark.parametrize("method", ["dora", "adalora", "ia3", "vera", "oft", "hra"])
@pytest.mark.parametrize("arch", ["opt", "bert"])
def test_half_precision(method: str, arch: str) -> None:
    prepared = prepared_for(method, arch, precision="bf16", steps=2)
    assert {p.dtype for p in prepared.tuner.tunable.trained().values()} == {torch.float32}
    plain = tiny_train(prepared_for(method, arch, steps=2), None)
    assert tiny_train(prepared, None).losses == pytest.approx(plain.losses, rel=0.02)


@pytest.mark.parametrize(
    ("method", "arch"),
    [("dora", "llama"), ("adalora", "llama"), ("adalora", "bert"), ("ia3", "t5"), ("vera", "gpt2"), ("hra", "bert"),
     ("oft", "t5"), (LOHA, "llama")],
)  # fmt: skip
def test_resume_is_bit_equal(tmp_path: Path, method: Any, arch: str) -> None:
    again, whole = killed_and_whole(
        lambda: prepared_for(method, arch, steps=9, checkpoint_every=4, evaluate_every=3, keep="last"), tmp_path
    )
    ours, theirs = weights(again), weights(whole)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---- LoRA's kin ----------------------------------------------------------------------------------------------


def test_rank_stabilised_scaling() -> None:
    """alpha / √rank: 16 / √4."""
    layer = tiny_prepared({"name": "lora", "rank": 4, "rslora": True}, "llama").backbone.model.model.layers[0]
    assert layer.self_attn.q_proj.scaling == {"default": 8.0}
    layer = tiny_prepared({"name": "lora", "rank": 4}, "llama").backbone.model.model.layers[0]
    assert layer.self_attn.q_proj.scaling == {"default": 4.0}


def ranks(prepared: Prepared) -> int:
    """Singular values that are left."""
    return sum(int((p != 0).sum()) for n, p in prepared.tuner.tunable.trained().items() if ".lora_E." in n)


def test_the_budget_of_adalora() -> None:
    """4 matrices from 12 to 8 ranks: all 48 for 2 of 20 steps, 32 from step 12 on, and never more again."""
    prepared = tiny_prepared(
        {"name": "adalora", "initial": 0.1, "final": 0.4}, "llama",
        training={"learning_rate": 1e-2, "steps": 20, "evaluate_every": 1, "keep": "last"},
    )  # fmt: skip
    left: list[int] = []
    tiny_train(prepared, None, look=lambda tuner: [float(left.append(ranks(prepared)) or 0)])
    expected = [48, 48, *(int(16 * (1 - (step - 2) / 10) ** 3 + 32) for step in range(3, 12)), *[32] * 9]
    assert left == expected
    config = prepared.tuner.tunable.config  # type: ignore[attr-defined]
    assert (config.tinit, config.tfinal, config.total_step) == (2, 8, 20)


def test_importance_is_pefts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its allocator is told of each step once, from 1, with that step's gradients."""
    steps: list[int] = []
    real = RankAllocator.update_and_allocate

    def seen(self: RankAllocator, model: nn.Module, step: int, force_mask: bool = False) -> Any:
        steps.append(step)
        assert all(p.grad is not None for n, p in model.named_parameters() if "lora_" in n)
        return real(self, model, step, force_mask)

    monkeypatch.setattr(RankAllocator, "update_and_allocate", seen)
    tiny_train(prepared_for("adalora", "llama", steps=10), None)
    assert steps == [1, 2, 3, 4, 5, 6]  # tfinal is 4: from step 7 on the ranks are fixed


def test_the_penalty_is_what_peft_adds_to_its_loss() -> None:
    prepared = tiny_prepared({"name": "adalora", "orthogonality": 0.3}, "llama")
    penalty = prepared.tuner.tunable.penalty()
    ids = torch.tensor([[3, 9, 20, 11]])
    adapted = prepared.tuner.tunable.adapted  # type: ignore[attr-defined]
    with torch.no_grad():
        theirs, ours = (
            model(input_ids=ids, labels=ids).loss for model in (adapted.base_model, adapted.base_model.model)
        )
    assert penalty is not None and penalty.requires_grad
    assert penalty.item() == pytest.approx((theirs - ours).item(), rel=1e-4) and penalty.item() > 0.1


def test_kept_ranks_are_those_that_are_left(tmp_path: Path) -> None:
    prepared = prepared_for("adalora", "llama")
    tiny_train(prepared, None)
    prepared.tuner.tunable.save(tmp_path)
    pattern = json.loads((tmp_path / "adapter_config.json").read_text(encoding="utf-8"))["rank_pattern"]
    kept = load_file(tmp_path / "adapter_model.safetensors")
    values = [v for name, v in kept.items() if name.endswith("lora_E")]
    assert sum(sum(left) for left in pattern.values()) == sum(len(v) for v in values) == ranks(prepared) == 32


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"rank": 12}, r"start_rank \(12\) must be above rank \(12\)"),
        ({"initial": 0.6, "final": 0.4}, r"initial \(0.6\) and final \(0.4\) leave no steps"),
    ],
)
def test_adalora_without_steps_or_ranks(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=f"method adalora: {why}"):
        make_method({"name": "adalora", **settings})


def test_the_reference_for_adalora_is_a_model_of_pefts_own() -> None:
    """The same start and the same numbers as `get_peft_model` gives with that seed's weights copied in."""
    prepared = prepared_for("adalora", "bert")
    tiny_train(prepared, None, steps=3)
    theirs = get_peft_model(tiny_parts("bert")[0], AdaLoraConfig(lora_alpha=16, total_step=10))
    values = {n.removeprefix("model."): p for n, p in prepared.tuner.tunable.trained().items()}
    with torch.no_grad():
        for name, parameter in theirs.base_model.model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(values[name])
    assert torch.allclose(logits(theirs), logits(prepared.backbone.model), atol=1e-6)


# ---- layers by structure -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "ia3", "vera"])
def test_an_architecture_that_peft_does_not_know(method: str) -> None:
    """All four matrices of attention."""
    backbone = tiny_backbone("bert")
    backbone.model.config.model_type = "unheard-of"
    tunable = make_method({"name": method}).tune(backbone, SlotLayout(), Setting("classify", ("a", "b"), 0))
    where = {name.split(".layer.0.")[1].rpartition(".")[0] for name in tunable.trained() if ".layer.0." in name}
    inside = {part for name in where for part in ("query", "key", "value", "output.dense") if f".{part}" in name}
    assert inside == {"query", "key", "value", "output.dense"}
    assert all(name.startswith("attention.") for name in where)


def test_a_network_without_attention() -> None:
    backbone = tiny_backbone("llama")
    backbone.model.config.model_type = "unheard-of"
    for layer in backbone.model.model.layers:
        layer.self_attn = nn.Linear(32, 32)
    why = "method lora: tiny-llama has no attention that is known here; name target_modules among self_attn, gate_proj"
    with pytest.raises(InputError, match=why):
        make_method({"name": "lora"}).tune(backbone, SlotLayout(), Setting("classify", ("a", "b"), 0))


@pytest.mark.parametrize(
    ("method", "arch", "why"),
    [
        ({"name": "vera", "target_modules": ["nothing"]}, "llama", r"vera: No layers .*\(tiny-llama has q_proj, k_"),
        ({"name": "ia3", "target_modules": ["q_proj"], "feedforward_modules": ["down_proj"]}, "llama",
         "method ia3: `feedforward_modules` should be a subset"),
        ("hra", "gpt2", r"method hra: Target module Conv1D.* is not supported"),
        ({"name": "hra", "rank": 3}, "llama", "rank: input should be a multiple of 2, found 3"),
        ({"name": "peft"}, "llama", "method peft: key 'config' is missing"),
        ({"name": "peft", "config": {}}, "llama", "config: peft_type is missing"),
        ({"name": "peft", "config": {"peft_type": "LOHO"}}, "llama", r"unknown peft_type 'LOHO' \(did you mean 'LOHA'"),
        ({"name": "peft", "config": {"peft_type": "LOHA", "rr": 1}}, "llama", r"no key 'rr' in PEFT's LOHA \(did"),
        ({"name": "peft", "config": {"peft_type": "LORA", "bias": "all"}}, "llama", r"bias: 'all' changes weights of"),
        ({"name": "peft", "config": {"peft_type": "LOHA", "modules_to_save": ["lm_head"]}}, "llama",
         r"modules_to_save: \['lm_head'\] changes weights"),
        ({"name": "peft", "config": {"peft_type": "LORA", "eva_config": {"rho": 2.0}}}, "llama", "wants to see data"),
        ({"name": "peft", "config": {"peft_type": "MISS"}}, "llama", r"method peft: `r` \(64\) must be less"),
        ({"name": "peft", "config": {"peft_type": "LOHA", "r": 0}}, "llama", "method peft: .* positive"),
    ],
)  # fmt: skip
def test_what_is_refused(method: Any, arch: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        tiny_prepared(method, arch)


@pytest.mark.parametrize(("kind", "name"), OWN.items())
def test_what_has_a_method_of_its_own(kind: str, name: str) -> None:
    with pytest.raises(InputError, match=f"peft_type '{kind}' is the method {name} here"):
        make_method({"name": "peft", "config": {"peft_type": kind}})


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_works_in_pefts_forward_only(kind: str) -> None:
    with pytest.raises(InputError, match=f"peft_type '{kind}' is not for this program: "):
        make_method({"name": "peft", "config": {"peft_type": kind}})
    assert kind not in adapter_kinds()


# PEFT's defaults are for wider models than ours.
SMALL: dict[str, dict[str, Any]] = {
    "C3A": {"block_size": 16}, "FOURIERFT": {"n_frequency": 50}, "MISS": {"r": 4}, "SHIRA": {"r": 4},
    "PSOFT": {"r": 4}, "ROAD": {"group_size": 8}, "VBLORA": {"vector_length": 8, "num_vectors": 32},
    "WAVEFT": {"n_frequency": 50}, "TRAINABLE_TOKENS": {"token_indices": [3, 9]}, "LORA": {"use_dora": True},
}  # fmt: skip


@pytest.mark.parametrize("kind", adapter_kinds())
def test_every_type_that_is_not_refused(tmp_path: Path, kind: str) -> None:
    """Trained for a few steps by our loop and kept, PEFT says the same."""
    prepared = prepared_for({"name": "peft", "config": {"peft_type": kind, **SMALL.get(kind, {})}}, "llama", steps=3)
    plain = logits(prepared.backbone.model)
    tiny_train(prepared, None)
    ours = logits(prepared.backbone.model)
    assert not torch.equal(ours, plain)
    prepared.tuner.tunable.save(tmp_path)
    theirs = PeftModel.from_pretrained(tiny_parts("llama")[0], str(tmp_path))
    assert torch.allclose(logits(theirs), ours, rtol=1e-4, atol=1e-5)
    with prepared.tuner.tunable.detached():
        assert torch.allclose(logits(prepared.backbone.model), logits(tiny_parts("llama")[0]), atol=1e-5)
