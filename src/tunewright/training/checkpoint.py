"""Checkpoints: safetensors and JSON, written whole or not at all; enough to go on bit for bit."""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tunewright.errors import InputError
from tunewright.files import write_file, write_folder
from tunewright.methods.base import Tunable, copy_into, load_safetensors
from tunewright.training.batches import Place


@dataclass
class Progress:
    """Where a training stands after `step` optimiser steps."""

    step: int = 0
    place: Place = field(default_factory=lambda: Place(0, 0))
    best: list[float] | None = None  # what validation said at its best, larger is better, compared in order
    best_step: int = 0
    looks_without_better: int = 0
    rate: float = 0.0
    seconds: float = 0.0
    examples: int = 0


def save_checkpoint(folder: Path, tunable: Tunable, optimizer: torch.optim.Optimizer, progress: Progress) -> Path:
    """Write `folder/step-N`, then drop the older ones. Raises MachineError when the disk refuses; they stay then."""
    path = folder / f"step-{progress.step}"

    def fill(inside: Path) -> None:
        tensors, plain = _optimizer_state(optimizer)
        tensors |= {f"trained.{name}": p.detach().cpu().contiguous() for name, p in tunable.trained().items()}
        tensors |= {f"carried.{name}": t.detach().cpu().contiguous() for name, t in tunable.carried().items()}
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        save_file(tensors, inside / "state.safetensors", metadata={"format": "pt"})
        state = {"progress": asdict(progress), "made_by": _kind(optimizer), "optimizer": plain}
        text = json.dumps(state, indent=1)
        (inside / "state.json").write_text(text, encoding="utf-8")

    write_folder(path, fill)
    halves = folder.glob(".step-*.part")  # of processes that were killed while they wrote
    for old in [*_steps(folder), *halves]:
        if old != path:
            shutil.rmtree(old, ignore_errors=True)
    return path


def load_checkpoint(folder: Path, tunable: Tunable, optimizer: torch.optim.Optimizer) -> Progress | None:
    """Restore the newest checkpoint under `folder` into tunable, optimiser and random state; None without one.

    Raises InputError for a checkpoint that does not fit (another method, model or optimiser) or is a pickle.
    """
    found = _steps(folder)
    if not found:
        return None
    path = found[-1]
    if not (path / "state.safetensors").is_file():
        others = [file.name for file in path.iterdir() if file.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]
        why = f"{others[0]} is a pickle, which can run any code and is not read" if others else "no state.safetensors"
        raise InputError(f"{path}: {why}")
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        fields = dict(state["progress"])
        progress = Progress(**{**fields, "place": Place(**fields["place"])})
        made_by, plain = state["made_by"], state["optimizer"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}/state.json: cannot be read ({error})") from None
    tensors = load_safetensors(path / "state.safetensors")
    trained = {name.removeprefix("trained."): t for name, t in tensors.items() if name.startswith("trained.")}
    if made_by != _kind(optimizer):
        raise InputError(f"{path}: made with the optimiser {made_by}, this run has {_kind(optimizer)}")
    if unknown := sorted(trained.keys() - tunable.trained().keys()):
        raise InputError(f"{path}: it holds {unknown[0]!r}, which is not trained here: it was made by another method")
    copy_into(tunable.trained(), trained, str(path))
    _restore_optimizer(optimizer, tensors, plain)
    tunable.carry_on({name.removeprefix("carried."): t for name, t in tensors.items() if name.startswith("carried.")})
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return progress


def save_best(folder: Path, tunable: Tunable) -> None:
    """Write the trained parameters as `folder/best.safetensors`."""
    tensors = {name: p.detach().cpu().contiguous() for name, p in tunable.trained().items()}
    write_file(folder / "best.safetensors", lambda file: save_file(tensors, file, metadata={"format": "pt"}))


def load_best(folder: Path, tunable: Tunable) -> None:
    """Put the best parameters back."""
    file = folder / "best.safetensors"
    copy_into(tunable.trained(), load_safetensors(file), str(file))


def _kind(optimizer: torch.optim.Optimizer) -> str:
    """The optimiser's name, also of one that Accelerate has wrapped."""
    return type(getattr(optimizer, "optimizer", optimizer)).__name__


def _steps(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if path.name.removeprefix("step-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    state = optimizer.state_dict()["state"]
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for index, values in state.items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(index), {})[key] = value
    return tensors, plain


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    for index, values in plain.items():
        state.setdefault(int(index), {}).update(values)
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
