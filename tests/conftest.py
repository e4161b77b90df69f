"""One thread a test process: the models are tiny, and several processes run side by side."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("untimed", deadline=None)  # no test is timed: another process may have the core
settings.load_profile("untimed")

if TYPE_CHECKING:
    from endpoint_server import Server


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no proxy before this machine."""
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(own_cache: Path) -> "Iterator[Server]":
    """A server of OpenAI's form around a tiny model."""
    from endpoint_server import Server, serving

    with serving(Server()) as running:
        yield running
