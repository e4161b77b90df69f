"""The benchmark of mixed batches runs, compares equal work, and says what it found."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import mixed_tasks
import small_model

from tunewright.backbones.load import load_backbone
from tunewright.settings import validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task


def test_it_measures_both_sides(tmp_path: Path) -> None:
    block = small_model.task_block(small_model.write_rows(tmp_path / "rows.jsonl", 60))
    backbone = load_backbone(str(small_model.write_model(tmp_path / "model", width=32, layers=1)))
    task = open_task(validate(TaskBlock, block, "rows"))
    sides = mixed_tasks.make_sides(backbone, task, 4, 140, "fp32")
    mixed, single = sides.batches("answer")
    assert mixed.ids.tolist() == single.ids.tolist()
    assert [sorted({int(row) // 20 for row in rows if row >= 0}) for rows in mixed.soft] == [[0], [1], [2], [3]]
    assert single.soft.max() == 19
    assert mixed_tasks.largest_difference(sides) < 1e-5
    found = mixed_tasks.measure(backbone, task, rows=4, pairs=2, max_tokens=140)
    assert found["training"]["ratio"] > 0 and found["scoring"]["rows"] == 4
    found["training"] |= {"ratio": 0.87, "ratios": (0.5, 1.5), "seconds": (2.0, 1.75)}
    page = mixed_tasks.page(found, "M", "T")
    assert "| 2.00 | 1.75 | 0.870 (0.500–1.500) | at least 0.9: **not met** |" in page
