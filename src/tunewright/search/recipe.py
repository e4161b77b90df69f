"""The file of `tunewright search`: what is searched, where it starts, how much of it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from tunewright.errors import InputError, did_you_mean
from tunewright.recipe import EndpointBlock, EvaluationBlock, ModelKey, Recipe, TrainingBlock
from tunewright.search.candidates import GENERATORS
from tunewright.settings import Strict, load_keys, validate
from tunewright.task_block import LabelWords, TaskBlock, Templates


def _generator(value: Any) -> Any:
    """`rules` is short for `{name: rules}`."""
    block = {"name": value} if isinstance(value, str) else value
    if not isinstance(block, dict) or not isinstance(block.get("name"), str):
        raise ValueError("a generator's name wanted, e.g. rules or {name: rules}")
    if block["name"] not in GENERATORS:
        raise ValueError(f"unknown generator {block['name']!r}{did_you_mean(block['name'], GENERATORS)}")
    return block


class TemplatesBlock(Strict):
    """`search:` of a search for templates."""

    generators: list[Annotated[dict[str, Any], BeforeValidator(_generator)]] = Field(
        default_factory=lambda: [{"name": "rules"}],
        min_length=1,
        description="what makes candidates, in turn: a name, or {name: NAME, settings of its own}",
    )
    candidates: int = Field(40, gt=0, description="different templates tried, those the search starts from among them")
    keep: int = Field(10, gt=0, description="templates scored on all rows and written at the end")
    by: Literal["train+validation", "train", "validation"] = Field(
        "train+validation", description="the rows that decide"
    )
    rows: int = Field(200, gt=0, description="training rows read at most (with shots: those drawn)")


class LabelWordsBlock(Strict):
    """`search:` of a search for label words (Gao et al. 2021, §4)."""

    words: int = Field(100, gt=0, description="candidates a label, of the model's vocabulary")
    per_label: int = Field(1, gt=0, description="words a label; a label's probability is the sum of its words'")
    mappings: int = Field(100, gt=0, description="mappings best on the training rows, scored on validation rows")
    keep: int = Field(10, gt=0, description="mappings shown and written at the end")
    rows: int = Field(200, gt=0, description="training rows read at most (with shots: those drawn)")
    label_words: LabelWords = Field(
        default_factory=dict, description="candidates to add for a label; words of several tokens are allowed"
    )


class ReadingBlock(Strict):
    """How the model reads, and the seed of all draws."""

    max_tokens: int = Field(512, gt=7, description="longest input of one row, answer included")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0


class AskingBlock(Strict):
    """How the model is asked."""

    validation_rows: int | None = Field(None, gt=0, description="none: as many as training has, at most 200")
    batch_tokens: int = Field(4096, gt=0)
    normalisation: Literal["none", "token", "byte"] = Field("none", description="of choice scores by answer length")


class Search(Strict):
    """What both searches are told."""

    model: ModelKey = Field(description="a name of the model catalog, a hub id, or a folder; or a model behind an API")
    task: str | TaskBlock
    shots: int | None = Field(None, gt=0, description="training rows a class (or in all, without classes); none: all")
    template: Templates | None = Field(None, description="where the search starts; none: the task's default")
    training: ReadingBlock = Field(default_factory=ReadingBlock)
    evaluation: AskingBlock = Field(default_factory=AskingBlock)
    output: str | None = None

    def recipe(self) -> Recipe:
        """The run that asks the model as it is."""
        return Recipe(
            model=self.model,
            task=self.task,
            shots=self.shots,
            template=self.template,
            method={"name": "none"},
            training=TrainingBlock(**self.training.model_dump()),
            evaluation=EvaluationBlock(baselines=False, **self.evaluation.model_dump()),
        )


class TemplateSearch(Search):
    """`tunewright search template`."""

    search: TemplatesBlock = Field(default_factory=TemplatesBlock)


class LabelWordSearch(Search):
    """`tunewright search label-words`."""

    search: LabelWordsBlock = Field(default_factory=LabelWordsBlock)

    @field_validator("model")
    @classmethod
    def _weights(cls, value: str | EndpointBlock) -> str | EndpointBlock:
        if isinstance(value, EndpointBlock):
            raise ValueError(f"label words are read off a whole vocabulary, and {value.shown} does not show it")
        return value


def load_template_search(path: Path, overrides: list[str] | None = None) -> TemplateSearch:
    """Read and check a search's file; relative paths inside it start where the command runs."""
    return validate(TemplateSearch, _keys(path, overrides, "template", LabelWordsBlock, TemplatesBlock), str(path))


def load_label_word_search(path: Path, overrides: list[str] | None = None) -> LabelWordSearch:
    """The same for a search of label words."""
    return validate(LabelWordSearch, _keys(path, overrides, "label-words", TemplatesBlock, LabelWordsBlock), str(path))


def _keys(path: Path, overrides: list[str] | None, what: str, other: type[Strict], own: type[Strict]) -> dict[str, Any]:
    """The file's keys. InputError where `search:` holds what only the other search knows."""
    keys = load_keys(path, overrides, "search")
    block = keys.get("search")
    foreign: list[str] = []
    if isinstance(block, dict):
        foreign = [key for key in block if key in other.model_fields and key not in own.model_fields]
    if foreign:
        theirs = "label-words" if what == "template" else "template"
        raise InputError(f"{path}: search.{foreign[0]} belongs to `tunewright search {theirs}`, not to {what}")
    return keys
