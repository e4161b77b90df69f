"""`make bench`: our training beside PEFT with transformers' Trainer, our loop's own cost, and a million rows.

Every measurement is a process of its own; the two sides take turns, and are compared pair by pair.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import small_model
from tables import page

from tunewright.backbones.load import Precision, pick_precision

HERE = Path(__file__).resolve().parent
METHODS = ("prompt-tuning", "lora")
LOSS_TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}  # relative, each step: beyond it the sides did not do the same work
ROWS, FEW_ROWS = 1_000_000, 1_000
MODEL, TASK = "smollm2-135m-instruct", "bbc-news"


@dataclass(frozen=True)
class Bench:
    """What was asked for, and the folder that measurements write into."""

    only: str | None
    steps: int
    pairs: int
    tiny: bool
    folder: Path

    def wants(self, name: str) -> bool:
        """Whether the measurement `name` is asked for."""
        return self.only in (None, name)

    def measure(self, role: str, **spec: Any) -> dict[str, Any]:
        """One measurement by worker.py in a fresh process. Ends the benchmark when it fails."""
        files = [self.folder / "spec.json", self.folder / "result.json"]
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        files[1].unlink(missing_ok=True)
        spec |= {"role": role, "folder": str(work), "spawned": time.time()}
        files[0].write_text(json.dumps(spec), encoding="utf-8")
        command = [sys.executable, str(HERE / "worker.py"), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}\nbench: {role} {spec.get('method', '')} failed (see above)")
        return json.loads(files[1].read_text(encoding="utf-8"))

    def subject(self) -> dict[str, Any]:
        """The model and task of the comparison: the real ones, or small made-up ones."""
        if not self.tiny:
            return {"model": MODEL, "task": TASK}
        file = small_model.write_rows(self.folder / "few.jsonl", 2_000)
        return {"model": str(self.small_model()), "task": small_model.task_block(file)}

    def small_model(self) -> Path:
        """The folder of the small random model, made when first asked for."""
        folder = self.folder / "model"
        return folder if folder.is_dir() else small_model.write_model(folder)


def compare(bench: Bench, method: str, precision: Precision) -> dict[str, Any]:
    """`pairs` times ours, then theirs, from the same start over the same batches; the losses must agree."""
    spec = {**bench.subject(), "method": method, "precision": precision, "steps": bench.steps}
    found: dict[str, Any] = {"start": bench.measure("start", **spec), "pairs": []}
    for number in range(1, bench.pairs + 1):
        ours, peer = (bench.measure(side, **spec) for side in ("ours", "peer"))
        difference = loss_difference(ours["losses"], peer["losses"])
        if not difference <= LOSS_TOLERANCE[precision]:
            raise SystemExit(
                f"bench: {method} {precision}: the losses differ by {difference:.1e}, so the two sides did not do "
                f"the same work\nours {ours['losses']}\npeer {peer['losses']}"
            )
        found["pairs"].append({"ours": ours, "peer": peer, "loss_difference": difference})
        a, b = ours["examples_per_second"], peer["examples_per_second"]
        say(f"{method} {precision} pair {number}: {a:.2f} and {b:.2f} examples/s, ratio {a / b:.2f}")
    return found


def loss_difference(ours: list[float], theirs: list[float]) -> float:
    """The largest relative difference of two loss curves of equal length."""
    if len(ours) != len(theirs):
        raise SystemExit(f"bench: {len(ours)} steps on our side, {len(theirs)} on the other")
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(ours, theirs))


def overhead(bench: Bench, precision: Precision) -> dict[str, list[dict[str, Any]]]:
    """Our side alone, where the comparison was not asked for."""
    found: dict[str, list[dict[str, Any]]] = {}
    for method in METHODS:
        spec = {**bench.subject(), "method": method, "precision": precision, "steps": bench.steps}
        bench.measure("start", **spec)
        found[method] = [bench.measure("ours", **spec) for _ in range(bench.pairs)]
    return found


def million_rows(bench: Bench) -> dict[str, Any]:
    """A run of one step over many rows, and one over few; `pairs` times each, taking turns."""
    found: dict[str, Any] = {"few": [], "many": [], "rows": 5_000 if bench.tiny else ROWS, "few_rows": FEW_ROWS}
    model = str(bench.small_model())
    files = {key: small_model.write_rows(bench.folder / f"{key}.jsonl", found[key]) for key in ("rows", "few_rows")}
    for _ in range(bench.pairs):
        for key, file in (("few", files["few_rows"]), ("many", files["rows"])):
            found[key].append(bench.measure("rows", model=model, task=small_model.task_block(file)))
            say(f"{key} rows: first step after {found[key][-1]['first_step']:.1f} s")
    return found


def run(bench: Bench) -> dict[str, Any]:
    """All that is asked for, by name."""
    best = pick_precision("auto")
    precisions: tuple[Precision, ...] = ("fp32", "bf16") if best == "bf16" else ("fp32",)
    found: dict[str, Any] = {"compared": {}, "overhead": {}, "rows": None, "precisions": precisions}
    for method in METHODS:
        if bench.wants(method):
            found["compared"][method] = {precision: compare(bench, method, precision) for precision in precisions}
            found["overhead"][method] = [pair["ours"] for pair in found["compared"][method][best]["pairs"]]
    if bench.only == "overhead":
        found["overhead"] = overhead(bench, best)
    if bench.wants("rows"):
        found["rows"] = million_rows(bench)
    return found


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure speed and memory side by side with PEFT + transformers.")
    parser.add_argument("--only", choices=[*METHODS, "overhead", "rows"], help="one measurement (none: all)")
    parser.add_argument("--steps", type=int, default=6, help="optimiser steps of each training; the first is not timed")
    parser.add_argument("--pairs", type=int, default=3, help="how often each measurement is taken")
    parser.add_argument("--tiny", action="store_true", help="a small random model and few rows, printed only: a check")
    options = parser.parse_args(arguments)
    if options.steps < 2 or options.pairs < 1:
        parser.error("two steps and one pair at least")
    with tempfile.TemporaryDirectory() as folder:
        found = run(Bench(options.only, options.steps, options.pairs, options.tiny, Path(folder)))
    given = sys.argv[1:] if arguments is None else arguments
    text = page(found, command=shlex.join(["python", "benchmarks/bench.py", *given]), steps=options.steps)
    if not options.tiny:
        (HERE / "results.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
