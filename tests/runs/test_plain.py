"""`--plain`: every fast path switched off, and the same run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_prepared

from tunewright.backbones import causal, seq2seq
from tunewright.evaluation.scoring import predict
from tunewright.runs.scores import asking_of
from tunewright.runs.tuning import tune


def both(tmp_path: Path, arch: str, kind: Any) -> list[Any]:
    """The trained table and the answers of a run of 24 rows, fast and plain."""
    found = []
    for plain in (False, True):
        keys = {"steps": 6, "learning_rate": 0.05, "evaluate_every": 3, "plain": plain}
        prepared = tiny_prepared({"name": "prompt-tuning", "length": 3}, arch, kind, training=keys)
        (folder := tmp_path / str(plain)).mkdir()
        tune(prepared, folder, resume=False, name="tiny")
        rows = prepared.encoder(prepared.task.split("test"))
        found.append(
            (prepared.tuner.tunable.table(), predict(prepared.tuner, rows, prepared.task, asking_of(prepared.recipe)))
        )
    return found


@pytest.mark.parametrize("kind", ["classify", "generate"])
@pytest.mark.parametrize("arch", ["llama", "t5"])
def test_the_same_table_and_answers(arch: str, kind: Any, tmp_path: Path) -> None:
    (fast, answers), (plain, plainly) = both(tmp_path, arch, kind)
    assert torch.allclose(fast, plain, atol=1e-4)
    assert [one.prediction for one in answers] == [one.prediction for one in plainly]
    for one, other in zip(answers, plainly):
        assert one.scores == pytest.approx(other.scores, abs=1e-3) if one.scores else other.scores is None


def test_no_fast_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **keys: Any) -> None:
        raise AssertionError("a fast path in a plain run")

    for place, names in ((causal, ("states_behind", "write_greedily", "_tree")), (seq2seq, ("shared_states",))):
        for name in names:
            monkeypatch.setattr(place, name, never)
    monkeypatch.setattr("tunewright.backbones.constant_prefix.ConstantPrefixes.states", never)
    for arch in ("llama", "t5"):
        for kind in ("classify", "generate"):
            keys = {"steps": 6, "learning_rate": 0.05, "plain": True}
            prepared = tiny_prepared({"name": "prompt-tuning", "length": 3}, arch, kind, training=keys)
            (folder := tmp_path / arch / kind).mkdir(parents=True)
            tune(prepared, folder, resume=False, name="tiny")
            rows = prepared.encoder(prepared.task.split("test"))
            predict(prepared.tuner, rows, prepared.task, asking_of(prepared.recipe))
