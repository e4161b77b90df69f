"""Ctrl-C in the middle of a training, at a step that the test chooses."""

import os
import signal
from typing import Any

import pytest

from tunewright.training.tuner import Tuner


def stop_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `number`-th training forward pass of this process gets an interrupt; `monkeypatch.undo()` ends that."""
    forward, passes = Tuner.forward, []

    def interrupted(self: Tuner, batch: Any) -> Any:
        passes.extend([1] * self.training)
        if self.training and len(passes) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return forward(self, batch)

    monkeypatch.setattr(Tuner, "forward", interrupted)
