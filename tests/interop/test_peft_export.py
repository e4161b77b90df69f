"""A run's kept weights in PEFT's files: PEFT loads them and says the same, or one line says why it cannot."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_says import close, kept_run, ours, peft_model, some_rows, theirs
from several import named, several
from tiny import tiny_backbone, tiny_prepared, tiny_train

from tunewright.errors import InputError
from tunewright.interop.peft_export import export_peft
from tunewright.runs.prepare import Prepared

FRONT = {"length": 4, "placement": "very-front"}
PLACES = {
    "llama": FRONT, "gpt2": FRONT, "opt": FRONT, "t5": FRONT, "t5-untied": {"length": 4}, "bart": FRONT, "bert": FRONT,
    "roberta": FRONT,
}  # fmt: skip
TRAINING = {"learning_rate": 3e-2, "steps": 3}


def tuned(method: dict[str, Any], arch: str, **keys: Any) -> Prepared:
    prepared = tiny_prepared(method, arch, training=TRAINING, **keys)
    tiny_train(prepared, None)
    return prepared


def config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("arch", PLACES)
@pytest.mark.parametrize(
    ("method", "kind"),
    [("prompt-tuning", "PROMPT_TUNING"), ("p-tuning", "P_TUNING"), ("prefix-tuning", "PREFIX_TUNING")],
)
def test_peft_says_the_same(tmp_path: Path, method: str, kind: str, arch: str) -> None:
    block = {"length": 4} if method == "prefix-tuning" else PLACES[arch]
    prepared = tuned({"name": method, **block}, arch)
    run = kept_run(tmp_path / "run", prepared)
    done = export_peft(run, tmp_path / "peft", backbone=tiny_backbone(arch))
    assert (done.peft_type, done.virtual_tokens) == (kind, 4)
    assert sorted(f.name for f in (tmp_path / "peft").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert config(tmp_path / "peft")["peft_type"] == kind
    assert config(tmp_path / "peft")["base_model_name_or_path"] == f"tiny-{arch}"
    examples = some_rows(prepared)
    assert close(theirs(peft_model(arch, tmp_path / "peft"), examples), ours(prepared, examples))


@pytest.mark.parametrize("arch", ["t5-untied", "bart"])
def test_an_encoder_decoders_layers_stand_twice(tmp_path: Path, arch: str) -> None:
    """PEFT would give both layers the first one's prefix."""
    prepared = tuned({"name": "prefix-tuning", "length": 4}, arch)
    export_peft(kept_run(tmp_path / "run", prepared), tmp_path / "peft", backbone=tiny_backbone(arch))
    said = config(tmp_path / "peft")
    assert (said["num_layers"], said["num_attention_heads"], said["token_dim"]) == (4, 4, 32)
    flat = peft_model(arch, tmp_path / "peft").prompt_encoder["default"].embedding.weight
    kv = prepared.tuner.tunable.layer_kv()
    assert kv is not None
    assert torch.equal(flat.view(4, 4, 2, 4, 8)[:, [0, 2]], kv) and not torch.equal(kv[:, 0], kv[:, 1])


@pytest.mark.parametrize("arch", ["llama", "t5-untied"])
def test_a_multi_task_prompt(tmp_path: Path, arch: str) -> None:
    method = {"name": "multitask-prompt-tuning", **FRONT, "rank": 2}
    prepared = several(method, arch, [named("first"), named("second")], training={"learning_rate": 3e-2, "steps": 2})
    with torch.no_grad():
        for parameter in prepared.tuner.tunable.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
    run = kept_run(tmp_path / "run", prepared)
    done = export_peft(run, tmp_path / "peft", backbone=tiny_backbone(arch))
    assert (done.peft_type, done.tasks) == ("MULTITASK_PROMPT_TUNING", ("first", "second"))
    assert (config(tmp_path / "peft")["num_tasks"], config(tmp_path / "peft")["num_ranks"]) == (2, 2)
    model = peft_model(arch, tmp_path / "peft")
    said = []
    for number, part in enumerate(prepared.parts):
        examples = some_rows(part)
        said.append(ours(part, examples))
        assert close(theirs(model, examples, number), said[-1])
    assert not close(*said)


def test_a_multi_task_prompt_of_a_masked_model(tmp_path: Path) -> None:
    """PEFT's own model of this kind says so when asked: it hands no task on to its prompt."""
    prepared = several({"name": "multitask-prompt-tuning", **FRONT}, "bert", [named("first"), named("second")])
    run = kept_run(tmp_path / "run", prepared)
    with pytest.raises(InputError, match="PEFT tells its masked models no task"):
        export_peft(run, tmp_path / "peft", backbone=tiny_backbone("bert"))
    assert not (tmp_path / "peft").exists()


def test_an_adapter_is_copied(tmp_path: Path) -> None:
    prepared = tuned({"name": "lora"}, "llama")
    run = kept_run(tmp_path / "run", prepared)
    done = export_peft(run, tmp_path / "peft")
    assert (done.peft_type, done.virtual_tokens) == ("LORA", None)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "peft" / name).read_bytes() == (run / "tuned" / name).read_bytes()


def test_slots_that_a_template_begins_with(tmp_path: Path) -> None:
    prepared = tuned({"name": "prompt-tuning"}, "llama", template="{{ soft(3) }}{{ text }}: {{ answer }}")
    export_peft(kept_run(tmp_path / "run", prepared), tmp_path / "peft", backbone=tiny_backbone("llama"))
    examples = some_rows(prepared)
    assert close(theirs(peft_model("llama", tmp_path / "peft"), examples), ours(prepared, examples))


SOFT = {"name": "prompt-tuning", "length": 4}
VERY = "tune with method.placement: very-front and a template without slots"


@pytest.mark.parametrize(
    ("method", "arch", "template", "why"),
    [
        (SOFT, "llama", None, f"PEFT puts virtual tokens before everything; here text comes first: {VERY}"),
        ({**SOFT, "placement": "end"}, "t5", None, "here text comes first"),
        ({**SOFT, "placement": "front"}, "opt", None, "here '</s>' comes first"),
        (SOFT, "bart", None, "here '<s>' comes first"),
        (SOFT, "bert", None, r"here '\[CLS\]' comes first"),
        ({**SOFT, "ensemble": 2}, "t5", None, "holds 2 prompts that answer together; PEFT has one"),
        (SOFT, "llama", "{{ soft(2) }}{{ text }} {{ soft(2) }}{{ answer }}", r"this run has 2 \(inline/1, inline/2\)"),
        (SOFT, "llama", "{{ soft(2) if text }}{{ text }} {{ answer }}", "does not simply begin with its slots"),
        (SOFT, "llama", "{{ text }} {{ soft(2) }}{{ answer }}", "does not simply begin with its slots"),
        (SOFT, "t5", "{{ soft(2, side='decoder') }}{{ text }}: {{ answer }}", "its slots stand in the decoder"),
        ({**SOFT, **FRONT}, "bert", "{{ text }}{{ sep }}it is {{ answer }}", "PEFT drops token types"),
        ({"name": "p-tuning", **FRONT, "tune_model": True}, "gpt2", None, "p-tuning tuned the model's own weights"),
        ("full", "gpt2", None, "full tuned the model's own weights; .*tuned is a model's folder, which transformers"),
        ("head", "gpt2", None, "method head keeps nothing that PEFT has a form for"),
        ("none", "gpt2", None, "method none keeps nothing that PEFT has a form for"),
    ],
)
def test_what_peft_could_not_mean(tmp_path: Path, method: Any, arch: str, template: str | None, why: str) -> None:
    run = kept_run(tmp_path / "run", tiny_prepared(method, arch, template=template))
    with pytest.raises(InputError, match=why):
        export_peft(run, tmp_path / "peft", backbone=tiny_backbone(arch))
    assert not (tmp_path / "peft").exists()


def test_several_tasks_without_factors(tmp_path: Path) -> None:
    prepared = several({**SOFT, **FRONT}, "llama", [named("first"), named("second")])
    with pytest.raises(InputError, match=r"this run has 2 \(first/prompt, second/prompt\)"):
        export_peft(kept_run(tmp_path / "run", prepared), tmp_path / "peft", backbone=tiny_backbone("llama"))
    shared = several({**SOFT, **FRONT, "shared": True}, "llama", [named("first"), named("second")])
    done = export_peft(kept_run(tmp_path / "shared", shared), tmp_path / "peft", backbone=tiny_backbone("llama"))
    assert done.peft_type == "PROMPT_TUNING"


def test_nothing_is_written_over(tmp_path: Path) -> None:
    run = kept_run(tmp_path / "run", tiny_prepared("lora", "llama"))
    out = tmp_path / "peft"
    export_peft(run, out)
    with pytest.raises(InputError, match="already there; --overwrite writes a PEFT folder over another one"):
        export_peft(run, out)
    export_peft(run, out, overwrite=True)
    (out / "adapter_config.json").rename(out / "mine.txt")
    with pytest.raises(InputError, match=r"not a PEFT folder \(no adapter_config.json\); it is not written over"):
        export_peft(run, out, overwrite=True)
    with pytest.raises(InputError, match=r"no tuned/tuned.json: not a finished run"):
        export_peft(tmp_path / "nothing", tmp_path / "other")
