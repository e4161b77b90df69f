"""Every measurement of the benchmark runs, its two sides do the same work, and its page says what was measured."""

import json
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import bench
import compared
import measuring
import render
import small_model
import tables

PEERS = {"packed": "trl", "scoring": "lm_eval"}


class Here(measuring.Bench):
    """Measures in this process: starting one takes longer than the work of a small model."""

    def _apart(self, work: Path, spec: dict[str, Any]) -> dict[str, Any]:
        module, _, function = spec["role"].partition(":")
        return json.loads(json.dumps(getattr(import_module(module), function)(spec, work)))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Here:
    folder = tmp_path_factory.mktemp("bench")
    small_model.write_model(folder / "model", width=32, layers=1)
    return Here("tiny", 3, 1, folder)


@pytest.mark.parametrize("name", [name for name in bench.MODULES if name != "rows"])
def test_each_measurement_runs_and_is_told(
    name: str, asked: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if (peer := PEERS.get(name)) and find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed (benchmarks/requirements.txt)")
    monkeypatch.setattr(measuring, "pick_precision", lambda wanted: "fp32")
    found = bench.run(asked, [name], "python benchmarks/bench.py", None)
    assert "failed" not in found[name], (found[name], capsys.readouterr().err[-2000:])
    page = tables.page(found, bench.MODULES, "python benchmarks/bench.py")
    module = bench.MODULES[name]
    told = module.goals(found[name], name) if hasattr(module, "NAMES") else module.goals(found[name])
    measured = [goal for goal in told if goal.values]
    assert measured and all(f"| {goal.text} | {goal.row[1]} | {goal.row[2]} |" in page for goal in measured)
    assert page.count("\n## ") == 2  # the goals, and this one


def test_losses_are_those_of_the_peer(asked: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "pick_precision", lambda wanted: "fp32")
    for name, trained in {"prompt-tuning": 640, "p-tuning": 640 + 3 * (32 * 32 + 32), "lora": 896}.items():
        found = compared.measure(asked, name)
        (pair,) = found["pairs"]["fp32"]
        assert found["start"]["trained_parameters"] == trained
        assert pair["ours"]["losses"] == pytest.approx(pair["peer"]["losses"], rel=1e-5)
        assert pair["ours"]["losses"][0] != pair["ours"]["losses"][2]
        assert 0 < sum(pair["ours"]["parts"].values()) < pair["ours"]["total"]


def test_a_run_over_rows_is_timed(asked: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rows

    import tunewright.runs.run as runs

    monkeypatch.setattr(runs, "reset_peak_memory", runs.reset_peak_memory)  # put back what it replaces
    task = small_model.task_block(small_model.write_rows(tmp_path / "rows.jsonl", 300))
    found = rows.ours({"model": str(asked.small_model()), "task": task, "spawned": 0.0}, tmp_path)
    assert 0 < found["first_step"] < found["total"]
    assert found["peak_bytes"] > 50e6


def test_a_process_of_its_own_measures(asked: Here, tmp_path: Path) -> None:
    apart = measuring.Bench("tiny", 2, 1, tmp_path)
    spec = {"model": str(asked.small_model()), "precision": "fp32", "repeats": 1, "tokens": [8, 16], "slots": [1, 2]}
    found = apart.measure("linear:ours", "linear", **spec)
    assert [case[:2] for case in found["seconds"]["tokens"]] == [[8, 1], [16, 1]]
    with pytest.raises(measuring.Failed, match="no_such:ours ended with 1: ModuleNotFoundError"):
        apart.measure("no_such:ours", "linear")


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(measuring.Bench, "_apart", lambda self, work, spec: done.append(spec["n"]) or {"n": spec["n"]})
    first = measuring.Bench("tiny", 3, 1, tmp_path)
    assert [first.measure("a:b", "place", n=n)["n"] for n in (1, 2, 1)] == [1, 2, 1]
    first.measure("a:b", "place", 1, n=1)  # another turn
    assert done == [1, 2, 1]
    again = measuring.Bench("tiny", 3, 1, tmp_path)
    assert again.measure("a:b", "place", n=2) == {"n": 2} and done == [1, 2, 1]


def test_another_machine_cannot_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "measured"
    bench.claim(folder, resume=True)
    (folder / "measured.jsonl").write_text("", encoding="utf-8")
    bench.claim(folder, resume=True)
    assert (folder / "measured.jsonl").is_file()
    monkeypatch.setattr(bench, "hardware", lambda: {"name": "another"})
    with pytest.raises(SystemExit, match="another machine or other versions: leave out --resume"):
        bench.claim(folder, resume=True)
    bench.claim(folder, resume=False)
    assert os.listdir(folder) == ["machine.json"]


def test_losses_that_differ_fail_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {"sides:start": [], "sides:ours": [2.0, 1.0], "sides:peer": [2.0, 1.002]}
    monkeypatch.setattr(measuring, "pick_precision", lambda wanted: "fp32")

    def apart(self: Any, work: Path, spec: dict[str, Any]) -> dict[str, Any]:
        if spec["role"].endswith("start"):
            return {"trained_parameters": 1, "shortest": 2, "longest": 3}
        return {**_side(1.0, 1e9), "losses": losses[spec["role"]]}

    monkeypatch.setattr(measuring.Bench, "_apart", apart)
    found = bench.run(measuring.Bench("full", 2, 1, tmp_path / "a"), ["lora", "full"], "", tmp_path / "page.md")
    assert found["lora"]["failed"].startswith("failed: lora fp32: the losses differ by 2.0e-03 (at most 0.001)")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "| LoRA, rank 8 on q and v, fp32: ≥ 2× the speed of PEFT + Trainer | – | failed: lora fp32" in page
    losses["sides:peer"] = [2.0, 1.0005]
    found = compared.measure(measuring.Bench("full", 2, 1, tmp_path / "b"), "lora")
    assert found["pairs"]["fp32"][0]["difference"] == pytest.approx(0.0005, rel=0.01)


def _side(speed: float, peak: float) -> dict[str, Any]:
    parts = {"forward": 4.0, "backward": 5.0, "optimizer": 0.7}
    return {"examples_per_second": speed, "peak_bytes": peak, "added_bytes": peak / 2, "total": 10.0, "parts": parts}


def test_the_page_has_medians_and_goals() -> None:
    pairs = [{"ours": _side(speed, 1e9), "peer": _side(2.0, 2e9), "difference": 1e-6} for speed in (2.2, 3.0, 1.8)]
    compared = {
        "start": {"trained_parameters": 11520, "shortest": 118, "longest": 120}, "steps": 6, "pairs": {"fp32": pairs}
    }  # fmt: skip
    rows = {
        "rows": 1_000_000,
        "few": [{"first_step": 5.0, "total": 6.0, "peak_bytes": 5e8}],
        "many": [{"first_step": 61.0, "total": 63.0, "peak_bytes": 9e8}],
    }
    runs = [pair["ours"] for pair in pairs]
    overhead = {"precision": "fp32", "runs": {"prompt-tuning": runs, "lora": runs}}
    found = {"prompt-tuning": compared, "overhead": overhead, "rows": rows, "packed": {"missing": "no trl"}}
    page = tables.page(found, bench.MODULES, "python benchmarks/bench.py")
    name = "Prompt tuning, 20 slots in front"
    for line in (
        "| fp32 | examples/s | 1.80 / 2.20 / 3.00 | 2.00 / 2.00 / 2.00 | 0.90 / 1.10 / 1.50 |",
        "| bf16 | not measured: this machine emulates bf16 |  |  |  |",
        f"| {name}, fp32: ≥ 1× the speed of PEFT + Trainer | met | 1.10× |",
        f"| {name}, bf16: ≥ 2× the speed of PEFT + Trainer | – | not measured: this machine emulates bf16 |",
        f"| {name}, fp32: peak memory ≤ 0.6× PEFT + Trainer's | met | 0.50× |",
        "| LoRA, rank 8 on q and v, fp32: ≥ 2× the speed of PEFT + Trainer | – | not asked for in this run |",
        "| Packed full tuning, raw text in blocks: ≥ 1.3× TRL SFTTrainer | – | no trl |",
        f"| {name}: our loop outside the model under 5% of the time | met | 3.0% |",
        "| 1,000,000 rows: first step done within 60 s | **not met** | 61.0 s |",
        "| 1,000,000 rows: under 2 GB above a run of few rows | met | 0.40 GB |",
        "| the difference |  |  | 400 |",
    ):
        assert line in page.splitlines(), line


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
