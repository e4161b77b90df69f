"""Multi-task prompt tuning: its table against the formula and against PEFT's, its files, its transfer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import MultitaskPromptTuningConfig
from peft.tuners.multitask_prompt_tuning import MultitaskPromptEmbedding
from safetensors.torch import load_file
from several import THREE, TWO, named, pairs, several
from tiny import WIDTH, tiny_backbone, tiny_prepared
from torch import Tensor, nn

from tunewright.errors import InputError
from tunewright.methods.soft import starts
from tunewright.methods.soft.multitask import FactoredPrompt
from tunewright.runs.kept import load_kept, write_kept
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune


def mpt(tasks: list[Any], arch: str = "llama", training: dict[str, Any] | None = None, **settings: Any) -> Prepared:
    method = {"name": "multitask-prompt-tuning", "length": 3, **settings}
    return several(method, arch, tasks, training=training, backbone=tiny_backbone(arch))


def factored(prepared: Prepared) -> FactoredPrompt:
    assert isinstance(prepared.tuner.tunable, FactoredPrompt)
    return prepared.tuner.tunable


def table_of(prepared: Prepared) -> Tensor:
    table = prepared.tuner.tunable.table()
    assert table is not None
    return table.detach()


@torch.no_grad()
def fill(prepared: Prepared, seed: int = 0) -> dict[str, Tensor]:
    """Random numbers in all parts."""
    generator = torch.Generator().manual_seed(seed)
    parts = dict(factored(prepared).named_parameters())
    for part in parts.values():
        part.copy_(torch.randn(part.shape, generator=generator))
    return {name: part.detach() for name, part in parts.items()}


@pytest.mark.parametrize("rank", [1, 3])
def test_training_begins_with_the_same_prompt_for_all_tasks(rank: int) -> None:
    prepared = mpt([named("a"), pairs("b")], rank=rank)
    start = starts.sampled_vocab(prepared.backbone, 3, 0, "shared/prompt")
    assert torch.equal(table_of(prepared), start.repeat(2, 1))
    assert {name: list(p.shape) for name, p in factored(prepared).named_parameters()} == {
        "shared": [3, WIDTH], "task_cols": [2, 3, rank], "task_rows": [2, rank, WIDTH],
    }  # fmt: skip


def test_the_shared_prompt_starts_from_the_labels_of_all() -> None:
    prepared = mpt([pairs("b"), named("a")], init="class-label")
    labels = starts.class_label(prepared.backbone, 3, ("sport", "money", "weather"), 0, "shared/prompt")
    assert torch.equal(table_of(prepared), labels.repeat(2, 1))


@pytest.mark.parametrize("rank", [1, 2])
def test_the_table_is_the_formula(rank: int) -> None:
    """Element by element: P[s, d] · Σ_r cols[t, s, r] · rows[t, r, d]."""
    prepared = mpt([named("a"), pairs("b"), named("c")], rank=rank)
    parts = fill(prepared)
    table = table_of(prepared)
    for t in range(3):
        for s in range(3):
            for d in (0, 7, WIDTH - 1):
                factor = sum(parts["task_cols"][t, s, r] * parts["task_rows"][t, r, d] for r in range(rank))
                assert table[3 * t + s, d].item() == pytest.approx(float(parts["shared"][s, d] * factor), rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_table_is_pefts(rank: int) -> None:
    prepared = mpt([named("a"), pairs("b")], rank=rank)
    parts = fill(prepared)
    config = MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, token_dim=WIDTH, num_transformer_submodules=1, num_tasks=2,
        num_ranks=rank, num_layers=2, num_attention_heads=4,
    )  # fmt: skip
    theirs = MultitaskPromptEmbedding(config, nn.Embedding(8, WIDTH))
    theirs.load_state_dict(
        {
            "embedding.weight": parts["shared"],
            "prefix_task_cols": parts["task_cols"],
            "prefix_task_rows": parts["task_rows"],
        }
    )
    with torch.no_grad():
        rows = theirs(torch.arange(3).repeat(2, 1), torch.tensor([0, 1]))  # [tasks, 3, d]
    assert torch.allclose(table_of(prepared), rows.flatten(0, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("arch", ["llama", "bart", "bert"])
def test_every_part_learns_and_a_batch_of_one_task_leaves_the_others_factors(arch: str) -> None:
    prepared = mpt([named("a", TWO), pairs("b", TWO)], arch, rank=2)
    part = prepared.parts[1]
    rows = [e for e in part.encoder(part.task.split("train")).examples(range(4), 0, "answer") if e is not None]
    (-prepared.tuner(prepared.backbone.collate(rows)).sum()).backward()
    grads = {name: p.grad for name, p in factored(prepared).named_parameters()}
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())
    cols, own = grads["task_cols"], grads["task_rows"]
    assert cols is not None and own is not None
    assert cols[0].abs().max() == own[0].abs().max() == 0
    assert (cols[1].abs() > 0).all() and (own[1, 0].abs() > 0).all()  # the second rank's rows wait for its columns


def test_the_factors_have_a_rate_of_their_own(tmp_path: Path) -> None:
    """SGD: a step moves the factors twice as far as at the shared prompt's rate."""

    def moved(rate: float) -> dict[str, Tensor]:
        training = {"steps": 1, "optimizer": "sgd", "learning_rate": 0.5, "clip": None, "schedule": "constant",
                    "keep": "last"}  # fmt: skip
        prepared = mpt([named("a"), pairs("b")], factor_rate=rate, training=training)
        before = {name: p.detach().clone() for name, p in factored(prepared).named_parameters()}
        tune(prepared, tmp_path / str(rate), resume=False, name="x")
        return {name: p.detach() - before[name] for name, p in factored(prepared).named_parameters()}

    once, twice = moved(1.0), moved(2.0)
    assert once["shared"].abs().max() > 1e-4
    assert torch.equal(once["shared"], twice["shared"])
    for name in ("task_cols", "task_rows"):
        assert torch.allclose(2 * once[name], twice[name], rtol=1e-4, atol=1e-6)


def test_what_is_kept_and_what_it_starts(tmp_path: Path) -> None:
    prepared = mpt([named("a"), pairs("b")], rank=2)
    parts, table = fill(prepared), table_of(prepared)
    write_kept(tmp_path, prepared)
    assert {name: value.tolist() for name, value in load_file(tmp_path / "factors.safetensors").items()} == {
        name: value.tolist() for name, value in parts.items()
    }
    assert torch.equal(load_file(tmp_path / "prompt.safetensors")["prompt_embeddings"], table)
    kept = load_kept(tmp_path, prepared.backbone)
    assert torch.equal(table_of(kept), table) and not kept.tuner.tunable.trained()

    def start(name: str, **init: str) -> Tensor:
        method = {"name": name, "init": {"prompt": str(tmp_path), **init}}
        return table_of(tiny_prepared(method, "llama"))

    assert torch.equal(start("prompt-tuning", task="b"), table[3:])
    assert torch.equal(start("prompt-tuning", task="shared"), parts["shared"])
    assert torch.equal(start("multitask-prompt-tuning", task="shared"), parts["shared"])  # target adaptation, §3.3


def test_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="all tasks must have equally many slots, found a 2, b 3"):
        mpt([named("a", TWO), pairs("b", THREE)])
    joint = '{{ text }}{{ soft(2, slot="joint") }} {{ answer }}'
    with pytest.raises(InputError, match="the slots 'joint' belong to no single task"):
        mpt([named("a", joint), pairs("b", joint)])
    with pytest.raises(InputError, match="shared: true leaves the tasks nothing of their own; prompt-tuning has it"):
        mpt([named("a"), pairs("b")], shared=True)
