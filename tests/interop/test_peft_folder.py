"""PEFT's own folders as a run's start: the same answers as PEFT's, trained on, kept, measured untrained, refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import (
    LoraConfig,
    MultitaskPromptTuningConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from peft_says import close, kept_run, ours, peft_model, some_rows, theirs
from safetensors.torch import load_file, save_file
from several import named, several
from tiny import bert_tokenizer, smol_tokenizer, tiny_backbone, tiny_folder, tiny_parts, tiny_prepared, tiny_train
from tiny_tasks import TEMPLATES, tiny_rows

from tunewright.errors import InputError
from tunewright.methods.peft_files import read_peft
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import Prepared
from tunewright.runs.run import run
from tunewright.settings import validate

TASK_TYPE = {
    "llama": "CAUSAL_LM", "gpt2": "CAUSAL_LM", "opt": "CAUSAL_LM", "t5": "SEQ_2_SEQ_LM", "t5-untied": "SEQ_2_SEQ_LM",
    "bart": "SEQ_2_SEQ_LM", "bert": "FEATURE_EXTRACTION", "roberta": "FEATURE_EXTRACTION",
}  # fmt: skip
CONFIGS: dict[str, Any] = {
    "PROMPT_TUNING": lambda **keys: PromptTuningConfig(num_virtual_tokens=4, **keys),
    "P_TUNING": lambda **keys: PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=16, **keys),
    "PREFIX_TUNING": lambda **keys: PrefixTuningConfig(num_virtual_tokens=4, **keys),
    "PROJECTED": lambda **keys: PrefixTuningConfig(
        num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=16, **keys
    ),
    "LORA": lambda **keys: LoraConfig(r=4, use_rslora=True, init_lora_weights=False, **keys),
    "MULTITASK": lambda **keys: MultitaskPromptTuningConfig(
        num_virtual_tokens=4, num_tasks=3, num_ranks=2, num_transformer_submodules=1, **keys
    ),
}


def written(folder: Path, arch: str, kind: str, **keys: Any) -> Path:
    """What PEFT makes and saves; its numbers are random and far from zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = get_peft_model(tiny_parts(arch)[0], CONFIGS[kind](task_type=TASK_TYPE[arch], **keys))
        if kind == "MULTITASK":
            for name in ("prefix_task_cols", "prefix_task_rows"):
                torch.nn.init.normal_(getattr(model.prompt_encoder["default"], name))
        model.save_pretrained(str(folder))
    return folder


def folder_of(path: Path, arch: str, **keys: Any) -> Prepared:
    training = {"learning_rate": 1e-2, "steps": 3, **keys.pop("training", {})}
    return tiny_prepared({"name": "peft-folder", "path": str(path), **keys}, arch, training=training)


@pytest.mark.parametrize("arch", TASK_TYPE)
@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "PROJECTED", "LORA"])
def test_it_says_what_peft_says(tmp_path: Path, kind: str, arch: str) -> None:
    """PEFT's defaults: for an encoder-decoder it saves two prompts and reads the first."""
    prepared = folder_of(written(tmp_path, arch, kind), arch)
    examples = some_rows(prepared)
    expected = theirs(peft_model(arch, tmp_path), examples)
    assert close(ours(prepared, examples), expected)
    plain = tiny_prepared("none", arch)
    assert not torch.allclose(ours(plain, some_rows(plain)), expected, atol=1e-2)


@pytest.mark.parametrize("arch", ["llama", "t5"])
def test_each_task_of_a_multi_task_prompt(tmp_path: Path, arch: str) -> None:
    model = peft_model(arch, written(tmp_path, arch, "MULTITASK"))
    for task in (0, 2):
        prepared = folder_of(tmp_path, arch, task_id=task)
        examples = some_rows(prepared)
        assert close(ours(prepared, examples), theirs(model, examples, task))
    values = load_file(tmp_path / "adapter_model.safetensors")
    table = values["prompt_embeddings"] * (values["prefix_task_cols"][2] @ values["prefix_task_rows"][2])
    assert torch.equal(prepared.tuner.tunable.table(), table)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"method.task_id: 3, it holds 3 tasks \(0 is the first\)"):
        folder_of(tmp_path, arch, task_id=3)


def test_a_prefix_of_three_layers_goes_round(tmp_path: Path) -> None:
    """PEFT gives the decoder's layers the file's 0, 2, 1 (and throws half of what it repeats away)."""
    written(tmp_path, "t5", "PREFIX_TUNING", num_layers=3)
    flat = load_file(tmp_path / "adapter_model.safetensors")["prompt_embeddings"].view(4, 3, 2, 4, 8)
    prepared = folder_of(tmp_path, "t5")
    assert torch.equal(prepared.tuner.tunable.layer_kv(), flat[:, [0, 2]])  # type: ignore[arg-type]
    examples = some_rows(prepared)
    assert close(ours(prepared, examples), theirs(peft_model("t5", tmp_path), examples))


@pytest.mark.parametrize(
    ("kind", "arch", "files"),
    [
        ("P_TUNING", "opt", {"prompt.json", "prompt.safetensors"}),
        ("PREFIX_TUNING", "t5", {"prefix.json", "prefix.safetensors"}),
        ("LORA", "bert", {"adapter_config.json", "adapter_model.safetensors"}),
    ],
)
def test_it_trains_on_and_is_kept(tmp_path: Path, kind: str, arch: str, files: set[str]) -> None:
    """The run's folder answers when PEFT's is gone."""
    source = written(tmp_path / "peft", arch, kind)
    prepared = folder_of(source, arch)
    examples = some_rows(prepared)
    before = ours(prepared, examples)
    assert tiny_train(prepared, None).steps == 3
    after = ours(prepared, examples)
    assert not torch.allclose(before, after, atol=1e-4)
    kept = kept_run(tmp_path / "run", prepared) / "tuned"
    assert files | {"tuned.json"} <= {file.name for file in kept.iterdir()}
    for file in source.iterdir():
        file.unlink()
    again = load_kept(kept, tiny_backbone(arch))
    assert torch.equal(ours(again, examples), after)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "LORA"])
def test_detached_the_model_is_plain(tmp_path: Path, kind: str) -> None:
    prepared = folder_of(written(tmp_path, "llama", kind), "llama")
    plain = tiny_prepared("none", "llama")
    rows = prepared.encoder(prepared.task.split("test"), attached=False).examples(range(3), 0, "answer")
    examples = [example for example in rows if example is not None]
    with prepared.tuner.tunable.detached():
        assert torch.equal(ours(prepared, examples), ours(plain, some_rows(plain)))
    attached = some_rows(prepared)
    assert close(ours(prepared, attached), theirs(peft_model("llama", tmp_path), attached))
    trained = prepared.tuner.tunable.trained()
    assert trained and all(p.requires_grad for p in trained.values())


@pytest.mark.parametrize(("kind", "added"), [("PROMPT_TUNING", 4), ("PREFIX_TUNING", 4), ("LORA", 0)])
def test_measured_without_training(tmp_path: Path, kind: str, added: int) -> None:
    """`train: false`: before is the plain model, after the one with what was loaded."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    source = written(tmp_path / "peft", "llama", kind)
    tree = {
        "model": str(tiny_folder(tmp_path / "model", "llama")),
        "task": {"path": str(rows), "kind": "classify", "templates": {"plain": TEMPLATES["classify"]}},
        "method": {"name": "peft-folder", "path": str(source), "train": False},
        "training": {"precision": "fp32"},
        "evaluation": {"baselines": False},
    }
    result = run(validate(Recipe, tree, "recipe"), tmp_path / "run", alone=False)
    assert result.cost["trained_parameters"] == 0 and result.cost["train_seconds"] == 0
    assert result.cost["prompt_tokens_added"] == added
    plain = run(validate(Recipe, {**tree, "method": "none"}, "recipe"), tmp_path / "plain", alone=False)
    assert [p.scores for p in result.before] == [p.scores for p in plain.after]
    assert [p.scores for p in result.after] != [p.scores for p in plain.after]
    for file in source.iterdir():
        file.unlink()
    examples = some_rows(result.prepared)
    assert torch.equal(ours(load_kept(tmp_path / "run"), examples), ours(result.prepared, examples))


def test_every_task_of_a_run_starts_from_it(tmp_path: Path) -> None:
    written(tmp_path, "llama", "PROMPT_TUNING")
    prepared = several({"name": "peft-folder", "path": str(tmp_path)}, "llama", [named("first"), named("second")])
    table = prepared.tuner.tunable.table()
    assert table is not None and torch.equal(table[:4], table[4:]) and len(table) == 8


# ---- what is refused -----------------------------------------------------------------------------------------


def test_no_peft_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_peft(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no adapter_config.json: not a PEFT folder"):
        read_peft(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"adapter_config.json: not valid JSON"):
        read_peft(tmp_path)
    for kind, text in (("XLORA", '{"peft_type": "XLORA"}'), (None, "[]")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=f"peft_type {kind!r} is not known here; PROMPT_TUNING, P_TUNING, "):
            read_peft(tmp_path)
    file.write_text('{"peft_type": "LORA"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"adapter_model.safetensors is missing"):
        read_peft(tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"adapter_model.bin is a pickle, which can run any code and is not read"):
        read_peft(tmp_path)


@pytest.mark.parametrize(
    ("kind", "made", "read", "why"),
    [
        ("PROMPT_TUNING", "llama", "wide", r"its vectors have 32 numbers \(made for another model\), those of wide 48"),
        ("PREFIX_TUNING", "llama", "gpt2", "a prefix for 2 key-value heads .made for another model., tiny-gpt2 has 4"),
        ("PREFIX_TUNING", "llama", "deep", "a prefix for 2 layers .made for another model., deep has 3"),
        ("LORA", "llama", "gpt2", "Target modules .* not found"),
        ("LORA", "llama", "wide", r"lora_A.weight has shape \[4, 32\], the model \[4, 48\]"),
        ("LORA", "deep", "llama", r"it holds 'model.layers.2.*', which tiny-llama has no place for"),
    ],
)
def test_another_models_files(tmp_path: Path, kind: str, made: str, read: str, why: str) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from tunewright.backbones.load import make_backbone
    from tunewright.methods.base import Setting
    from tunewright.methods.registry import make_method
    from tunewright.prompts.layout import SlotGroup, SlotLayout

    def llama(width: int, layers: int) -> LlamaForCausalLM:
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(smol_tokenizer()), hidden_size=width, intermediate_size=48, num_hidden_layers=layers,
                num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=0,
            )
        )  # fmt: skip

    if made == "deep":
        get_peft_model(llama(32, 3), CONFIGS[kind](task_type="CAUSAL_LM")).save_pretrained(str(tmp_path))
    else:
        written(tmp_path, made, kind)
    sizes = {"wide": (48, 2), "deep": (32, 3)}
    backbone = (
        make_backbone(llama(*sizes[read]), smol_tokenizer(), read, "causal") if read in sizes else tiny_backbone(read)
    )
    method = make_method({"name": "peft-folder", "path": str(tmp_path)})
    layout = SlotLayout((SlotGroup("p", 0, 4),))
    with pytest.raises(InputError, match=why):
        method.tune(backbone, layout, Setting("classify", ("a", "b"), 0))


@pytest.mark.parametrize("key", ["tokenizer_name_or_path", "base_model_name_or_path"])
def test_another_tokenizer(tmp_path: Path, key: str) -> None:
    """Where the tokenizer it names is at hand; a name that is not says nothing."""
    source = written(tmp_path / "peft", "llama", "PROMPT_TUNING")
    said = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    bert_tokenizer().save_pretrained(tmp_path / "bert")
    smol_tokenizer().save_pretrained(tmp_path / "smol")
    for name, refused in (("bert", True), ("smol", False), ("gone", False)):
        text = json.dumps({**said, key: str(tmp_path / name)})
        (source / "adapter_config.json").write_text(text, encoding="utf-8")
        if refused:
            with pytest.raises(InputError, match=r"made with the tokenizer of .*bert, which is not that of tiny-llama"):
                folder_of(source, "llama")
        else:
            folder_of(source, "llama")


@pytest.mark.parametrize(
    ("kind", "arch", "changes", "why"),
    [
        ("PROMPT_TUNING", "llama", {"num_virtual_tokens": None}, "num_virtual_tokens is None, a number above 0 wanted"),
        ("PROMPT_TUNING", "llama", {"num_virtual_tokens": 5}, r"'prompt_embeddings' has 4 rows, 5 · 1"),
        ("PREFIX_TUNING", "llama", {"token_dim": 8}, r"has shape \[4, 64\], .* says 4 virtual tokens, 2 layers"),
        ("PREFIX_TUNING", "t5", {"num_transformer_submodules": 1}, "an encoder-decoder has 2"),
        ("LORA", "llama", {"bias": "all"}, "bias: 'all' changes weights of the model itself"),
        ("LORA", "llama", {"modules_to_save": ["lm_head"]}, r"modules_to_save: \['lm_head'\] changes weights"),
    ],
)
def test_a_configuration_that_does_not_fit(tmp_path: Path, kind: str, arch: str, changes: Any, why: str) -> None:
    file = written(tmp_path, arch, kind) / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    with pytest.raises(InputError, match=why):
        folder_of(tmp_path, arch)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    written(tmp_path, "llama", "PROMPT_TUNING")
    save_file({"other": torch.ones(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"no tensor 'prompt_embeddings' of 2 dimensions"):
        folder_of(tmp_path, "llama")


def test_a_multi_task_prompt_of_the_decoder_too(tmp_path: Path) -> None:
    written(tmp_path, "t5", "MULTITASK")
    file = tmp_path / "adapter_config.json"
    said = {**json.loads(file.read_text(encoding="utf-8")), "num_transformer_submodules": 2, "num_virtual_tokens": 2}
    file.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(InputError, match="this multi-task prompt stands before the decoder too"):
        folder_of(tmp_path, "t5")


def test_slots_of_the_template(tmp_path: Path) -> None:
    written(tmp_path, "llama", "PROMPT_TUNING")
    block = {"name": "peft-folder", "path": str(tmp_path)}
    with pytest.raises(InputError, match="holds 4 slots, the template has others: take one without slots"):
        tiny_prepared(block, "llama", template="{{ soft(3) }}{{ text }} {{ answer }}")


# ---- released prompts ----------------------------------------------------------------------------------------


def test_a_released_prompt_is_a_matrix(tmp_path: Path) -> None:
    """The prompts of Lester et al. 2021 for T5: float32 [slots, width] in a .npy, before the encoder's input."""
    matrix = np.arange(6 * 32, dtype=np.float32).reshape(6, 32) / 100
    np.save(tmp_path / "prompt.npy", matrix)
    prepared = tiny_prepared({"name": "prompt-tuning", "init": {"prompt": str(tmp_path / "prompt.npy")}}, "t5-untied")
    assert torch.equal(prepared.tuner.tunable.table(), torch.from_numpy(matrix))  # type: ignore[arg-type]
    (example, *_) = some_rows(prepared)
    assert example.views[0].soft[:7] == [0, 1, 2, 3, 4, 5, -1]
    np.save(tmp_path / "wide.npy", np.zeros((6, 48), np.float32))
    with pytest.raises(InputError, match=r"its vectors have 48 numbers, those of tiny-t5-untied 32"):
        tiny_prepared({"name": "prompt-tuning", "init": {"prompt": str(tmp_path / "wide.npy")}}, "t5-untied")
