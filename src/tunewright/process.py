"""What a process is told once, before torch is loaded."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def settle() -> None:
    """Make the machine's threads and memory behave as training wants them; what the user has set himself stays.

    Threads that wait for each other sleep instead of spinning (OpenMP reads this when torch is loaded): where another
    process uses a core, training is then twice as fast; on an idle machine it makes no difference. And glibc keeps
    freed memory: by default each large tensor is mapped afresh and every page of it zeroed by the kernel, which costs
    a quarter of a training step of a small model.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux" and not any(name.startswith("MALLOC_") for name in os.environ):
        if mallopt := _of_libc("mallopt"):
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back_memory() -> None:
    """Return what is freed to the system: before its peak is measured, or the work before would count too."""
    gc.collect()
    if sys.platform == "linux" and (trim := _of_libc("malloc_trim")):
        trim(0)


def resident_memory() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    return _kilobytes("/proc/self/status", "VmRSS:") or 0


def free_memory() -> int | None:
    """Bytes that this process can still take: what the system has, within a container's limit; None where unknown."""
    give_back_memory()
    known = [_kilobytes("/proc/meminfo", "MemAvailable:"), _left_in_container()]
    return min((value for value in known if value is not None), default=None)


def _kilobytes(file: str, key: str) -> int | None:
    try:
        lines = Path(file).read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), None)


def _left_in_container(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a control group (its second version, or its first) leaves; the files' cache in it can be given up."""
    for limit, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now = (root / limit).read_text().strip(), int((root / used).read_text())
            stat = (root / used).with_name("memory.stat").read_text().splitlines()
        except (OSError, ValueError):
            continue
        if most == "max" or int(most) > 2**60:  # none, in the words of either version
            return None
        given_up = sum(int(line.split()[1]) for line in stat if line.split()[0] == cache)
        return max(int(most) - now + given_up, 0)
    return None


def _of_libc(name: str) -> Callable[..., int] | None:
    """glibc's function; other C libraries have none of these."""
    return getattr(ctypes.CDLL(None), name, None)
