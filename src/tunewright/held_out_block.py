"""What a recipe says of the tasks that are asked of a model tuned on a mixture, and of those kept out of it."""

from typing import Annotated

from pydantic import Field, model_validator

from tunewright.settings import Strict
from tunewright.task_block import TaskBlock, Templates

Exemplars = Annotated[list[Annotated[int, Field(ge=0, le=64)]], Field(min_length=1)]


class AskedTaskBlock(Strict):
    """A task that a model tuned on a mixture is asked."""

    task: str | TaskBlock
    template: Templates | None = None
    exemplars: Exemplars | None = Field(
        None, description="asked once for each number, with so many solved training rows before the question; 0: none"
    )


class HeldOutBlock(Strict):
    """Clusters and tasks that nothing is tuned on and that are asked before and after."""

    clusters: list[str] = Field(
        default_factory=list,
        description="clusters kept out of training, with all that shares rows with the asked tasks",
    )
    tasks: list[str | AskedTaskBlock] = Field(
        default_factory=list, description="tasks kept out of training, with all that shares rows with them, and asked"
    )
    ask: list[str | AskedTaskBlock] | None = Field(
        None, min_length=1, description="the tasks of the clusters that are asked; none: those the mixture lists there"
    )
    exemplars: Exemplars = Field(
        [0, 3], description="each task is asked once for each number, with so many solved training rows; 0: zero-shot"
    )

    @model_validator(mode="after")
    def _something(self) -> "HeldOutBlock":
        if not self.clusters and not self.tasks:
            raise ValueError("clusters or tasks wanted, e.g. {clusters: [nli]}")
        if self.ask is not None and not self.clusters:
            raise ValueError("ask is for the tasks of clusters; list the tasks themselves under tasks")
        return self

    @property
    def asked(self) -> list[AskedTaskBlock]:
        """The tasks that are asked, each with its numbers of exemplars."""
        blocks = [AskedTaskBlock(task=one) if isinstance(one, str) else one for one in (*self.tasks, *(self.ask or ()))]
        return [
            one if one.exemplars is not None else one.model_copy(update={"exemplars": self.exemplars}) for one in blocks
        ]
