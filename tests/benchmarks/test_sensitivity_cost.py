"""The benchmark of scoring all choices runs, and both sides read the same rows in the same batches."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import sensitivity_cost
import small_model

from tunewright.backbones.load import load_backbone


def test_it_measures_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backbone = load_backbone(str(small_model.write_model(tmp_path / "model", width=32, layers=1)))
    prepared = sensitivity_cost.make_ready(backbone, sensitivity_cost.made_task(12, 20, 6))
    assert len({template.source for template in prepared.templates}) == 20
    batches = sensitivity_cost.batches_of(prepared, 3, 200)
    assert sorted(row for batch in batches for row in batch) == list(range(12)) and len(batches) > 1
    found = sensitivity_cost.turns(prepared, 2, 200)
    assert len(found) == 2 and all(a > 0 and b > 0 for a, b in found)
    assert capsys.readouterr().out.count("ratio") == 2
