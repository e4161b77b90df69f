"""The recipe: what the user's YAML may say. Checked here once, before anything is loaded."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from tunewright.errors import InputError
from tunewright.forgetting_block import Battery, Remedies
from tunewright.held_out_block import AskedTaskBlock, HeldOutBlock
from tunewright.settings import Strict, load_keys, validate
from tunewright.task_block import TaskBlock, Templates


def _named(value: Any) -> Any:
    """`lora` is short for `{name: lora}`."""
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError("a method's name wanted, e.g. {name: prompt-tuning}")
    return value


MethodKeys = Annotated[dict[str, Any], BeforeValidator(_named)]


def _model(value: Any) -> Any:
    if not isinstance(value, str | dict | EndpointBlock):
        raise ValueError("a model's name, or {endpoint: URL, name: NAME} wanted")
    return value


class EndpointBlock(Strict):
    """A model behind an API of OpenAI's form: it answers, its weights cannot be reached."""

    pace: ClassVar[frozenset[str]] = frozenset({"key", "requests", "per_minute", "at_once", "timeout"})

    endpoint: str = Field(description="the address that /completions or /chat/completions is added to")
    name: str = Field(min_length=1, description="the model's name there")
    key: str | None = Field(
        None, description="the environment variable that holds the key, never the key itself; none: no key is sent"
    )
    mode: Literal["completions", "chat"] = Field(
        "completions", description="chat: each prompt is sent as one message of the user"
    )
    choices: Literal["logprobs", "text"] | None = Field(
        None,
        description="choices told apart by their log probabilities, or by the text of an answer to a question that "
        "lists them; none: log probabilities where the endpoint gives them",
    )
    tokenizer: str | None = Field(
        None,
        description="a catalog name, a hub id or a folder with the model's tokenizer: rows are then cut to "
        "training.max_tokens, and a choice's tokens are counted with it; none: nothing is cut",
    )
    requests: int = Field(500, gt=0, description="at most so many requests in one command, repeated ones included")
    per_minute: int | None = Field(60, gt=0, description="at most so many requests in a minute; null: no limit")
    at_once: int = Field(4, gt=0, le=64, description="requests under way at the same time")
    timeout: float = Field(60.0, gt=0, description="seconds until a request counts as lost")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address that starts with http:// or https:// wanted, e.g. http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("no user, password or ?… in the address: the key comes from the environment (key: NAME)")
        return value.rstrip("/")

    @field_validator("key")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]*", value):  # a key itself would not be shown either
            raise ValueError("the NAME of an environment variable wanted (capitals, e.g. OPENAI_API_KEY), not a key")
        return value

    @property
    def shown(self) -> str:
        """The model as people read it."""
        return f"{self.name} at {self.endpoint}"


ModelKey = Annotated[str | EndpointBlock, BeforeValidator(_model)]


class EntryBlock(Strict):
    """One task of a run of several; what it leaves out is the run's."""

    task: str | TaskBlock
    shots: int | None = Field(None, gt=0)
    template: Templates | None = None
    rate: float | None = Field(
        None, gt=0, description="share of the training rows drawn, beside the others' (where they name none: 1)"
    )


class TrainingBlock(Strict):
    """How long and how: everything a run's training loop is told."""

    steps: int | None = Field(None, gt=0, description="optimiser steps; or give epochs")
    epochs: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, gt=0, description="rows a step; or give batch_tokens")
    batch_tokens: int | None = Field(None, gt=0, description="tokens a step, padding included")
    accumulation: int = Field(1, gt=0, description="cut each step's rows into so many passes; the loss is the same")
    max_tokens: int = Field(512, gt=7, description="longest input of one row, slots and answer included")
    packing: bool = Field(
        False, description="causal models: several rows in one sequence of max_tokens, each seeing itself alone"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute each block again on the way back: less memory, about a third more time"
    )
    optimizer: Literal["adamw", "adafactor", "adafactor-scaled", "lion", "sgd"] | None = None
    learning_rate: float | Literal["auto"] | None = Field(None, description="none: the method's default")
    schedule: Literal["constant", "linear", "cosine"] | None = None
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps")
    weight_decay: float | None = Field(None, ge=0)
    clip: float | None = Field(1.0, gt=0, description="largest gradient norm; null: no clipping")
    objective: Literal["answer", "choice"] = Field(
        "answer", description="loss: answer likelihood or choice cross-entropy"
    )
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    plain: bool = Field(False, description="no fast paths: every row is read whole, by transformers' own ways")
    seed: int = 0
    evaluate_every: int | None = Field(None, gt=0, description="steps between looks at validation; none: ten looks")
    patience: int | None = Field(None, gt=0, description="stop after so many looks without a better one")
    keep: Literal["best", "last"] = "best"
    checkpoint_every: int | None = Field(
        None, gt=0, description="steps between checkpoints; none: at an interrupt only"
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "TrainingBlock":
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        if self.batch_size is not None and self.batch_tokens is not None:
            raise ValueError("give batch_size or batch_tokens, not both")
        if isinstance(self.learning_rate, float) and self.learning_rate <= 0:
            raise ValueError("learning_rate must be above 0")
        if self.optimizer == "lion" and not isinstance(self.learning_rate, float):
            raise ValueError("optimizer: lion wants a learning_rate of its own, 3 to 10 times below AdamW's")
        return self


class EvaluationBlock(Strict):
    """What is measured before and after."""

    tasks: list[str | AskedTaskBlock] | None = Field(
        None, min_length=1, description="with a mixture: the tasks that are asked, of the mixture or others"
    )
    split: Literal["validation", "test"] = "test"
    metrics: list[str] | None = Field(None, description="none: the task's")
    rows: int | None = Field(None, gt=0, description="at most so many rows, seeded; none: all")
    validation_rows: int | None = Field(None, gt=0, description="rows of validation read while tuning")
    baselines: bool = True
    batch_tokens: int = Field(4096, gt=0)
    normalisation: Literal["none", "token", "byte"] = Field("none", description="of choice scores by answer length")
    calibration: Literal["none", "contextual", "pmi"] = Field(
        "none",
        description="of choice scores by those without content: over the probabilities on content-free inputs, or "
        "less the log probability behind the template's last words alone",
    )
    ensemble: Literal["none", "mean", "vote", "weighted"] = Field(
        "none",
        description="ask each row with all templates: mean probability, majority vote, or mean weighted by accuracy on "
        "validation; none: each row draws one template",
    )
    number: Literal["expected", "best"] = Field(
        "expected",
        description="answer of a task with numbers: their mean, weighted by their probabilities, or the likeliest",
    )
    max_new_tokens: int = Field(64, gt=0)
    battery: Battery | None = Field(
        None,
        description="tasks on which forgetting is measured before and after: a battery's name (general), its file, a "
        "list of tasks, or a block",
    )
    battery_rows: int | None = Field(
        None, gt=1, description="rows of each of its tasks; none: the battery's own number"
    )


class SelfTrainingBlock(Strict):
    """Rounds of pseudo-labels: each labels rows without labels, keeps those it is sure of, and tunes anew with them."""

    rounds: int = Field(3, gt=0)
    confidence: float = Field(0.9, ge=0, le=1, description="smallest probability of a pseudo-label")
    per_class: int | None = Field(
        None, gt=0, description="at most so many of each label; always as many as of the rarest one that was found"
    )
    unlabelled: str = Field(
        "rest", description="a file of rows, or `rest`: the rows of the training split that shots left over"
    )
    rows: int | None = Field(None, gt=0, description="at most so many unlabelled rows, seeded; none: all")
    weight: float = Field(1.0, gt=0, description="what a pseudo-labelled row counts in the loss, beside a labelled one")


class AskedPart(NamedTuple):
    """A task that a model tuned on a mixture is asked, with so many exemplars before each question."""

    task: str | TaskBlock
    template: Templates | None
    exemplars: int
    held_out: bool


class Recipe(Strict):
    """One run."""

    model: ModelKey = Field(description="a name of the model catalog, a hub id, or a folder; or a model behind an API")
    task: str | TaskBlock | None = Field(None, description="one task; or give tasks")
    tasks: list[str | EntryBlock] | None = Field(
        None,
        min_length=1,
        description="several tasks in one run, each batch with rows of all; drawn by rate, without any by their rows",
    )
    mixture: str | dict[str, Any] | None = Field(
        None,
        description="in the place of task: many tasks as instructions, drawn by a mixture (a shipped name, a file, or "
        "what such a file would say); evaluation.tasks and those held out are the ones asked",
    )
    held_out: HeldOutBlock | None = Field(
        None, description="with a mixture: clusters and tasks that are kept out of it, and asked before and after"
    )
    shots: int | None = Field(None, gt=0, description="training rows a class (or in all, without classes); none: all")
    template: Templates | None = None
    method: MethodKeys = Field(description="{name: METHOD, …}; `tunewright show method NAME` lists its settings")
    training: TrainingBlock = Field(default_factory=TrainingBlock)
    evaluation: EvaluationBlock = Field(default_factory=EvaluationBlock)
    self_training: SelfTrainingBlock | None = Field(None, description="tasks of kind classify")
    remedies: Remedies | None = Field(
        None, description="against forgetting: replay, l2-sp, ewc, kl, wise-ft, early-stop"
    )
    output: str | None = None
    _exemplars: int = PrivateAttr(0)

    @model_validator(mode="after")
    def _task_or_tasks(self) -> "Recipe":
        given = [name for name in ("task", "tasks", "mixture") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"give task (one), tasks (a list) or mixture (a name or file), found {found}")
        if self.mixture is None:
            for key, value in (("evaluation.tasks", self.evaluation.tasks), ("held_out", self.held_out)):
                if value is not None:
                    raise ValueError(f"{key} is for a mixture; task and tasks are asked themselves")
        elif self.evaluation.tasks is None and self.held_out is None:
            raise ValueError("a mixture wants evaluation.tasks (the tasks to be asked) or held_out (others, kept out)")
        if self.mixture is not None:
            for key in ("shots", "template"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key}: a mixture's file says which rows and templates (rows, templates)")
            if self.training.objective == "choice":
                raise ValueError("training.objective: a mixture is trained on its answers; leave it out")
        if self.self_training is not None:
            if self.several:
                raise ValueError("self_training is for one task; give task")
            if self.self_training.unlabelled == "rest" and self.shots is None:
                raise ValueError("self_training: without shots no training rows are left over; name a file: unlabelled")
        if self.remedies is not None and self.self_training is not None:
            raise ValueError("remedies and self_training: it tunes several times from the start; leave one out")
        if self.remedies is not None and self.remedies.early_stop is not None and self.training.keep != "best":
            raise ValueError("remedies.early-stop wants training.keep: best: what is kept comes from before the loss")
        return self

    @property
    def model_name(self) -> str:
        """The model as people read it."""
        return self.model if isinstance(self.model, str) else self.model.shown

    @property
    def local_model(self) -> str:
        """The model whose weights are needed. Raises InputError where it is behind an API."""
        if isinstance(self.model, EndpointBlock):
            raise InputError(
                f"method {self.method['name']}: it needs the weights of a model, and those of {self.model.shown} "
                "cannot be reached; use method none or in-context, or a model of the catalog, the hub or a folder"
            )
        return self.model

    @property
    def several(self) -> bool:
        """Whether its scores are those of a list of tasks."""
        return self.task is None

    @property
    def one_task(self) -> str | TaskBlock:
        """The task of a run of one. Raises InputError where there are several."""
        if self.task is None:
            raise InputError("tasks: one task is wanted here; give task")
        return self.task

    @property
    def entries(self) -> list[EntryBlock]:
        """What `tasks` lists, a bare name written out; empty for one task or a mixture."""
        return [EntryBlock(task=entry) if isinstance(entry, str) else entry for entry in self.tasks or ()]

    @property
    def asked(self) -> list[AskedPart]:
        """What a model tuned on the mixture is asked, those that are held out last; empty without a mixture.

        Clusters that are held out must have been written out as tasks (`runs/held_out.py`).
        """
        listed = [AskedTaskBlock(task=one) if isinstance(one, str) else one for one in self.evaluation.tasks or ()]
        kept_out = self.held_out.asked if self.held_out is not None else []
        return [
            AskedPart(one.task, one.template, count, held)
            for blocks, held in ((listed, False), (kept_out, True))
            for one in blocks
            for count in one.exemplars or [0]
        ]

    @property
    def mixture_name(self) -> str | None:
        """The mixture as people read it."""
        if isinstance(self.mixture, dict):
            return str(self.mixture.get("name") or self.mixture.get("mixture") or "mixture")
        return self.mixture

    @property
    def exemplars(self) -> int:
        """Of a part (see `apart`): the solved training rows before each question, before tuning and after it."""
        return self._exemplars

    @property
    def rates(self) -> list[float] | None:
        """The tasks' relative rates, None where none is named: as many draws of each as it has rows."""
        rates = [entry.rate for entry in self.entries]
        return None if set(rates) <= {None} else [1.0 if rate is None else rate for rate in rates]

    def apart(self) -> list["Recipe"]:
        """A recipe for each task that is asked; a run of one task is its own."""
        if not self.several:
            return [self]
        evaluation = self.evaluation.model_copy(update={"tasks": None})
        below: dict[str, Any] = {"tasks": None, "mixture": None, "held_out": None, "evaluation": evaluation}
        parts = []
        for one in self.asked:
            part = self.model_copy(update={**below, "task": one.task, "template": one.template})
            part._exemplars = one.exemplars
            parts.append(part)
        for entry in self.entries:
            given = entry.model_fields_set
            own = {key: getattr(entry if key in given else self, key) for key in ("shots", "template")}
            parts.append(self.model_copy(update={**below, "task": entry.task, **own}))
        return parts


class Study(Strict):
    """A grid of runs: methods × tasks × seeds over one base recipe."""

    title: str | None = None
    base: dict[str, Any] = Field(description="recipe keys shared by all runs")
    tasks: list[str | dict[str, Any]] = Field(
        min_length=1,
        description="a task, or {task: …, label, other recipe keys}; {tasks: [a, b], label} is one run of several, "
        "{mixture: NAME, label} one run on a mixture",
    )
    methods: list[str | dict[str, Any]] = Field(
        min_length=1, description="a method, or {method: …, label, tasks: only on these, other recipe keys}"
    )
    leave_out: list[str] | Literal["all"] | None = Field(
        None, description="every mixture once for each of these clusters, which is held out (all: of its tasks)"
    )
    seeds: int | list[int] = Field(5, description="a list, or a number: 0 … n-1")
    shots: list[Annotated[int, Field(gt=0)] | None] | None = Field(
        None, min_length=1, description="every method with each of so many training rows a class; null: all rows"
    )
    output: str | None = None

    @field_validator("seeds")
    @classmethod
    def _some_seeds(cls, value: int | list[int]) -> int | list[int]:
        if (value if isinstance(value, int) else len(value)) < 1:
            raise ValueError("at least one seed wanted")
        return value

    @model_validator(mode="after")
    def _shots_once(self) -> "Study":
        if self.shots is None:
            return self
        if len(set(self.shots)) < len(self.shots):
            raise ValueError("shots: the same number stands there twice")
        entries = [self.base, *(entry for entry in (*self.tasks, *self.methods) if isinstance(entry, dict))]
        if any("shots" in entry for entry in entries):
            raise ValueError("shots: given for the whole study and inside it; leave one of them out")
        return self


def load_study(path: Path, overrides: list[str] | None = None) -> Study:
    """Read and check a study's file."""
    return validate(Study, load_keys(path, overrides, "compare"), str(path))


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read and check a recipe. Relative paths inside it stay relative to where the command runs."""
    return validate(Recipe, load_keys(path, overrides), str(path))
