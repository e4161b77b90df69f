"""A tuned model merged into a folder that transformers loads by itself and that says the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft_says import kept_run
from tiny import tiny_backbone, tiny_prepared, tiny_train
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

from tunewright.errors import InputError
from tunewright.interop.merged_export import export_merged
from tunewright.runs.prepare import Prepared

AUTO = {"llama": AutoModelForCausalLM, "gpt2": AutoModelForCausalLM, "t5": AutoModelForSeq2SeqLM,
        "bert": AutoModelForMaskedLM}  # fmt: skip


def tuned(method: Any, arch: str, **training: Any) -> Prepared:
    prepared = tiny_prepared(method, arch, training={"learning_rate": 3e-2, "steps": 3, **training})
    tiny_train(prepared, None)
    return prepared


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = torch.tensor([[3, 9, 20, 11]])
    extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    return model.eval()(input_ids=ids, **extra).logits


@pytest.mark.parametrize(
    ("method", "arch"),
    [("lora", "gpt2"), ("dora", "llama"), ("adalora", "bert"), ("ia3", "t5"), ("bitfit", "bert"),
     ("layer-norm", "t5"), ("embeddings", "llama"), ("full", "llama")],
)  # fmt: skip
def test_transformers_says_the_same(tmp_path: Path, method: str, arch: str) -> None:
    prepared = tuned(method, arch)
    expected = logits(prepared.backbone.model)
    plain = logits(tiny_backbone(arch).model)
    run = kept_run(tmp_path / "run", prepared)
    done = export_merged(run, tmp_path / "merged", backbone=tiny_backbone(arch))
    assert (done.folder, done.method) == (tmp_path / "merged", method) and done.difference < 1e-4
    model = AUTO[arch].from_pretrained(tmp_path / "merged")
    assert torch.allclose(logits(model), expected, rtol=1e-4, atol=1e-4)
    assert (expected - plain).abs().max() > 1e-3
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").get_vocab() == prepared.backbone.tokenizer.get_vocab()
    with pytest.raises(InputError, match="merged: already there; --overwrite"):
        export_merged(run, tmp_path / "merged", backbone=tiny_backbone(arch))
    export_merged(run, tmp_path / "merged", overwrite=True, backbone=tiny_backbone(arch))


def test_a_run_in_half_precision_is_merged_in_full(tmp_path: Path) -> None:
    """The frozen weights are read again, not taken as they were rounded."""
    run = kept_run(tmp_path / "run", tuned("lora", "llama", precision="bf16"))
    export_merged(run, tmp_path / "merged", backbone=tiny_backbone("llama"))
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    untouched = tiny_backbone("llama").model.model.layers[0].mlp.down_proj.weight
    assert torch.equal(merged.model.layers[0].mlp.down_proj.weight, untouched)


@pytest.mark.parametrize(
    ("method", "arch", "why"),
    [
        ("prompt-tuning", "llama", "method prompt-tuning tuned vectors before the text, not weights"),
        ("prefix-tuning", "llama", "method prefix-tuning tuned vectors before the text"),
        ("head", "bert", "method head has a head of its own"),
        ({"name": "peft", "config": {"peft_type": "LILY"}}, "llama", "PEFT cannot merge LILY: This method is not supp"),
    ],
)
def test_what_cannot_be_merged(tmp_path: Path, method: Any, arch: str, why: str) -> None:
    run = kept_run(tmp_path / "run", tuned(method, arch))
    with pytest.raises(InputError, match=why):
        export_merged(run, tmp_path / "merged", backbone=tiny_backbone(arch))
    assert not (tmp_path / "merged").exists()


def test_nothing_was_tuned(tmp_path: Path) -> None:
    run = kept_run(tmp_path / "run", tiny_prepared("none", "llama"))
    with pytest.raises(InputError, match="method none tuned nothing"):
        export_merged(run, tmp_path / "merged", backbone=tiny_backbone("llama"))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"not a model's folder \(no config.json\); it is not written over"):
        export_merged(tmp_path / "run", tmp_path, overwrite=True)


def test_a_merge_that_is_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewright.methods.adapters import AdapterTunable

    run = kept_run(tmp_path / "run", tuned("lora", "llama"))
    monkeypatch.setattr(AdapterTunable, "merge", lambda self: self.adapted.unload())
    with pytest.raises(InputError, match="merged, the model says something else"):
        export_merged(run, tmp_path / "merged", backbone=tiny_backbone("llama"))
