"""The file of `tunewright sensitivity`: which wordings, which ways to score them, on how many rows."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tunewright.evaluation.calibration import Calibration
from tunewright.evaluation.distinct import Normalisation
from tunewright.methods.registry import make_method
from tunewright.recipe import EvaluationBlock, MethodKeys, ModelKey, Recipe, TrainingBlock
from tunewright.search.recipe import ReadingBlock
from tunewright.settings import Strict, load_keys, validate
from tunewright.task_block import TaskBlock, TemplateBlock, TemplateFileBlock, Templates

ALL = "all"


def _listed(value: Any) -> Any:
    """`pmi` is short for `[pmi]`; a value named twice is meant once."""
    values = value if isinstance(value, list) else [value]
    return [item for i, item in enumerate(values) if item not in values[:i]]


class SoftBlock(Strict):
    """Soft prompts to stand beside the templates: one training a seed."""

    method: MethodKeys = Field(description="as in a recipe, e.g. {name: prompt-tuning, length: 20}")
    seeds: list[int] = Field([0, 1, 2], min_length=1)
    training: dict[str, Any] = Field(default_factory=dict, description="as in a recipe; seeds says the seeds")
    template: str | TemplateBlock | None = Field(None, description="the one they are tuned with; none: the default")

    @model_validator(mode="after")
    def _one_place_for_seeds(self) -> "SoftBlock":
        if "seed" in self.training:
            raise ValueError("seeds says the seeds, not training.seed")
        return self


class SensitivityBlock(Strict):
    """`sensitivity:`: what is varied beside the template."""

    calibration: Annotated[list[Calibration], BeforeValidator(_listed)] = Field(["none", "contextual"], min_length=1)
    normalisation: Annotated[list[Normalisation], BeforeValidator(_listed)] = Field(["none"], min_length=1)
    examples: Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_listed)] = Field(
        [0], min_length=1, description="training rows shown before each question; 0: zero-shot"
    )
    orders: int | None = Field(
        None, gt=0, description="with examples: orders of the same examples, drawn with the seed; none: 4"
    )
    separator: str = Field("\n\n", description="stands behind each example")
    soft: SoftBlock | None = Field(None, description="soft prompts to stand beside the templates")

    @model_validator(mode="after")
    def _orders_of_something(self) -> "SensitivityBlock":
        if self.examples == [0] and self.orders is not None:
            raise ValueError("orders wants examples: how many are shown (e.g. examples: 4)")
        return self


class ScoringBlock(Strict):
    """The rows, the same for all, and the metrics."""

    rows: int | None = Field(None, gt=0, description="at most so many test rows, seeded; none: all")
    validation_rows: int | None = Field(None, gt=0, description="none: as many as training has, at most 200")
    metrics: list[str] | None = Field(None, min_length=1, description="none: the task's; the first one is compared")
    batch_tokens: int = Field(4096, gt=0)


class Sensitivity(Strict):
    """One comparison of templates."""

    model: ModelKey = Field(description="a name of the model catalog, a hub id, or a folder; or a model behind an API")
    task: str | TaskBlock
    shots: int | None = Field(None, gt=0, description="training rows a class (or in all, without classes); none: all")
    template: Templates = Field(ALL, description="all: the task's own; or a list as in a recipe, `all` may stand in it")
    sensitivity: SensitivityBlock = Field(default_factory=SensitivityBlock)
    training: ReadingBlock = Field(default_factory=ReadingBlock)
    evaluation: ScoringBlock = Field(default_factory=ScoringBlock)
    output: str | None = None

    @field_validator("template")
    @classmethod
    def _some(cls, value: Templates) -> Templates:
        if value == []:
            raise ValueError("the list is empty")
        return value

    @property
    def wanted(self) -> list[str | TemplateBlock | TemplateFileBlock]:
        """The templates as a list."""
        return self.template if isinstance(self.template, list) else [self.template]

    def recipe(self) -> Recipe:
        """The run that asks the model as it is."""
        return Recipe(
            model=self.model,
            task=self.task,
            shots=self.shots,
            method={"name": "none"},
            training=TrainingBlock(**self.training.model_dump()),
            evaluation=EvaluationBlock(baselines=False, **self.evaluation.model_dump()),
        )

    def soft_recipes(self) -> dict[int, Recipe]:
        """The runs of the soft prompts by seed. Raises InputError for what is wrong in `sensitivity.soft`."""
        soft = self.sensitivity.soft
        if soft is None:
            return {}
        make_method(soft.method)
        return {
            seed: validate(
                Recipe,
                self.recipe().model_dump(exclude={"method", "training", "task"})
                | {
                    "task": self.task if isinstance(self.task, str) else self.task.model_dump(exclude_unset=True),
                    "method": soft.method,
                    "template": soft.template if isinstance(soft.template, str | None) else soft.template.model_dump(),
                    "training": {**self.training.model_dump(), **soft.training, "seed": seed},
                },
                "sensitivity.soft",
            )
            for seed in dict.fromkeys(soft.seeds)
        }


def load_sensitivity(path: Path, overrides: list[str] | None = None) -> Sensitivity:
    """Read and check the file; relative paths inside it start where the command runs."""
    return validate(Sensitivity, load_keys(path, overrides, "sensitivity"), str(path))


Split = Literal["validation", "test"]
SPLITS: tuple[Split, Split] = ("validation", "test")
