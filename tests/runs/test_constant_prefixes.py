"""When a run keeps what stands before its slots: rows that come again, a frozen causal model, no stream."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared

from tunewright.backbones.constant_prefix import ConstantPrefixes
from tunewright.runs.constant import constant_part
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import tune


def tuned(tmp_path: Path, method: Any, steps: int, arch: str = "llama") -> tuple[Prepared, list[bool]]:
    """A run of 24 rows, 8 a step, and whether prefixes were kept at each look."""
    prepared = tiny_prepared(method, arch, training={"steps": steps, "evaluate_every": 1, "learning_rate": 0.05})
    seen: list[bool] = []
    real = prepared.backbone.logits

    def watched(states: torch.Tensor) -> torch.Tensor:
        seen.append(isinstance(prepared.tuner.prefixes, ConstantPrefixes))
        return real(states)

    prepared.backbone.logits = watched  # type: ignore[method-assign]
    tune(prepared, tmp_path, resume=False, name="tiny")
    return prepared, seen


def test_rows_that_come_twice(tmp_path: Path) -> None:
    prepared, seen = tuned(tmp_path, {"name": "prompt-tuning", "length": 3}, steps=6)
    assert all(seen) and prepared.tuner.prefixes is None  # let go after training


def test_rows_that_come_once(tmp_path: Path) -> None:
    assert not any(tuned(tmp_path, {"name": "prompt-tuning", "length": 3}, steps=5)[1])


def test_nothing_to_keep(tmp_path: Path) -> None:
    assert not any(tuned(tmp_path / "lora", "lora", steps=6)[1])
    assert not any(tuned(tmp_path / "bert", {"name": "prompt-tuning", "length": 3}, steps=6, arch="bert")[1])
    assert not any(tuned(tmp_path / "full", {"name": "p-tuning", "tune_model": True}, steps=6)[1])


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.runs.constant.room", lambda folder: 1000)
    assert not any(tuned(tmp_path, {"name": "prompt-tuning", "length": 3}, steps=6)[1])


def test_what_is_constant() -> None:
    """Slots behind the text: all before them; in front, or with weights that change: nothing."""
    found = constant_part(tiny_prepared({"name": "prompt-tuning", "length": 3, "placement": "after-fields"}, "llama"))
    assert found is not None and 0 < found.constant < found.tokens - 3 and found.bytes == found.constant * 256
    assert constant_part(tiny_prepared({"name": "prompt-tuning", "length": 3, "placement": "front"}, "llama")) is None
    assert constant_part(tiny_prepared({"name": "p-tuning", "tune_model": True}, "llama")) is None
    assert constant_part(tiny_prepared("lora", "llama")) is None
