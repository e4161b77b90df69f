"""Measurements in processes of their own, written down as they come so that a stopped benchmark goes on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import small_model

from tunewright.backbones.load import Precision, pick_precision

HERE = Path(__file__).resolve().parent
MODEL, TASK = "smollm2-135m-instruct", "bbc-news"
LOSS_TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}  # relative, each step: beyond it the sides did not do the same work
LIBRARIES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "trl", "lm_eval")

Size = Literal["tiny", "quick", "full"]


class Failed(Exception):
    """A measurement that did not come to an end, or whose sides did not do the same work."""


@dataclass
class Bench:
    """How much is measured, and the folder that measurements write into.

    What was measured stands in `folder/measured.jsonl`, a line each, and is not measured again.
    """

    size: Size
    steps: int
    pairs: int
    folder: Path
    known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._file.is_file():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self.known[entry["key"]] = entry["result"]

    @property
    def _file(self) -> Path:
        return self.folder / "measured.jsonl"

    @property
    def best(self) -> Precision:
        """What runs compute in on this machine where the recipe is silent."""
        return pick_precision("auto")

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Where bf16 is emulated, it says nothing about either side and is left out."""
        return ("fp32", "bf16") if self.best == "bf16" else ("fp32",)

    def sized(self, tiny: int, quick: int, full: int) -> int:
        """A number for the size asked for."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.size]

    def measure(self, role: str, place: str, turn: int = 0, **spec: Any) -> dict[str, Any]:
        """What `role` ("module:function") says of a spec, in a fresh process; `place` is its folder of files.

        Raises Failed with what the process said, where it ended badly.
        """
        key = json.dumps([role, place, turn, spec], sort_keys=True)
        if key in self.known:
            return self.known[key]
        work = self.folder / place
        work.mkdir(parents=True, exist_ok=True)
        found = self._apart(work, spec | {"role": role, "folder": str(work), "spawned": time.time()})
        self.known[key] = found
        with open(self._file, "a", encoding="utf-8") as out:
            out.write(json.dumps({"key": key, "result": found}) + "\n")
        return found

    def _apart(self, work: Path, spec: dict[str, Any]) -> dict[str, Any]:
        """By worker.py."""
        files = [work / "spec.json", work / "result.json"]
        files[1].unlink(missing_ok=True)
        files[0].write_text(json.dumps(spec), encoding="utf-8")
        command = [sys.executable, str(HERE / "worker.py"), *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            print(said, file=sys.stderr, flush=True)
            last = (said.splitlines() or ["nothing said"])[-1][:300]
            raise Failed(f"{spec['role']} ended with {done.returncode}: {last}")
        return json.loads(files[1].read_text(encoding="utf-8"))

    def subject(self) -> dict[str, Any]:
        """The model and task of the comparison: the real ones, or small made-up ones."""
        if self.size != "tiny":
            return {"model": MODEL, "task": TASK}
        file = self.folder / "few.jsonl"
        if not file.is_file():
            small_model.write_rows(file, 400)
        return {"model": str(self.small_model()), "task": small_model.task_block(file)}

    def small_model(self) -> Path:
        """The folder of the small random model, made when first asked for."""
        folder = self.folder / "model"
        return folder if folder.is_dir() else small_model.write_model(folder)


def missing(package: str) -> str | None:
    """Why a peer cannot be measured, None where it is installed."""
    if find_spec(package) is not None:
        return None
    return f"not measured: {package} is not installed (`make bench` installs benchmarks/requirements.txt)"


def installed() -> dict[str, str]:
    """The versions of the libraries that are compared, without those that are not there."""
    found = {}
    for name in ("tunewright", *LIBRARIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The largest relative difference of two lists of equal length. Raises Failed where they are not."""
    if len(ours) != len(theirs):
        raise Failed(f"{len(ours)} values on our side, {len(theirs)} on the other")
    return max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(ours, theirs))


def agree(what: str, ours: Sequence[float], theirs: Sequence[float], tolerance: float) -> float:
    """Their largest relative difference. Raises Failed where it is above `tolerance`, or no number."""
    found = difference(ours, theirs)
    if not found <= tolerance:
        raise Failed(
            f"{what} differ by {found:.1e} (at most {tolerance:g}), so the two sides did not do the same work; "
            f"ours {[round(v, 4) for v in ours[:8]]}, theirs {[round(v, 4) for v in theirs[:8]]}"
        )
    return found


def turns(pairs: int, ours: Callable[[int], dict[str, Any]], peer: Callable[[int], dict[str, Any]]) -> list[Any]:
    """`pairs` times both, taking turns at going first."""
    found = []
    for turn in range(pairs):
        sides: dict[str, Any] = {}
        for name, side in (("ours", ours), ("peer", peer)) if turn % 2 == 0 else (("peer", peer), ("ours", ours)):
            sides[name] = side(turn)
        found.append(sides)
    return found


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
