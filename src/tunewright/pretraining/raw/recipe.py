"""The recipe of `tunewright pretrain`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from tunewright.pretraining.corpus import CorpusBlock, CorpusSource
from tunewright.recipe import TrainingBlock
from tunewright.settings import Strict, load_keys, validate


class StageBlock(Strict):
    """An objective, and for how long."""

    name: Literal["causal-lm", "mlm", "span-corruption", "prefix-lm"]
    steps: int | None = Field(None, gt=0, description="none: training.steps")
    learning_rate: float | None = Field(None, gt=0, description="none: training.learning_rate")
    share: float = Field(0.15, gt=0, lt=1, description="of the tokens that are asked (mlm, span-corruption)")
    mean_span: float = Field(3.0, ge=1, description="tokens a hidden span has on average (span-corruption)")
    whole_word: bool = Field(False, description="mlm: a word's pieces are masked together")
    rehearse: float = Field(
        0.0, ge=0, lt=1, description="share of the blocks still asked as in the stages before, so that these stay known"
    )


class ArchitectureBlock(Strict):
    """A model with random weights: transformers' name of it, and keys of its configuration."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(description="transformers' model type, e.g. t5")
    vocabulary: int = Field(8000, gt=200, description="size of the Unigram vocabulary made from the corpus")
    vocabulary_documents: int = Field(20_000, gt=0, description="training documents it is made from")
    word_vectors: str | None = Field(
        None, description="a model whose word vectors the new ones start from (a name, a hub id or a folder)"
    )


class PackingBlock(Strict):
    """How documents share a block."""

    isolate: bool = Field(
        False, description="each document sees itself alone and starts at position 0 (causal-lm, mlm): slower attention"
    )


class HeldOutBlocks(Strict):
    """What is measured before and after, on documents never trained on."""

    blocks: int = Field(64, gt=1)
    batch_size: int = Field(16, gt=0)
    also: list[CorpusSource] = Field(
        default_factory=list,
        description="other text, to see what is forgotten; of a source that is trained on its held-out documents",
    )

    @field_validator("also")
    @classmethod
    def _told_apart(cls, value: list[CorpusSource]) -> list[CorpusSource]:
        names = [entry.name for entry in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} stands there twice")
        return value


class Pretraining(Strict):
    """A whole model trained on raw text."""

    model: str | None = Field(None, description="a name of the model catalog, a hub id, or a folder")
    architecture: ArchitectureBlock | None = None
    corpus: CorpusBlock
    objective: list[StageBlock] = Field(min_length=1, description="one objective, or several one after the other")
    packing: PackingBlock = Field(default_factory=PackingBlock)
    training: TrainingBlock = Field(default_factory=TrainingBlock)
    evaluation: HeldOutBlocks = Field(default_factory=HeldOutBlocks)
    name: str | None = Field(None, description="keep the model in the user's cache, for `model: NAME`")
    output: str | None = None

    @field_validator("objective", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        stages = value if isinstance(value, list) else [value]
        return [{"name": stage} if isinstance(stage, str) else stage for stage in stages]

    @model_validator(mode="after")
    def _fits(self) -> "Pretraining":
        if (self.model is None) == (self.architecture is None):
            raise ValueError("one of model (to go on with) and architecture (to begin with) wanted")
        if self.training.epochs is not None:
            raise ValueError("training.epochs: a corpus is streamed, its length unknown; give training.steps")
        if self.training.batch_tokens is not None:
            raise ValueError("training.batch_tokens: blocks are of one length; give training.batch_size")
        if self.training.plain or self.training.objective != "answer":
            raise ValueError("training.plain and training.objective: they have no meaning for raw text; leave them out")
        if self.training.packing:
            raise ValueError("training.packing: documents are packed into blocks as it is; leave it out")
        if self.training.learning_rate == "auto":
            raise ValueError("training.learning_rate: a number wanted")
        if self.objective[0].rehearse:
            raise ValueError("objective.0.rehearse: no stage stands before the first")
        if any(stage.steps is None for stage in self.objective) and self.training.steps is None:
            raise ValueError("training.steps is missing (or steps of each objective)")
        if self.name is not None and ("/" in self.name or self.name.startswith(".")):
            raise ValueError(f"name: {self.name!r} is no plain name")
        return self


def load_pretraining(path: Path, overrides: list[str] | None = None) -> Pretraining:
    """Read and check a recipe; relative paths inside it start where the command runs."""
    return validate(Pretraining, load_keys(path, overrides, "pretrain"), str(path))
