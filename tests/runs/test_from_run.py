"""A run's folder as the model of another run: what the first one tuned is in the weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from run_parts import SOFT, recipe_of, saved_model, saved_rows
from tiny import TEMPLATES

from tunewright.backbones.load import load_backbone
from tunewright.errors import InputError
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.merged import load_model
from tunewright.runs.run import run
from tunewright.settings import validate

TRAINING = {"steps": 3, "batch_size": 4, "learning_rate": 0.03, "precision": "fp32", "max_tokens": 96}


def mixture_recipe(method: Any, arch: str) -> Recipe:
    tasks = [
        {"name": kind, "path": saved_rows(kind), "kind": kind, "templates": {"plain": TEMPLATES[kind]}}
        for kind in ("classify", "choose")
    ]
    return validate(
        Recipe,
        {
            "model": saved_model(arch), "method": method, "training": TRAINING,
            "mixture": {"formats": {"few_shot": 0}, "members": [{"task": one} for one in tasks]},
            "evaluation": {"tasks": [{"task": tasks[0]}], "baselines": False, "validation_rows": 4, "rows": 4},
        },
        "recipe",
    )  # fmt: skip


@torch.no_grad()
def logits(backbone: Any) -> torch.Tensor:
    ids = torch.arange(12).unsqueeze(0)
    extra = {"decoder_input_ids": ids} if backbone.family == "seq2seq" else {}
    return backbone.model.eval()(input_ids=ids, **extra).logits  # type: ignore[no-any-return]


@pytest.mark.parametrize(("method", "arch"), [("lora", "llama"), ("full", "t5")])
def test_a_mixtures_run_goes_on_with_one_task(tmp_path: Path, method: str, arch: str) -> None:
    """Its answers before are those that the first run gave after; and a run of a run goes on again."""
    first = run(mixture_recipe(method, arch), tmp_path / "first")
    merged = load_model(str(tmp_path / "first"))
    assert torch.allclose(logits(merged), logits(load_kept(tmp_path / "first").backbone), atol=1e-4)
    assert (logits(merged) - logits(load_backbone(saved_model(arch)))).abs().max() > 1e-3
    assert all(parameter.requires_grad for parameter in merged.model.parameters())

    keys = {"model": str(tmp_path / "first"), "template": "plain", "evaluation": {"rows": 4}, "training": TRAINING}
    second = run(recipe_of("lora", arch, task={"name": "classify"}, **keys), tmp_path / "second")
    known = {p.id: p.scores for p in first.after}
    for prediction in second.before:
        assert prediction.scores == pytest.approx(known[prediction.id], abs=1e-3)
    third = load_model(str(tmp_path / "second"))
    assert torch.allclose(logits(third), logits(load_kept(tmp_path / "second").backbone), atol=1e-4)
    assert (logits(third) - logits(merged)).abs().max() > 1e-3


def test_what_cannot_be_gone_on_from(tmp_path: Path) -> None:
    run(recipe_of(SOFT, training={"steps": 1}, evaluation={"rows": 2}), tmp_path / "soft")
    with pytest.raises(InputError, match="soft: method prompt-tuning tuned vectors before the text, not weights"):
        load_model(str(tmp_path / "soft"))
    with pytest.raises(
        InputError, match=r"soft: a run; `tunewright export .*soft --merge --output MODEL` makes a model"
    ):
        load_backbone(str(tmp_path / "soft"))
