"""From raw text to a model: each family learns, is killed and goes on, is kept under a name, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ppt_parts import saved_model, tuning_recipe
from safetensors.torch import load_file
from stopping import stop_at
from toy_corpus import many

from tunewright.backbones import fetch
from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone
from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.pretraining.raw import run as running
from tunewright.pretraining.raw.begin import begin
from tunewright.pretraining.raw.recipe import Pretraining
from tunewright.pretraining.raw.run import pretrain
from tunewright.runs.run import run
from tunewright.settings import validate
from tunewright.training.loop import Interrupted

T5 = {"type": "t5", "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 32, "num_layers": 1, "vocabulary": 260}


def tree_of(folder: Path, **keys: Any) -> dict[str, Any]:
    """Sixteen steps of four short blocks over 60 documents."""
    file = folder / "corpus.jsonl"
    if not file.exists():
        many(file, 60)
    training = {"steps": 16, "batch_size": 4, "max_tokens": 24, "learning_rate": 0.01, "precision": "fp32"}
    return {
        "corpus": {"sources": [{"path": str(file)}], "holdout": 0.3},
        "evaluation": {"blocks": 12, "batch_size": 4},
        **keys,
        "training": {**training, **keys.get("training", {})},
    }


def recipe_of(folder: Path, **keys: Any) -> Pretraining:
    return validate(Pretraining, tree_of(folder, **keys), "recipe")


def losses(scores: dict[str, Any]) -> dict[str, float]:
    return {name: found["loss"]["value"] for name, found in scores["objectives"].items()}


@pytest.mark.parametrize(
    ("arch", "objective"),
    [
        ("llama", ["causal-lm"]),
        ("gpt2", ["prefix-lm"]),
        ("bert", ["mlm"]),
        ("roberta", [{"name": "mlm", "whole_word": True}]),
        ("t5", [{"name": "span-corruption", "mean_span": 2}, "prefix-lm"]),
        ("bart", ["prefix-lm"]),
    ],
)
def test_each_family_learns_what_it_reads(tmp_path: Path, arch: str, objective: list[Any]) -> None:
    result = pretrain(recipe_of(tmp_path, model=saved_model(arch), objective=objective), tmp_path / "run")
    before, after = losses(result.before), losses(result.after)
    assert all(after[name] < before[name] - 0.3 for name in before), (before, after)
    assert result.before["blocks"] == 12 and result.after["tokens_a_block"] <= 24
    assert result.kept == tmp_path / "run/tuned" and result.seconds > 0
    again = load_backbone(str(result.kept))  # a model's folder like any other: a run starts from it
    assert again.family == {"llama": "causal", "gpt2": "causal", "t5": "seq2seq", "bart": "seq2seq"}.get(arch, "masked")
    recipe = tuning_recipe(tmp_path, arch).model_copy(update={"model": str(result.kept)})
    assert run(recipe, tmp_path / "tuned-run").cost["prompt_tokens_added"] == 4


STAGES = [{"name": "span-corruption", "steps": 6, "mean_span": 2}, {"name": "prefix-lm", "steps": 5}]


@pytest.mark.parametrize("step", [3, 9])
def test_an_interrupted_pretraining_ends_bit_equal(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first stage and in the second; the model drops out, its first weights and its vocabulary are made."""
    recipe = recipe_of(tmp_path, architecture={**T5, "dropout_rate": 0.1}, objective=STAGES)
    whole = pretrain(recipe, tmp_path / "whole")
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted, match=f"after step {step if step < 7 else step - 6}"):
        pretrain(recipe, tmp_path / "run")
    monkeypatch.undo()
    ended = pretrain(recipe, tmp_path / "run", resume=True)
    assert (ended.before, ended.after) == (whole.before, whole.after)
    assert same_weights(tmp_path / "run/tuned", tmp_path / "whole/tuned")
    with pytest.raises(InputError, match="already there; --resume goes on"):
        pretrain(recipe, tmp_path / "run")


def test_killed_between_two_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path, architecture=T5, objective=STAGES)
    whole = pretrain(recipe, tmp_path / "whole")
    stage = running._stage

    def killed(recipe: Any, block: Any, *rest: Any) -> Any:
        if block.name == "prefix-lm":
            raise KeyboardInterrupt
        return stage(recipe, block, *rest)

    monkeypatch.setattr(running, "_stage", killed)
    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, tmp_path / "run")
    monkeypatch.undo()
    assert pretrain(recipe, tmp_path / "run", resume=True).after == whole.after
    assert same_weights(tmp_path / "run/tuned", tmp_path / "whole/tuned")


def same_weights(a: Path, b: Path) -> bool:
    found, wanted = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in found)


def test_a_sentence_encoder_gets_a_tied_head(tmp_path: Path) -> None:
    """Saved without its head, as sentence encoders are: the head made here is kept, tied to the word vectors."""
    from transformers import AutoModel

    AutoModel.from_pretrained(saved_model("bert")).save_pretrained(tmp_path / "encoder")
    load_backbone(saved_model("bert")).tokenizer.save_pretrained(tmp_path / "encoder")
    assert load_backbone(str(tmp_path / "encoder")).headless
    result = pretrain(recipe_of(tmp_path, model=str(tmp_path / "encoder"), objective="mlm"), tmp_path / "run")
    assert losses(result.after)["mlm"] < losses(result.before)["mlm"] - 0.3
    again = load_backbone(str(result.kept))
    model = again.model
    assert not again.headless
    assert torch.equal(model.get_output_embeddings().weight, model.get_input_embeddings().weight)
    before = load_backbone(saved_model("bert")).model.get_input_embeddings().weight
    assert not torch.equal(model.get_input_embeddings().weight, before)


def test_nothing_is_dropped_out(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved_model("bert"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.1}))

    def shares(backbone: Backbone) -> set[float]:
        return {module.p for module in backbone.model.modules() if isinstance(module, torch.nn.Dropout)}

    assert 0.1 in shares(load_backbone(str(folder)))
    assert shares(begin(recipe_of(tmp_path, model=str(folder), objective="mlm"), tmp_path / "run")) == {0.0}


def test_a_name_keeps_the_model_for_other_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = recipe_of(tmp_path, architecture=T5, objective=STAGES, name="own-t5")
    result = pretrain(recipe, tmp_path / "run")
    assert result.kept == fetch.made_folder("own-t5") and result.kept.is_relative_to(tmp_path / "cache")
    assert same_weights(result.kept, tmp_path / "run/tuned")
    assert load_backbone("own-t5").family == "seq2seq"
    card = json.loads((result.kept / "pretrained.json").read_text())
    assert card["after"] == result.after and card["training_seconds"] == result.seconds


@pytest.mark.parametrize("name", ["minilm-mlm", "mini-t5"])
def test_a_model_of_the_catalog_that_is_not_made_yet(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=rf"{name}.*run `tunewright pretrain recipes/{name}.yaml` first"):
        load_backbone(name)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"objective": "mlm"}, "one of model .* and architecture"),
        ({"model": "llama", "architecture": T5, "objective": "mlm"}, "one of model .* and architecture"),
        ({"model": "llama", "objective": "mlm"}, "objective mlm: for masked models; .* is causal"),
        ({"model": "llama", "objective": "rot13"}, "rot13|causal-lm"),
        ({"model": "llama", "objective": []}, "objective"),
        ({"model": "bart", "objective": "span-corruption"}, "has no sentinels"),
        (
            {"model": "llama", "objective": "causal-lm", "training": {"epochs": 2, "steps": None}},
            "training.epochs: a corpus is streamed",
        ),
        ({"model": "llama", "objective": "causal-lm", "training": {"steps": None}}, "training.steps is missing"),
        (
            {"model": "llama", "objective": "causal-lm", "training": {"batch_size": None, "batch_tokens": 99}},
            "batch_tokens: blocks",
        ),
        (
            {"model": "llama", "objective": "causal-lm", "training": {"learning_rate": "auto"}},
            "learning_rate: a number",
        ),
        ({"architecture": {"type": "t6"}, "objective": "prefix-lm"}, "architecture: .*t6"),
        ({"architecture": T5, "objective": "mlm"}, "objective mlm: for masked models; .* is seq2seq"),
        ({"architecture": {"type": "vit"}, "objective": "prefix-lm"}, "'vit' has no causal language model"),
        ({"model": "llama", "objective": "causal-lm", "corpus": [{"path": "nowhere"}]}, "nowhere: no such file"),
        ({"architecture": T5, "objective": "prefix-lm", "corpus": [{"path": "nowhere"}]}, "nowhere: no such file"),
        ({"model": "llama", "objective": "causal-lm", "name": "../x"}, "no plain name"),
        (
            {
                "model": "llama",
                "objective": "causal-lm",
                "evaluation": {"blocks": 4},
                "training": {"max_tokens": 20000},
            },
            "fewer than two held-out blocks",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    if "model" in keys:
        keys = {**keys, "model": saved_model(keys["model"])}
    with pytest.raises(InputError, match=words):
        pretrain(recipe_of(tmp_path, **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_shows_before_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import yaml

    tree = tree_of(tmp_path, model=saved_model("llama"), objective="causal-lm", training={"steps": 4})
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(tree))
    arguments = ["pretrain", str(file), "--set", "training.steps=3", "--output", str(tmp_path / "run")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "12 held-out blocks of " in out and "causal-lm" in out and "accuracy before" in out
    assert (tmp_path / "run/report.md").is_file() and (tmp_path / "run/loss.svg").is_file()
    assert main([*arguments, "--resume", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["model"] == str(tmp_path / "run/tuned")
    assert content["after"]["objectives"]["causal-lm"]["perplexity"]["low"] > 1
    assert main(["pretrain", str(tmp_path / "none.yaml")]) == 2
