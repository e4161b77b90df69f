"""A deep prompt's files: `prefix.safetensors` (`prompt_embeddings`, flat as in PEFT) and `prefix.json` (its model)."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import load_safetensors
from tunewright.methods.soft.files import TENSOR, tokenizer_fingerprint


@dataclass(frozen=True)
class PrefixFile:
    """A deep prompt read from files. `tokenizer` is None where the files do not say."""

    kv: Tensor  # [P, layers, 2, heads, head_dim]
    model: str
    tokenizer: str | None
    where: str

    def check(self, backbone: Backbone) -> None:
        """Raise InputError where layers, heads, width or tokenizer are not the backbone's."""
        found, wanted = tuple(self.kv.shape[1:]), kv_shape(backbone)
        for what, at in (("layers", 0), ("key-value heads", 2), ("numbers a head", 3)):
            if found[at] != wanted[at]:
                raise InputError(
                    f"{self.where}: a prefix for {found[at]} {what} (made for {self.model}), "
                    f"{backbone.name} has {wanted[at]}"
                )
        if self.tokenizer is not None and self.tokenizer != tokenizer_fingerprint(backbone):
            raise InputError(f"{self.where}: made for {self.model}, whose tokenizer is not that of {backbone.name}")


def kv_shape(backbone: Backbone) -> tuple[int, int, int, int]:
    """What a prefix needs for each place: (layers, 2, heads, head_dim), as the model itself computes them.

    Raises InputError for a model that takes no keys and values from outside.
    """
    layers, two, heads, size = backbone.key_values(torch.zeros(1, backbone.width)).shape[1:]
    return layers, two, heads, size


def write_prefix(folder: Path, kv: Tensor, backbone: Backbone) -> None:
    """Write a prefix [P, layers, 2, heads, head_dim] into `folder`."""
    length, layers, _, heads, size = kv.shape
    save_file(
        {TENSOR: kv.detach().float().cpu().reshape(length, -1).contiguous()},
        folder / "prefix.safetensors",
        metadata={"format": "pt"},
    )
    content = {
        "model": backbone.name,
        "tokenizer": tokenizer_fingerprint(backbone),
        "length": length,
        "layers": layers,
        "heads": heads,
        "head_size": size,
    }
    (folder / "prefix.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_prefix(path: Path) -> PrefixFile:
    """A prefix from a run's folder, its `tuned/`, or a folder with the two files. Raises InputError for others."""
    inside = path / "tuned" if (path / "tuned").is_dir() else path
    if not (inside / "prefix.json").is_file():
        raise InputError(f"{path}: holds no deep prompt (no prefix.json): a run of prefix-tuning wanted")
    try:
        content = json.loads((inside / "prefix.json").read_text(encoding="utf-8"))
        shape = [int(content[key]) for key in ("length", "layers", "heads", "head_size")]
        model, tokenizer = str(content["model"]), str(content["tokenizer"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{inside}/prefix.json: cannot be read ({error})") from None
    length, layers, heads, size = shape
    flat = load_safetensors(inside / "prefix.safetensors").get(TENSOR)
    if flat is None or tuple(flat.shape) != (length, layers * 2 * heads * size):
        raise InputError(f"{inside}/prefix.safetensors: no tensor {TENSOR!r} of the shape that prefix.json says")
    return PrefixFile(flat.float().view(length, layers, 2, heads, size), model, tokenizer, str(path))
