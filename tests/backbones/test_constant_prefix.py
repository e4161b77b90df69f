"""Keys and values of what stands before the slots, made once: the same loss, gradient and choice scores."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared, tiny_train

from tunewright.backbones.constant_prefix import ConstantPrefixes, bytes_a_token, can_keep
from tunewright.backbones.prefix_store import PrefixStore
from tunewright.runs.prepare import Prepared

CAUSAL = ("llama", "gpt2", "opt")


def prepared_for(arch: str, template: str | None = None, **method: Any) -> Prepared:
    return tiny_prepared({"name": "prompt-tuning", "length": 3, **method}, arch, template=template)


def loss_and_gradient(prepared: Prepared, purpose: Any) -> tuple[torch.Tensor, torch.Tensor]:
    examples = prepared.encoder(prepared.task.split("train")).examples(range(7), 0, purpose)
    out = prepared.tuner(prepared.backbone.collate([e for e in examples if e is not None]))
    prepared.tuner.zero_grad()
    out.sum().backward()
    gradient = prepared.tuner.tunable.trained()["tunable.prompt"].grad
    assert gradient is not None
    return out.detach(), gradient.clone()


@pytest.mark.parametrize("arch", CAUSAL)
@pytest.mark.parametrize("purpose", ["answer", "choices"])
@pytest.mark.parametrize(
    "template", [None, "{{ text }}. {{ soft(2) }} topic:{{ soft(1) }} {{ answer }}"], ids=["after-fields", "two groups"]
)
def test_the_same_as_the_whole_row(arch: str, purpose: str, template: str | None) -> None:
    prepared = prepared_for(arch, template)
    prepared.tuner.eval()  # no dropout
    expected = loss_and_gradient(prepared, purpose)
    prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone)
    for _ in range(2):  # made, then found
        found = loss_and_gradient(prepared, purpose)
        assert torch.allclose(found[0], expected[0], atol=1e-5)
        assert torch.allclose(found[1], expected[1], atol=1e-5)
    assert len(prepared.tuner.prefixes.store.kept) == 7


def test_an_ensembles_members_share_their_prefixes() -> None:
    prepared = prepared_for("llama", ensemble=2)
    expected = loss_and_gradient(prepared, "answer")
    prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone)
    found = loss_and_gradient(prepared, "answer")
    assert torch.allclose(found[0], expected[0], atol=1e-5) and torch.allclose(found[1], expected[1], atol=1e-5)
    assert len(prepared.tuner.prefixes.store.kept) == 7


def test_slots_in_front_leave_nothing_to_keep() -> None:
    prepared = prepared_for("llama", placement="front")
    expected = loss_and_gradient(prepared, "answer")
    prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone)
    found = loss_and_gradient(prepared, "answer")
    assert torch.equal(found[0], expected[0]) and not prepared.tuner.prefixes.store.kept


def test_training_ends_with_the_same_table() -> None:
    tables = []
    for keep in (False, True):
        prepared = prepared_for("llama")
        prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone) if keep else None
        tiny_train(prepared, None, steps=6, learning_rate=0.05)
        tables.append(prepared.tuner.tunable.table())
    assert tables[0] is not None and tables[1] is not None
    assert torch.allclose(tables[0], tables[1], atol=1e-4)


def test_where_it_is_used() -> None:
    """A frozen causal model without dropout: 2 layers, keys and values, 2 heads of 8 numbers, fp32."""
    llama = prepared_for("llama").backbone
    assert can_keep(llama) and bytes_a_token(llama) == 2 * 2 * 2 * 8 * 4
    assert not can_keep(prepared_for("gpt2").backbone)  # its dropout is 0.1
    assert not can_keep(prepared_for("t5").backbone)
    assert not can_keep(tiny_prepared("full", "llama").backbone)


def test_beyond_the_memory_budget_prefixes_lie_in_files(tmp_path: Path) -> None:
    """Two prefixes fit into memory, two more into each file; loss and gradient are the same, nothing is left behind."""
    prepared = prepared_for("llama")
    prepared.tuner.eval()
    expected = loss_and_gradient(prepared, "answer")
    most = max(t.nbytes for t in filled(prepared).kept.values())
    store = PrefixStore(tmp_path, memory=2 * most, file_bytes=2 * most)
    prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone, store)
    for _ in range(2):
        found = loss_and_gradient(prepared, "answer")
        assert torch.allclose(found[0], expected[0], atol=1e-5)
        assert torch.allclose(found[1], expected[1], atol=1e-5)
    assert len(store.kept) == 7 and 0 < store.used <= 2 * most and store.files >= 2
    assert not list(tmp_path.iterdir())  # the files have no name any more: they end with the process


def filled(prepared: Prepared) -> PrefixStore:
    prepared.tuner.prefixes = ConstantPrefixes(prepared.backbone)
    loss_and_gradient(prepared, "answer")
    return prepared.tuner.prefixes.store
