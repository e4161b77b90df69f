"""What an encoded row depends on: names under which it is kept."""

import hashlib
import json
import os
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tunewright
from tunewright.backbones.encoded_store import EncodedStore
from tunewright.backbones.examples import Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt
from tunewright.wheels import cache_folder

if TYPE_CHECKING:
    from tunewright.backbones.base import Backbone

LIMIT_MB = 1024
_SOURCES = ("backbones", "prompts")  # the packages whose code makes examples of prompts
_NO_MATTER = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")


def open_store() -> EncodedStore | None:
    """The store in the user's cache folder, of $TUNEWRIGHT_ENCODED_MB megabytes at most (None where that is 0).

    Raises InputError where the variable is no whole number.
    """
    given = os.environ.get("TUNEWRIGHT_ENCODED_MB", str(LIMIT_MB))
    if not given.isdecimal():
        raise InputError(f"TUNEWRIGHT_ENCODED_MB: {given!r} is no number of megabytes (0: nothing is kept)")
    return EncodedStore(cache_folder() / "encoded" / "rows.sqlite", int(given) * 2**20) if int(given) else None


def key_of(backbone: "Backbone", start: bytes, prompt: Prompt) -> bytes:
    """16 bytes for a prompt; `start` as `key_start` makes it.

    The prompt holds all that data, template, label words, slots and demonstrations make of a row. A chat's scaffold may
    hold the day's date.
    """
    digest = hashlib.blake2b(start, digest_size=16)
    digest.update(repr(prompt).encode("utf-8", "surrogatepass"))
    if prompt.chat:
        digest.update(repr(backbone.frame()).encode("utf-8", "surrogatepass"))
    return digest.digest()


def key_start(backbone: "Backbone", layout: SlotLayout, purpose: Purpose, limit: int) -> bytes:
    """What the keys of one call have in common."""
    return f"{_fingerprint(backbone)} {layout!r} {purpose} {limit}".encode("utf-8", "surrogatepass")


def _fingerprint(backbone: "Backbone") -> str:
    """Of all that encodes beside the prompt: the code, the libraries, the tokenizer, the model's configuration."""
    if backbone.encoding_fingerprint is None:
        tokenizer: Any = backbone.tokenizer
        config = backbone.model.config.to_dict()
        parts = {
            "code": _code(),
            "libraries": [version(name) for name in ("tokenizers", "transformers")],
            "order": sys.byteorder,
            "family": backbone.family,
            "tokenizer": tokenizer.backend_tokenizer.to_str(),
            "special": tokenizer.special_tokens_map,
            "chat": tokenizer.chat_template,
            "pad": backbone.pad,
            "config": {name: value for name, value in config.items() if name not in _NO_MATTER},
        }
        text = json.dumps(parts, sort_keys=True, default=str)
        backbone.encoding_fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return backbone.encoding_fingerprint


@cache
def _code() -> str:
    digest = hashlib.sha256(tunewright.__version__.encode())
    for package in _SOURCES:
        for file in sorted((Path(tunewright.__file__).parent / package).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
