"""The same test for every method on every family: the loss falls, nothing else moves, what is saved comes back."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_prepared
from torch import Tensor

from tunewright.errors import InputError
from tunewright.evaluation.scoring import purpose_of
from tunewright.methods.registry import METHODS
from tunewright.objectives.losses import head_loss
from tunewright.runs.first_look import training_purpose
from tunewright.runs.looks import objective_of
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune
from tunewright.task_block import Kind

RATES = {"full": 3e-3, "lora": 1e-2, "prompt-tuning": 0.1, "p-tuning": 3e-2, "prefix-tuning": 3e-2, "head": 3e-3,
         "multitask-prompt-tuning": 0.1, "soft-verbalizer": 0.04}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {"p-tuning": {"length": 20}}
ARCHITECTURES = ("llama", "opt", "t5-untied", "bart", "bert", "roberta")
STEPS = 20
MORE = {"soft-verbalizer": 60}  # three vectors on frozen states: a random model leaves them little to learn
FALLS = {"soft-verbalizer": 0.995}


def prepared_for(method: str, arch: str, kind: Kind = "classify", seed: int = 0) -> Prepared:
    steps = MORE.get(method, STEPS)
    training = {"learning_rate": RATES[method], "steps": steps, "evaluate_every": steps}
    block = {"name": method, **SETTINGS.get(method, {})}
    return tiny_prepared(block, arch, kind, seed=seed, training=training)


@torch.no_grad()
def outputs(prepared: Prepared) -> Tensor:
    """What the model says of the test rows."""
    encoder = prepared.encoder(prepared.task.split("test"))
    purpose = purpose_of(prepared.task, prepared.tuner)
    purpose = "choices" if purpose == "generate" else purpose
    examples = [e for e in encoder.examples(range(6), 0, purpose) if e is not None]
    return prepared.tuner.eval()(prepared.backbone.collate(examples))


@torch.no_grad()
def loss_of(prepared: Prepared) -> float:
    """The mean loss of the training rows, without dropout."""
    objective = objective_of(prepared)
    encoder = prepared.encoder(prepared.task.split("train"))
    purpose = training_purpose(prepared)
    batch = prepared.backbone.collate([e for e in encoder.examples(range(24), 0, purpose) if e is not None])
    out = prepared.tuner.eval()(batch)
    if objective == "answer":
        return -float(out.mean())
    return float(head_loss(out, batch.gold, batch.numbers if objective == "number" else None)) / 24


def weights(prepared: Prepared) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in prepared.tuner.state_dict().items()}


def test_every_method_is_tried_here() -> None:
    elsewhere = {"none", "in-context", "peft-folder"}  # tests/runs, tests/interop
    parts = {"bitfit", "layer-norm", "last-layers", "embeddings"}  # test_parts.py
    adapters = {"dora", "adalora", "ia3", "vera", "oft", "hra", "peft"}  # test_adapters.py
    assert {*RATES, *elsewhere, *parts, *adapters} == set(METHODS)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("method", RATES)
def test_it_learns_and_comes_back(tmp_path: Path, method: str, arch: str) -> None:
    prepared = prepared_for(method, arch)
    untuned, before, loss = outputs(prepared), weights(prepared), loss_of(prepared)
    trained, _ = tune(prepared, tmp_path, resume=False, name="tiny")
    assert trained.steps == len(trained.losses) == MORE.get(method, STEPS)
    assert loss_of(prepared) < FALLS.get(method, 0.98) * loss
    tuned = outputs(prepared)
    assert not torch.allclose(untuned, tuned, atol=1e-3)

    names = set(prepared.tuner.tunable.trained())
    tied = {p.data_ptr() for p in prepared.tuner.tunable.trained().values()}
    for name, value in prepared.tuner.state_dict().items():
        if name not in names and value.data_ptr() not in tied:
            assert torch.equal(value, before[name]), name
    if method in ("lora", "prompt-tuning"):
        assert names and all("lora_" in name or name == "tunable.prompt" for name in names)

    kept = tmp_path / "kept"
    kept.mkdir()
    prepared.tuner.tunable.save(kept)
    # `full` and `head` keep all weights: even another model's are replaced.
    again = prepared_for(method, arch, seed=1 if method in ("full", "head") else 0)
    assert not torch.allclose(outputs(again), tuned, atol=1e-4)
    again.tuner.tunable.load(kept)
    assert torch.equal(outputs(again), tuned)


@pytest.mark.parametrize("method", ["full", "lora", "prefix-tuning", "prompt-tuning"])
@pytest.mark.parametrize("kind", ["choose", "generate", "tag", "regress"])
def test_it_learns_answers_of_every_kind(tmp_path: Path, method: str, kind: Kind) -> None:
    for arch in ("llama", "t5-untied"):
        prepared = prepared_for(method, arch, kind)
        loss = loss_of(prepared)
        tune(prepared, tmp_path / arch, resume=False, name="tiny")
        assert loss_of(prepared) < 0.98 * loss


def test_a_head_for_numbers(tmp_path: Path) -> None:
    training = {"learning_rate": 3e-3, "steps": 60, "evaluate_every": 60}  # standardised: there is no mean to learn
    prepared = tiny_prepared("head", "bert", "regress", training=training)
    assert outputs(prepared).shape == (6, 1)
    loss = loss_of(prepared)
    tune(prepared, tmp_path, resume=False, name="tiny")
    assert loss_of(prepared) < 0.8 * loss


def test_a_frozen_backbone_under_a_head(tmp_path: Path) -> None:
    training = {"learning_rate": 0.05, "steps": STEPS, "evaluate_every": STEPS}
    prepared = tiny_prepared({"name": "head", "backbone": "frozen"}, "bert", training=training)
    before = weights(prepared)
    assert set(prepared.tuner.tunable.trained()) == {"tunable.pooled.linear.weight", "tunable.pooled.linear.bias"}
    tune(prepared, tmp_path, resume=False, name="tiny")
    moved = {name for name, value in prepared.tuner.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"tunable.pooled.linear.weight", "tunable.pooled.linear.bias"}


@pytest.mark.parametrize(("pooling", "expected"), [("first", [1.0, 4.0]), ("last", [2.0, 6.0]), ("mean", [1.5, 5.0])])
def test_pooling_leaves_padding_out(pooling: str, expected: list[float]) -> None:
    from tunewright.methods.head import PooledHead

    head = PooledHead(1, 1, 0.0, pooling, 0)
    torch.nn.init.ones_(head.linear.weight)
    states = torch.tensor([[1.0, 2.0, 99.0], [4.0, 5.0, 6.0]]).unsqueeze(-1)  # [2, 3, 1]
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert head(states, mask, torch.tensor([1, 2])).flatten().tolist() == expected


def test_a_head_wants_labels_or_numbers() -> None:
    with pytest.raises(InputError, match="method head: tasks of kind classify, regress or tag wanted, found generate"):
        prepared_for("head", "bert", "generate")
    with pytest.raises(
        InputError, match="method head: subtoken is for tasks of kind tag, this one is of kind classify"
    ):
        tiny_prepared({"name": "head", "subtoken": "last"}, "bert", "classify")
    with pytest.raises(InputError, match="method head: pooling is for one label or number a row"):
        tiny_prepared({"name": "head", "pooling": "mean"}, "bert", "tag")


def test_a_file_of_another_method_or_size_is_refused(tmp_path: Path) -> None:
    head = tiny_prepared({"name": "head", "backbone": "frozen"}, "llama").tuner.tunable
    with pytest.raises(InputError, match=r"weights.safetensors: no such file"):
        head.load(tmp_path)
    save_file({"other": torch.ones(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"no tensor 'tunable.pooled.linear.weight'"):
        head.load(tmp_path)
    save_file({name: torch.ones(1) for name in head.trained()}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"tunable.pooled.linear.weight has shape \[1\], the model \[3, 32\]"):
        head.load(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(InputError, match="not a safetensors file"):
        head.load(tmp_path)
