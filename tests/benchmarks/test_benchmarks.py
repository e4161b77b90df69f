"""The benchmark's two sides do the same work, and its page says what was measured."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench
import render
import sides
import small_model
import tables
import worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model.write_model(tmp_path_factory.mktemp("model"), width=32, layers=1)


@pytest.mark.parametrize("method", ["prompt-tuning", "lora"])
def test_both_sides_have_the_same_losses(method: str, model: Path, tmp_path: Path) -> None:
    task = small_model.task_block(small_model.write_rows(tmp_path / "rows.jsonl", 100))
    spec = {"method": method, "model": str(model), "task": task, "precision": "fp32", "steps": 3}
    start = sides.write_start(spec, tmp_path)
    ours, peer = sides.ours(spec, tmp_path), sides.peer(spec, tmp_path)
    assert len(ours["losses"]) == 3
    assert ours["losses"][0] != ours["losses"][2]
    assert ours["losses"] == pytest.approx(peer["losses"], rel=1e-5)
    assert start["trained_parameters"] == {"prompt-tuning": 20 * 32, "lora": 2 * 8 * 32 + 8 * (32 + 16)}[method]
    assert set(ours["parts"]) == {"forward", "backward", "optimizer"}
    assert 0 < sum(ours["parts"].values()) < ours["total"]


def test_a_run_over_rows_is_timed(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tunewright.runs.run as runs

    monkeypatch.setattr(runs, "reset_peak_memory", runs.reset_peak_memory)  # put back what the worker replaces
    task = small_model.task_block(small_model.write_rows(tmp_path / "rows.jsonl", 300))
    found = worker.rows({"model": str(model), "task": task, "spawned": 0.0}, tmp_path)
    assert 0 < found["first_step"] < found["total"]
    assert found["peak_bytes"] > 50e6


def test_losses_that_differ_end_the_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {"start": [], "ours": [2.0, 1.0], "peer": [2.0, 1.002]}
    found = {role: {"losses": values, "examples_per_second": 1.0} for role, values in losses.items()}
    monkeypatch.setattr(bench.Bench, "measure", lambda self, role, **spec: found[role])
    asked = bench.Bench(None, 2, 1, False, tmp_path)
    with pytest.raises(SystemExit, match=r"the losses differ by 2\.0e-03"):
        bench.compare(asked, "lora", "fp32")
    found["peer"]["losses"] = [2.0, 1.0005]
    assert bench.compare(asked, "lora", "fp32")["pairs"][0]["loss_difference"] == pytest.approx(0.0005, rel=0.01)


def _side(speed: float, peak: float) -> dict[str, Any]:
    parts = {"forward": 4.0, "backward": 5.0, "optimizer": 0.7}
    return {"examples_per_second": speed, "peak_bytes": peak, "added_bytes": peak / 2, "total": 10.0, "parts": parts}


def test_the_page_has_medians_and_goals() -> None:
    pairs = [{"ours": _side(speed, 1e9), "peer": _side(2.0, 2e9), "loss_difference": 1e-6} for speed in (2.2, 3.0, 1.8)]
    compared = {"fp32": {"start": {"trained_parameters": 11520, "shortest": 118, "longest": 120}, "pairs": pairs}}
    rows = {
        "rows": 1_000_000,
        "few_rows": 1_000,
        "few": [{"first_step": 5.0, "total": 6.0, "peak_bytes": 5e8}],
        "many": [{"first_step": 61.0, "total": 63.0, "peak_bytes": 9e8}],
    }
    found = {
        "compared": {"prompt-tuning": compared},
        "overhead": {"prompt-tuning": [pair["ours"] for pair in pairs]},
        "rows": rows,
        "precisions": ("fp32",),
    }
    page = tables.page(found, command="python benchmarks/bench.py", steps=6)
    name = "Prompt tuning, 20 slots in front"
    assert "| fp32 | examples/s | 1.80 / 2.20 / 3.00 | 2.00 / 2.00 / 2.00 | 0.90 / 1.10 / 1.50 |" in page
    assert "| bf16 | not measured: this machine emulates bf16 | | | |" in page
    assert f"- {name}, fp32: speed at least 1× of PEFT + Trainer's: **met** (median 1.100×)" in page
    assert f"- {name}, fp32: peak memory at most 1× of PEFT + Trainer's: **met** (median 0.500×)" in page
    assert f"- {name}, bf16: speed at least 1.5× of PEFT + Trainer's: not measurable here" in page
    assert "- LoRA, rank 8 on q and v, fp32: speed at least 1× of PEFT + Trainer's: not asked for in this run" in page
    assert f"- {name}: our loop outside the model under 5% of the time: **met** (median 3.0%)" in page
    assert "- 1,000,000 rows: first step done within 60 s: **not met** (median 61.0 s)" in page
    assert "- 1,000,000 rows: under 2 GB above a run of few rows: **met** (median 0.40 GB)" in page
    assert "| the difference | | | 400 |" in page


def test_every_template_of_the_rendering_benchmark_renders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = render.made_rows(8)
    for template in render.made_templates():
        prompts = [template.render(rows[i], seed=i) for i in range(8)]
        assert all(p is not None and rows[i]["text"] in p.text() for i, p in enumerate(prompts)), template.name
        assert {p.gold for p in prompts if p} == {int(label.index_) for label in rows.columns["label"]}
    monkeypatch.setattr(sys, "argv", ["render.py", "--rows", "8", "--passes", "1"])
    render.main()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == list(render.SOURCES)
