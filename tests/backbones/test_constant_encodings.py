"""An encoder's states of rows without slots, made once: the same loss, gradient and choice scores."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared
from torch import nn

from tunewright.backbones.constant_encodings import ConstantEncodings, can_keep_encodings, has_dropout
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.methods.soft.prefix_tuning import DIRECT
from tunewright.runs.constant import constant_encoder, constant_encodings
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune
from tunewright.training.loop import Plan

DECODER = '{{ text }} topic: {{ soft(3, side="decoder") }}{{ answer }}'
METHODS: dict[str, dict[str, Any]] = {
    "prefix": {"method": {"name": "prefix-tuning", "length": 3}},
    "slots": {"method": "prompt-tuning", "template": DECODER},
}


def prepared_for(arch: str, how: str = "prefix", **training: Any) -> tuple[Prepared, Seq2SeqBackbone]:
    keys = METHODS[how]
    prepared = tiny_prepared(keys["method"], arch, template=keys.get("template"), training=training or None)
    assert isinstance(prepared.backbone, Seq2SeqBackbone)
    return prepared, prepared.backbone


def without_dropout(model: nn.Module) -> None:
    for part in model.modules():
        for name, value in vars(part).items():
            if ("drop" in name or (name == "p" and isinstance(part, nn.Dropout))) and isinstance(value, float):
                setattr(part, name, 0.0)


def counted(backbone: Seq2SeqBackbone) -> list[int]:
    """How many rows the encoder reads at each call, from now on."""
    read: list[int] = []
    backbone.reader.register_forward_pre_hook(
        lambda module, args, given: read.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    return read


def loss_and_gradients(prepared: Prepared, purpose: Any) -> list[torch.Tensor]:
    examples = prepared.encoder(prepared.task.split("train")).examples(range(7), 0, purpose)
    out = prepared.tuner(prepared.backbone.collate([e for e in examples if e is not None]))
    prepared.tuner.zero_grad()
    out.sum().backward()
    gradients = [p.grad for p in prepared.tuner.tunable.trained().values()]
    return [out.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize("arch", ["t5", "bart"])
@pytest.mark.parametrize("how", ["prefix", "slots"])
@pytest.mark.parametrize("purpose", ["answer", "choices"])
def test_the_same_as_a_whole_batch(arch: str, how: str, purpose: str) -> None:
    prepared, backbone = prepared_for(arch, how)
    prepared.tuner.eval()
    expected = loss_and_gradients(prepared, purpose)
    assert len(expected) == 2
    read = counted(backbone)
    backbone.encodings = ConstantEncodings(backbone)
    for calls in ([1] * 7, [1] * 7):  # made, then found
        found = loss_and_gradients(prepared, purpose)
        assert read == calls
        for one, other in zip(found, expected):
            assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("method", [{"name": "head", "backbone": "frozen", "dropout": 0.0}, "soft-verbalizer"])
def test_heads_on_a_frozen_encoder(method: Any) -> None:
    prepared = tiny_prepared(method, "t5")
    assert isinstance(prepared.backbone, Seq2SeqBackbone)
    prepared.tuner.eval()
    expected = loss_and_gradients(prepared, prepared.tuner.tunable.reads)
    read = counted(prepared.backbone)
    prepared.backbone.encodings = ConstantEncodings(prepared.backbone)
    for _ in range(2):
        found = loss_and_gradients(prepared, prepared.tuner.tunable.reads)
        assert len(found) == len(expected) > 1
        assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected))
    assert read == [1] * 7


def test_slots_in_the_encoder_leave_nothing_to_keep() -> None:
    prepared = tiny_prepared({"name": "prompt-tuning", "length": 3}, "t5")
    assert isinstance(prepared.backbone, Seq2SeqBackbone)
    prepared.tuner.eval()
    expected = loss_and_gradients(prepared, "answer")
    prepared.backbone.encodings = ConstantEncodings(prepared.backbone)
    found = loss_and_gradients(prepared, "answer")
    assert all(torch.equal(one, other) for one, other in zip(found, expected))
    assert not prepared.backbone.encodings.store.kept


def test_while_training_only_without_dropout() -> None:
    prepared, backbone = prepared_for("t5")
    prepared.tuner.train()
    backbone.encodings = ConstantEncodings(backbone)
    read = counted(backbone)
    loss_and_gradients(prepared, "answer")
    assert read == [7]
    backbone.encodings = ConstantEncodings(backbone, in_training=True)
    loss_and_gradients(prepared, "answer")
    assert read == [7, *[1] * 7]


def test_where_it_is_used() -> None:
    prepared, backbone = prepared_for("t5")
    assert can_keep_encodings(backbone) and has_dropout(backbone.reader)
    found = constant_encoder(prepared)
    assert (
        found is not None and found.looks and found.bytes == found.constant * 32 * 4 and found.constant < found.tokens
    )
    without_dropout(backbone.model)
    found = constant_encoder(prepared)
    assert found is not None and not found.looks
    assert has_dropout(prepared_for("bart")[1].reader)  # its layers call dropout as a function
    for method in ("lora", "full", {"name": "prompt-tuning", "length": 3}):
        assert constant_encoder(tiny_prepared(method, "t5")) is None
    assert constant_encoder(tiny_prepared({"name": "prefix-tuning", "length": 3}, "llama")) is None
    assert constant_encoder(prepared_for("t5", plain=True)[0]) is None


@pytest.mark.parametrize(
    ("steps", "every", "dropout", "wanted"),  # wanted: training rows kept, used while training
    [
        (6, 3, True, (0, False)),  # two looks at validation
        (6, 6, True, None),
        (6, 6, False, (24, True)),  # 24 training rows, 8 a step: each comes twice
        (5, 5, False, None),
    ],
)
def test_which_rows_are_kept(steps: int, every: int, dropout: bool, wanted: Any, tmp_path: Path) -> None:
    prepared, backbone = prepared_for("t5", batch_size=8)
    if not dropout:
        without_dropout(backbone.model)
    plan = Plan(steps, 0.05, evaluate_every=every)
    store, size = constant_encodings(prepared, plan, DIRECT, 24, tmp_path)
    row = constant_encoder(prepared)
    assert row is not None
    if wanted is None:
        assert store is None and size == 0
    else:
        assert store is not None and (round(size / row.bytes) - len(prepared.validation()), store.in_training) == wanted


def test_a_run_reads_its_validation_rows_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    for keep in (True, False):
        if not keep:
            monkeypatch.setattr("tunewright.runs.tuning.constant_encodings", lambda *args: (None, 0))
        prepared, backbone = prepared_for("t5", steps=4, evaluate_every=1, batch_size=8, learning_rate=0.05)
        read = counted(backbone)
        (folder := tmp_path / str(keep)).mkdir()
        tune(prepared, folder, resume=False, name="tiny")
        rows = len(prepared.validation())
        assert sum(read) == 4 * 8 + (rows if keep else 4 * rows)
        assert backbone.encodings is None
        lines = [line for line in (folder / "metrics.jsonl").read_text().splitlines() if "validation" in line]
        looks.append([read_line(line) for line in lines])
    assert looks[0] == [pytest.approx(look, abs=1e-5) for look in looks[1]] and len(looks[0]) == 4


def read_line(line: str) -> list[float]:
    found: list[float] = json.loads(line)["validation"]
    return found
