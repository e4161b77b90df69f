"""A server of OpenAI's form for a test that asks for it, and a cache of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint_server import Server, serving


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(own_cache: Path) -> Iterator[Server]:
    with serving(Server()) as running:
        yield running
