"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest
from cli_files import Run, model, runner


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """`cli("tune", recipe)` → (code, out, err)."""
    return runner(capsys)


@pytest.fixture
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny causal model."""
    return model(tmp_path_factory)
