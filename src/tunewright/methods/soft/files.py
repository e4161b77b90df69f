"""A soft prompt's files: `prompt.safetensors` (`prompt_embeddings` [S, d], fp32) and `prompt.json` (whose it is)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import load_safetensors
from tunewright.prompts.layout import SlotGroup, SlotLayout

TENSOR = "prompt_embeddings"
FACTORS = "factors.safetensors"  # beside the table of multi-task prompt tuning: what it is made of
SHARED = "shared"  # stands where a task's name does in the names of slots that all tasks share


@dataclass(frozen=True)
class PromptFile:
    """A prompt read from files. `tokenizer` and `model` are None where the files do not say (.npy)."""

    table: Tensor  # [members · S, d]
    members: int
    model: str | None
    tokenizer: str | None
    layout: SlotLayout | None
    where: str
    shared: Tensor | None = None  # [S, d], what multi-task prompt tuning multiplies for each task

    @property
    def tasks(self) -> list[str]:
        """The tasks of a run of several that have prompts here; empty for the prompt of one run of one task."""
        own = (
            [g.name.removesuffix("/prompt") for g in self.layout.groups if g.name.endswith("/prompt")]
            if self.layout
            else []
        )
        return own if len(own) > 1 else []

    def of_task(self, task: str) -> "PromptFile":
        """One task's prompt alone; `shared` is the one that all share. Raises InputError where it is not there."""
        if task == SHARED and self.shared is not None:
            group = SlotGroup(f"{SHARED}/prompt", 0, len(self.shared))
            return replace(self, table=self.shared, members=1, layout=SlotLayout((group,)), shared=None)
        groups = [group for group in self.layout.groups if group.name.startswith(f"{task}/")] if self.layout else []
        if not groups:
            names = ", ".join(group.name for group in self.layout.groups) if self.layout else "a matrix without names"
            raise InputError(f"{self.where}: no prompt of a task {task!r} in it; it holds {names}")
        return replace(self, table=self.rows_of(groups), layout=SlotLayout(renumbered(groups)), shared=None)

    def rows_of(self, groups: Sequence[SlotGroup]) -> Tensor:
        """The table's rows of some of its groups, of each member: [members · rows, d]."""
        rows = [row for group in groups for row in range(group.start, group.start + group.length)]
        return self.table.unflatten(0, (self.members, -1))[:, rows].flatten(0, 1)

    def check(self, backbone: Backbone) -> None:
        """Raise InputError where the prompt's width or tokenizer is not the backbone's."""
        width = int(self.table.shape[1])
        if width != backbone.width:
            made = f" (made for {self.model})" if self.model else ""
            raise InputError(
                f"{self.where}: its vectors have {width} numbers{made}, those of {backbone.name} {backbone.width}"
            )
        if self.tokenizer is not None and self.tokenizer != tokenizer_fingerprint(backbone):
            raise InputError(
                f"{self.where}: made for {self.model} with another tokenizer than that of {backbone.name}; "
                "its vectors mean nothing there"
            )


def renumbered(groups: Sequence[SlotGroup]) -> tuple[SlotGroup, ...]:
    """The groups as a table of their own: the first starts at row 0."""
    found: list[SlotGroup] = []
    for group in groups:
        found.append(replace(group, start=sum(other.length for other in found)))
    return tuple(found)


def tokenizer_fingerprint(backbone: Backbone) -> str:
    """16 hex digits that tell one vocabulary from another."""
    vocabulary = json.dumps(backbone.tokenizer.get_vocab(), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(vocabulary.encode()).hexdigest()[:16]


def write_prompt(folder: Path, table: Tensor, backbone: Backbone, layout: SlotLayout, members: int = 1) -> None:
    """Write the two files of a prompt table [members · S, d] into `folder`."""
    tensors = {TENSOR: table.detach().float().cpu().contiguous()}
    save_file(tensors, folder / "prompt.safetensors", metadata={"format": "pt"})
    content = {
        "model": backbone.name,
        "width": backbone.width,
        "tokenizer": tokenizer_fingerprint(backbone),
        "members": members,
        "groups": layout.to_json(),
    }
    (folder / "prompt.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_prompt(path: Path) -> PromptFile:
    """A prompt from a run's folder, its `tuned/`, a folder with the two files, or a `.npy` matrix [S, d].

    The .npy form is that of the prompts released with Lester et al. 2021. Raises InputError for anything else.
    """
    if path.suffix == ".npy":
        return PromptFile(_read_npy(path), 1, None, None, None, str(path))
    inside = path / "tuned" if (path / "tuned").is_dir() else path
    if not (inside / "prompt.json").is_file():
        raise InputError(f"{path}: holds no soft prompt (no prompt.json): a run with soft slots, or a .npy, wanted")
    try:
        content: dict[str, Any] = json.loads((inside / "prompt.json").read_text(encoding="utf-8"))
        layout = SlotLayout.from_json(content["groups"])
        members, model, tokenizer = int(content["members"]), str(content["model"]), str(content["tokenizer"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{inside}/prompt.json: cannot be read ({error})") from None
    tensors = load_safetensors(inside / "prompt.safetensors")
    table = tensors.get(TENSOR)
    shared = load_safetensors(inside / FACTORS).get(SHARED) if (inside / FACTORS).is_file() else None
    if table is None or table.dim() != 2 or table.shape[0] != members * layout.rows:
        raise InputError(f"{inside}/prompt.safetensors: no tensor {TENSOR!r} of {members * layout.rows} rows")
    return PromptFile(table.float(), members, model, tokenizer, layout, str(path), shared)


def _read_npy(path: Path) -> Tensor:
    try:
        matrix = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a .npy file of numbers ({error})") from None
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or 0 in matrix.shape:
        raise InputError(f"{path}: a matrix [slots, width] of floats wanted, found {matrix.dtype} {list(matrix.shape)}")
    return torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
