"""What untuned models have answered, kept in the user's cache: a second study pays only for what comes after."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tunewright import __version__
from tunewright.backbones.base import Backbone
from tunewright.files import read_json, write_json
from tunewright.wheels import cache_folder


def weights_fingerprint(backbone: Backbone) -> str:
    """SHA-256 over the model's own weights as they are now (names, kinds, bytes) and its vocabulary.

    What was put into the model beside them (an adapter) does not count.
    """
    digest = hashlib.sha256()
    for name, parameter in sorted(backbone.own_weights.items()):
        values = parameter.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {list(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    vocabulary = sorted(backbone.tokenizer.get_vocab().items())
    digest.update(json.dumps(vocabulary, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def key_of(parts: Mapping[str, Any]) -> str:
    """The name of a kept answer: all that it depends on, this program's version included."""
    text = json.dumps({"tunewright": __version__, **parts}, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def kept(key: str) -> Any | None:
    """The kept value, None where there is none (or half of one)."""
    try:
        return read_json(_file(key))
    except (OSError, json.JSONDecodeError):
        return None


def keep(key: str, value: Any) -> None:
    """Keep a JSON value."""
    write_json(_file(key), value)


def _file(key: str) -> Path:
    return cache_folder() / "battery" / f"{key}.json"
