"""What a run was made with: versions, hardware, the data's fingerprint, peak memory."""

import platform
import resource
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import tunewright
from tunewright.backbones.load import device
from tunewright.process import give_back_memory
from tunewright.tasks.fingerprint import fingerprint
from tunewright.tasks.task import Task

_LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "numpy", "scikit-learn")


def environment(*tasks: Task) -> dict[str, Any]:
    """The content of environment.json. `data` describes the task; of several it holds them as `tasks`."""
    data = [data_of_task(task) for task in tasks]
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "tunewright": tunewright.__version__,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _LIBRARIES},
        "hardware": hardware(),
        "git_commit": _commit(),
        "data": data[0] if len(data) == 1 else {"tasks": data},
    }


def data_of_task(task: Task) -> dict[str, Any]:
    """A task's version, numbers of rows, fingerprint and notes."""
    return {
        "task": task.name,
        "version": task.version,
        "rows": {name: len(rows) for name, rows in task.splits.items()},
        "sha256": fingerprint(task),
        "notes": task.notes,
    }


def hardware() -> dict[str, Any]:
    """The device's name, cores and memory."""
    where = device()
    name = torch.cuda.get_device_name() if where.type == "cuda" else _cpu_name()
    return {"device": where.type, "name": name, "threads": torch.get_num_threads(), "system": platform.system()}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the project's own checkout, None for an installed package."""
    root = Path(tunewright.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def reset_peak_memory() -> None:
    """Forget the highest memory so far (Linux; elsewhere the process's whole life is counted)."""
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes() -> int:
    """The highest memory since `reset_peak_memory`: the device's, else the process's resident memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
