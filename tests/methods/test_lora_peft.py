"""A LoRA adapter is PEFT's own file: PEFT loads it and says the same."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import tiny_parts, tiny_prepared

from tunewright.errors import InputError
from tunewright.methods.lora import LoraTuning
from tunewright.runs.tuning import tune

TRAINING = {"learning_rate": 1e-2, "steps": 5, "evaluate_every": 5}


@pytest.mark.parametrize("arch", ["llama", "gpt2", "opt", "t5", "bart", "bert"])
def test_peft_loads_it_and_says_the_same(tmp_path: Path, arch: str) -> None:
    prepared = tiny_prepared("lora", arch, training=TRAINING)
    tune(prepared, tmp_path, resume=False, name="tiny")
    kept = tmp_path / "kept"
    kept.mkdir()
    prepared.tuner.tunable.save(kept)
    base, _ = tiny_parts(arch)
    ids = torch.tensor([[3, 9, 20, 11]])
    extra = {"decoder_input_ids": ids} if base.config.is_encoder_decoder else {}
    with torch.no_grad():
        plain = base(input_ids=ids, **extra).logits
        ours = prepared.backbone.model(input_ids=ids, **extra).logits
        theirs = PeftModel.from_pretrained(base, kept).eval()(input_ids=ids, **extra).logits
    assert (ours - plain).abs().max() > 1e-2
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_adapter_of_pefts_own_is_read(tmp_path: Path) -> None:
    theirs = get_peft_model(tiny_parts("llama")[0], LoraConfig(r=8, lora_alpha=16, task_type="CAUSAL_LM"))
    for name, parameter in theirs.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    theirs.save_pretrained(tmp_path)
    prepared = tiny_prepared("lora", "llama")
    prepared.tuner.tunable.load(tmp_path)
    ids = torch.tensor([[3, 9, 20, 11]])
    with torch.no_grad():
        assert torch.allclose(
            prepared.backbone.model(input_ids=ids).logits, theirs.eval()(input_ids=ids).logits, atol=1e-5
        )


def test_the_start_is_the_plain_model_and_is_seeded() -> None:
    ids = torch.tensor([[3, 9, 20, 11]])
    base, _ = tiny_parts("llama")
    state = torch.get_rng_state()
    first, again = tiny_prepared("lora", "llama"), tiny_prepared("lora", "llama")
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        assert torch.equal(first.backbone.model(input_ids=ids).logits, base(input_ids=ids).logits)
    other = tiny_prepared("lora", "llama", training={"seed": 1})
    a, b, c = (p.tuner.tunable.trained() for p in (first, again, other))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_settings_reach_peft() -> None:
    prepared = tiny_prepared({"name": "lora", "rank": 2, "target_modules": ["down_proj"]}, "llama")
    trained = prepared.tuner.tunable.trained()
    assert {name.split(".")[5] for name in trained} == {"down_proj"}
    assert sorted({tuple(p.shape) for p in trained.values()}) == [(2, 48), (32, 2)]
    with pytest.raises(InputError, match="method lora: Target modules"):
        tiny_prepared({"name": "lora", "target_modules": ["nothing"]}, "llama")


def test_a_folder_without_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no adapter_model.safetensors"):
        tiny_prepared("lora", "llama").tuner.tunable.load(tmp_path)


def test_an_adapter_of_another_rank(tmp_path: Path) -> None:
    tiny_prepared({"name": "lora", "rank": 2}, "llama").tuner.tunable.save(tmp_path)
    with pytest.raises(InputError, match=r"has shape \[2, 32\], the model \[8, 32\]"):
        tiny_prepared("lora", "llama").tuner.tunable.load(tmp_path)


def test_lora_is_for_every_family() -> None:
    assert LoraTuning.families == ("causal", "seq2seq", "masked")
