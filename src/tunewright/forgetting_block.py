"""What YAML may say of forgetting: the battery it is measured on, and the remedies against it."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from tunewright.settings import Strict
from tunewright.task_block import TaskBlock


def _as_given(value: str | TaskBlock) -> Any:
    """What a block leaves out stays left out: the catalog's keys stand behind it."""
    return value if isinstance(value, str) else value.model_dump(exclude_unset=True)


Entry = Annotated[str | TaskBlock, PlainSerializer(_as_given)]
Entries = Annotated[list[Entry], Field(min_length=1)]


def _general_text() -> list[str | TaskBlock]:
    return ["wikitext2", "chitchat"]


class BatteryBlock(Strict):
    """Tasks that forgetting is measured on; a YAML file of this form is a battery too."""

    about: str | None = None
    tasks: Entries = Field(description="catalog names, task files or blocks; of raw text the perplexity is measured")
    rows: int = Field(50, gt=1, description="of each task, seeded: the same before and after")
    blocks: int = Field(32, gt=1, description="of each raw text")
    block_tokens: int = Field(128, ge=16, description="length of such a block")


Battery = str | Entries | BatteryBlock


class _Remedy(Strict):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class _WithText(_Remedy):
    """A remedy that reads other rows than the task's."""

    tasks: Entries = Field(
        default_factory=_general_text,
        description="whose training rows are read, or raw text; what cannot be had is said",
    )
    rows: int = Field(500, gt=1, description="at most so many rows (of raw text: blocks of 128 tokens) of each")


class ReplayBlock(_WithText):
    """Rows of other tasks or general text in every step."""

    share: float = Field(0.25, gt=0, lt=1, description="of the rows of a step, and of its loss")


class L2Block(_Remedy):
    """L2-SP (Li et al. 2018): the squared distance of the trained weights from their start."""

    weight: float = Field(0.01, gt=0, description="λ in λ·‖θ − θ0‖²")


class EwcBlock(_WithText):
    """Elastic weight consolidation (Kirkpatrick et al. 2017)."""

    weight: float = Field(1000.0, gt=0, description="λ in λ/2 · Σ F·(θ − θ0)²")
    fisher_rows: int = Field(64, gt=0, description="rows of the other tasks that the Fisher information is made from")


class KlBlock(_WithText):
    """KL divergence from the original model's answers on other text."""

    weight: float = Field(1.0, gt=0, description="λ in λ·KL(original ‖ tuned), mean over the asked tokens")
    batch_size: int = Field(4, gt=0, description="other rows read in a step")


class _WithBattery(_Remedy):
    """A remedy that measures on the validation rows of a battery's tasks."""

    battery: Battery = Field("general", description="a battery's name, its file, a list of tasks, or a block")
    battery_rows: int = Field(16, gt=1, description="validation rows of each of its tasks")


class WiseFtBlock(_WithBattery):
    """WiSE-FT (Wortsman et al. 2022): the trained weights mixed with their start, after training."""

    alphas: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=lambda: [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        description="the shares of the trained weights that are tried",
    )
    keep: float = Field(
        0.9, ge=0, le=1, description="share of the gain on validation that must be left; the battery picks among those"
    )

    @model_validator(mode="after")
    def _both_ends(self) -> "WiseFtBlock":
        if not {0.0, 1.0} <= set(self.alphas):
            raise ValueError("alphas: 0 (the start) and 1 (as trained) must be among them: the gain is read from them")
        return self


class EarlyStopBlock(_WithBattery):
    """Training stops where the battery has lost too much; what is kept comes from before."""

    most: float = Field(0.03, gt=0, lt=1, description="the largest loss of the battery's mean score (0.03: 3 points)")


def _empty(value: Any) -> Any:
    """`l2-sp:` without anything behind it means its defaults."""
    return {key: {} if block is None else block for key, block in value.items()} if isinstance(value, dict) else value


class RemediesBlock(_Remedy):
    """Remedies against forgetting, with any method, alone or together."""

    replay: ReplayBlock | None = None
    l2_sp: L2Block | None = Field(None, alias="l2-sp")
    ewc: EwcBlock | None = None
    kl: KlBlock | None = None
    wise_ft: WiseFtBlock | None = Field(None, alias="wise-ft")
    early_stop: EarlyStopBlock | None = Field(None, alias="early-stop")


Remedies = Annotated[RemediesBlock, BeforeValidator(_empty)]
