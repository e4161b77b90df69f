"""What a process is told once, before torch is loaded."""

import ctypes
import os
import sys

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
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in every C library
        if mallopt is not None:
            mallopt(_MMAP_MAX, 0)
            mallopt(_TRIM_THRESHOLD, 2**31 - 1)
