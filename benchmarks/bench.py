"""`make bench`: our training, scoring and writing beside the peers', and what the machine allows.

Every measurement is a process of its own; the two sides take turns and are compared pair by pair. What each measured is
written down at once; results.md is written anew behind each measurement.
"""

import argparse
import json
import platform
import shlex
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cached
import choices
import compared
import limit
import linear
import overhead
import packed
import rows
import writing
from measuring import HERE, Bench, Failed, Size, installed, say
from tables import page

from tunewright.runs.environment import hardware

MODULES: dict[str, ModuleType] = {
    "prompt-tuning": compared,
    "p-tuning": compared,
    "lora": compared,
    "full": compared,
    "cached": cached,
    "packed": packed,
    "scoring": choices,
    "generation": writing,
    "limit": limit,
    "linear": linear,
    "overhead": overhead,
    "rows": rows,
}
FOLDER = HERE / ".measured"
STEPS: dict[Size, int] = {"tiny": 3, "quick": 4, "full": 6}
PAIRS: dict[Size, int] = {"tiny": 1, "quick": 1, "full": 3}


def run(bench: Bench, only: Sequence[str], command: str, target: Path | None) -> dict[str, Any]:
    """Each measurement by name; one that fails is said and does not stop the others."""
    found = {}
    for name, module in MODULES.items():
        if only and name not in only:
            continue
        say(f"{name} …")
        try:
            found[name] = module.measure(bench, name) if hasattr(module, "NAMES") else module.measure(bench)
        except Failed as error:
            found[name] = {"failed": f"failed: {error}"}
        except Exception as error:  # a mistake in the benchmark itself: the others still say something
            traceback.print_exc()
            found[name] = {"failed": f"failed: {type(error).__name__}: {error}"}
        if why := found[name].get("failed") or found[name].get("missing"):
            say(f"{name}: {why}")
        if target is not None:
            target.write_text(page(found, MODULES, command), encoding="utf-8")
    return found


def claim(folder: Path, *, resume: bool) -> None:
    """Make the folder of measurements ready: empty, or (`resume`) as it was left by this machine and these versions."""
    made_by = {"machine": hardware(), "python": platform.python_version(), "versions": installed()}
    file = folder / "machine.json"
    if resume and file.is_file():
        if json.loads(file.read_text(encoding="utf-8")) != made_by:
            raise SystemExit(f"bench: {folder} was measured with another machine or other versions: leave out --resume")
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file.write_text(json.dumps(made_by), encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure speed and memory side by side with the peers.")
    parser.add_argument(
        "--only", action="append", default=[], choices=MODULES, help="one measurement (may be given again)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few steps and rows, one pair: under 25 minutes on 2 cores"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on: what was measured here before is not measured again"
    )
    parser.add_argument("--steps", type=int, help="optimiser steps of each training; the first is not timed (6)")
    parser.add_argument("--pairs", type=int, help="how often each measurement is taken (3)")
    parser.add_argument("--tiny", action="store_true", help="a small random model and few rows, printed only: a check")
    options = parser.parse_args(arguments)
    size: Size = "tiny" if options.tiny else "quick" if options.quick else "full"
    steps, pairs = options.steps or STEPS[size], options.pairs or PAIRS[size]
    if steps < 2 or pairs < 1:
        parser.error("two steps and one pair at least")
    command = shlex.join(["python", "benchmarks/bench.py", *(sys.argv[1:] if arguments is None else arguments)])
    with tempfile.TemporaryDirectory() as other:
        folder = Path(other) if options.tiny else FOLDER
        if not options.tiny:
            claim(folder, resume=options.resume)
        found = run(
            Bench(size, steps, pairs, folder), options.only, command, None if options.tiny else HERE / "results.md"
        )
    print(page(found, MODULES, command))
    failed = [name for name, one in found.items() if "failed" in one]
    if failed:
        say(f"bench: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
