"""What a process is told before torch is loaded."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tunewright.process import give_back_memory, settle


class Library:
    """A C library that notes what its mallopt is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def mallopt(self, what: int, value: int) -> int:
        self.told.append((what, value))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    found = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: found)
    monkeypatch.setattr("sys.platform", "linux")
    for name in [name for name in os.environ if name.startswith("MALLOC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # so that it is put back after the test
    yield found


def test_freed_memory_is_kept(library: Library) -> None:
    settle()
    assert library.told == [(-4, 0), (-1, 2**31 - 1)]  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h


def test_what_the_user_set_stays(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    settle()
    assert library.told == [] and os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_memory_of_earlier_work_is_no_part_of_a_peak() -> None:
    code = """
from tunewright.process import settle
settle()
import torch
from tunewright.runs.environment import peak_memory_bytes, reset_peak_memory
kept = torch.zeros(1000)
rows = [torch.ones(50_000_000) for _ in range(3)] + [torch.ones(1000)]
high = peak_memory_bytes()
del rows[:3]
reset_peak_memory()
print(high - peak_memory_bytes())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 550_000_000  # of the 600 MB


def test_other_systems_and_libraries_are_left_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # one without mallopt
    settle()
    give_back_memory()
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    settle()
    assert library.told == []
