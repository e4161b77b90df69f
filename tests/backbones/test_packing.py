"""Rows in one sequence: who sees whom, and that loss and gradients are those of rows on their own."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_prepared
from torch import Tensor

from tunewright.backbones.batch import Batch
from tunewright.backbones.packing import bins, block_mask, packed
from tunewright.errors import InputError
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores
from tunewright.runs.prepare import Prepared

ARCHITECTURES = ("llama", "gpt2", "opt")


def test_block_mask() -> None:
    mask = block_mask(torch.tensor([[0, 0, 7, 7, -1], [3, -1, -1, -1, -1]]))
    assert mask.dtype == torch.bool and mask.shape == (2, 1, 5, 5)
    assert mask[:, 0].int().tolist() == [
        [[1, 0, 0, 0, 0],
         [1, 1, 0, 0, 0],
         [0, 0, 1, 0, 0],
         [0, 0, 1, 1, 0],
         [0, 0, 0, 0, 1]],
        [[1, 0, 0, 0, 0],
         [0, 1, 0, 0, 0],
         [0, 0, 1, 0, 0],
         [0, 0, 0, 1, 0],
         [0, 0, 0, 0, 1]],
    ]  # fmt: skip


def test_bins() -> None:
    assert bins([3, 9, 4, 6, 12, 1], 10) == [[4], [1, 5], [3, 2], [0]]  # 12 is too long and stands alone


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 30))
def test_every_row_is_in_one_bin(lengths: list[int], capacity: int) -> None:
    found = bins(lengths, capacity)
    assert sorted(i for members in found for i in members) == list(range(len(lengths)))
    assert all(len(members) == 1 or sum(lengths[i] for i in members) <= capacity for members in found)


def batch_of(prepared: Prepared, purpose: Any, count: int = 6) -> Batch:
    """Rows of unequal length."""
    rows = prepared.task.split("train").take(range(count))
    for i in range(count):
        rows.columns["text"][i] += " and the rain" * (i % 4)
    found = prepared.encoder(rows).examples(range(count), 0, purpose)
    return prepared.backbone.collate([example for example in found if example is not None])


def step(prepared: Prepared, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch, and every gradient."""
    prepared.tuner.zero_grad()
    out = prepared.tuner(batch)
    loss = answer_loss(out) if objective == "answer" else choice_loss(choice_scores(out, batch), batch)
    loss.backward()
    trained = prepared.tuner.tunable.trained()
    return out.detach(), {name: p.grad.clone() for name, p in trained.items() if p.grad is not None}


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("objective", ["answer", "choice"])
@pytest.mark.parametrize("method", ["full", "lora", "prompt-tuning", {"name": "prefix-tuning", "length": 3}])
def test_packed_is_unpacked(arch: str, objective: str, method: Any) -> None:
    prepared = tiny_prepared(method, arch, training={"packing": True, "objective": objective})
    if method == "lora":  # its start is zero: nothing would be tried
        for name, parameter in prepared.tuner.tunable.trained().items():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
    batch = batch_of(prepared, "answer" if objective == "answer" else "choices")
    together = packed(batch, 70)
    assert batch.ids.shape[0] == 6 and together.ids.shape[0] < 6 and together.ids.shape[1] <= 70
    assert int(together.mask.sum()) == int(batch.mask.sum())
    out, gradients = step(prepared, batch, objective)
    packed_out, packed_gradients = step(prepared, together, objective)
    assert torch.allclose(out, packed_out, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == packed_gradients.keys() and gradients
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, packed_gradients[name], atol=1e-5, rtol=1e-4), name


def test_a_packed_row_does_not_depend_on_its_neighbours() -> None:
    prepared = tiny_prepared("full", "llama")
    batch = packed(batch_of(prepared, "answer"), 1000)
    assert batch.ids.shape[0] == 1
    first = batch.positions == 0  # type: ignore[operator]
    assert int(first.sum()) == 6
    end = int(first[0].nonzero()[1])  # the second row starts here
    other = packed(batch_of(prepared, "answer"), 1000)
    other.ids[0, :end] = 5
    behind = batch.ask_position >= end
    with torch.no_grad():
        assert torch.equal(prepared.tuner(batch)[behind], prepared.tuner(other)[behind])
        assert not torch.equal(prepared.tuner(batch)[~behind], prepared.tuner(other)[~behind])


def test_who_cannot_pack() -> None:
    with pytest.raises(InputError, match=r"training.packing: for causal models; tiny-bert is masked"):
        tiny_prepared("full", "bert", training={"packing": True})
    with pytest.raises(InputError, match=r"training.packing: a head pools the states of a whole sequence"):
        tiny_prepared("head", "llama", training={"packing": True})
