"""A step's loss and weights do not depend on how its rows lie: padded, packed, in several passes, checkpointed."""

from typing import Any

import pytest
import torch
from tiny import tiny_prepared
from torch import Tensor

from tunewright.runs import looks
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import make_batches, make_plan, training_rows
from tunewright.training.loop import train

WAYS: list[dict[str, Any]] = [
    {"accumulation": 3},
    {"packing": True},
    {"packing": True, "accumulation": 3},
    {"packing": True, "accumulation": 2, "gradient_checkpointing": True},
]


def trained(objective: str, weighted: bool, **training: Any) -> tuple[list[float], dict[str, Tensor]]:
    """Losses of four steps over rows of unequal length, and the weights after them."""
    block = {"steps": 4, "batch_size": 8, "learning_rate": 1e-3, "optimizer": "sgd", "objective": objective,
             "max_tokens": 70, "clip": None, **training}  # fmt: skip
    prepared: Prepared = tiny_prepared("full", "llama", training=block)
    rows = prepared.task.split("train")
    rows.columns["text"][:] = [text + " and the rain" * (i % 4) for i, text in enumerate(rows.columns["text"])]
    if weighted:
        prepared.weights = dict.fromkeys(rows.ids[::2], 0.25)
    objective_ = looks.objective_of(prepared)
    defaults = prepared.method.defaults_for("causal")
    assert defaults is not None
    encoder = training_rows(prepared)
    batches = make_batches(prepared, encoder, objective_, defaults)
    plan = make_plan(prepared, defaults, len(rows), objective_, encoder)
    done = train(prepared.tuner, batches, plan)
    return done.losses, {name: p.detach().float() for name, p in prepared.tuner.tunable.trained().items()}


@pytest.mark.parametrize("objective", ["answer", "choice"])
@pytest.mark.parametrize("weighted", [False, True])
def test_however_the_rows_lie(objective: str, weighted: bool) -> None:
    losses, weights = trained(objective, weighted)
    for way in WAYS:
        other, moved = trained(objective, weighted, **way)
        assert other == pytest.approx(losses, abs=1e-5), way
        assert all(torch.allclose(moved[name], value, atol=1e-5) for name, value in weights.items()), way
    if weighted:
        assert trained(objective, False)[0] != pytest.approx(losses, abs=1e-4)


def test_in_half_precision_nearly() -> None:
    losses, _ = trained("answer", True, precision="bf16")
    way = {"packing": True, "accumulation": 2, "gradient_checkpointing": True}
    other, weights = trained("answer", True, precision="bf16", **way)
    assert other == pytest.approx(losses, rel=2e-3)
    assert {p.dtype for p in weights.values()} == {torch.float32}
