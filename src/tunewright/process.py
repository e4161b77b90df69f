"""What a process is told once, before torch is loaded."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable

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


def _of_libc(name: str) -> Callable[..., int] | None:
    """glibc's function; other C libraries have none of these."""
    return getattr(ctypes.CDLL(None), name, None)
