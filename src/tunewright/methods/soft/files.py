"""A soft prompt's files: `prompt.safetensors` (`prompt_embeddings` [S, d], fp32) and `prompt.json` (whose it is)."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import load_safetensors
from tunewright.prompts.layout import SlotLayout

TENSOR = "prompt_embeddings"


@dataclass(frozen=True)
class PromptFile:
    """A prompt read from files. `tokenizer` and `model` are None where the files do not say (.npy)."""

    table: Tensor  # [members · S, d]
    members: int
    model: str | None
    tokenizer: str | None
    layout: SlotLayout | None
    where: str

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
    if table is None or table.dim() != 2 or table.shape[0] != members * layout.rows:
        raise InputError(f"{inside}/prompt.safetensors: no tensor {TENSOR!r} of {members * layout.rows} rows")
    return PromptFile(table.float(), members, model, tokenizer, layout, str(path))


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
