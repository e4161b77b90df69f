"""What all methods with a prompt table share: their slots, where these stand, how they start, how they are kept."""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, Placement, Setting, Tunable
from tunewright.methods.soft import starts
from tunewright.methods.soft.files import PromptFile, read_prompt, write_prompt
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Soft


class PromptStart(BaseModel):
    """`init: {prompt: PATH}`: the start is another run's prompt (SPoT, PPT) or a .npy matrix."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(description="a run's folder, a folder with prompt.safetensors, or a .npy file [slots, width]")
    task: str | None = Field(
        None, description="of a run of several tasks: the one whose prompt is taken, or `shared` for what they share"
    )

    def read(self) -> PromptFile:
        """The prompt it names. Raises InputError where it is none, or has no such task."""
        kept = read_prompt(Path(self.prompt))
        return kept if self.task is None else kept.of_task(self.task)


class SoftMethod(Method):
    """Settings of every method that trains a prompt table. A template's own slots come before `length`."""

    length: int = Field(20, gt=0, description="slots, where the template has none of its own")
    placement: Placement | None = Field(None, description="none: front, for causal models after the fields")
    shared: bool = Field(False, description="with several tasks: the same slots for all of them")
    init: starts.Start | PromptStart = "sampled-vocab"
    text: str | None = Field(None, description="the words that `init: text` starts from")
    bound: float = Field(0.5, gt=0, description="of the random-uniform start")

    @model_validator(mode="after")
    def _text_given(self) -> "SoftMethod":
        if (self.init == "text") != (self.text is not None):
            raise ValueError("init: text and text: WORDS go together")
        return self

    @property
    def shares_slots(self) -> bool:
        """As `shared` says."""
        return self.shared

    @property
    def table_only(self) -> bool:
        """Whether one prompt table is all that is kept of it: runs of such methods can answer in one batch."""
        return True

    def kept_in(self, folder: Path) -> Method:
        """As it is, without the prompt it started from."""
        if not isinstance(self.init, PromptStart):
            return self
        layout = read_prompt(folder).layout or SlotLayout()
        lengths = [group.length for group in layout.groups if group.name.endswith("/prompt")]
        return self.model_copy(update={"init": "random-uniform", "length": lengths[0] if lengths else self.length})

    def slots(self) -> tuple[Soft, Placement | None]:
        """The slots added to a template without any; as many as the prompt that the start is read from."""
        length = self.length
        if isinstance(self.init, PromptStart) and "length" not in self.model_fields_set:
            kept = self.init.read()
            length = kept.table.shape[0] // kept.members // max(1, len(kept.tasks))
        return Soft("prompt", length), self.placement

    def start(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tensor:
        """The table's start [S, d], fp32.

        Groups of the template that name words start from these; the others as `init` says. Raises InputError where a
        prompt to start from does not fit.
        """
        if not layout.rows:
            raise InputError(f"method {self.name}: the layout has no slots")
        if isinstance(self.init, PromptStart):
            return self._read(backbone, layout)
        rows = [self._group(backbone, group, setting) for group in layout.groups]
        return torch.cat([row.cpu() for row in rows])

    def _read(self, backbone: Backbone, layout: SlotLayout) -> Tensor:
        """The other run's rows of the same names, where it has all of them; else its table, repeated for each task."""
        assert isinstance(self.init, PromptStart)
        kept = self.init.read()
        kept.check(backbone)
        if kept.members != 1:
            raise InputError(f"{kept.where}: holds {kept.members} prompts of an ensemble; one wanted")
        theirs = {(group.name, group.length): group for group in (kept.layout.groups if kept.layout else ())}
        alike = [theirs.get((group.name, group.length)) for group in layout.groups]
        if None not in alike:
            return kept.rows_of([group for group in alike if group is not None])
        if kept.tasks:
            raise InputError(
                f"{kept.where}: holds the prompts of {', '.join(kept.tasks)}, not those of this run; say which: "
                "init: {prompt: …, task: NAME}"
            )
        times, rest = divmod(layout.rows, kept.table.shape[0])
        if rest or (times > 1 and any(group.length != kept.table.shape[0] for group in layout.groups)):
            raise InputError(
                f"{kept.where}: holds {kept.table.shape[0]} slots, this run has {layout.rows}: "
                f"leave method.length out, or make the template's slots {kept.table.shape[0]}"
            )
        return kept.table.repeat(times, 1)

    def _group(self, backbone: Backbone, group: SlotGroup, setting: Setting) -> Tensor:
        length, key = group.length, group.name
        if group.words is not None:
            return starts.from_text(backbone, length, group.words)
        if self.init == "random-uniform":
            return starts.random_uniform(length, backbone.width, self.bound, setting.seed, key)
        if self.init == "class-label":
            return starts.class_label(backbone, length, setting.labels_of(group.name), setting.seed, key)
        if self.init == "text":
            return starts.from_text(backbone, length, self.text or "")
        return starts.sampled_vocab(backbone, length, setting.seed, key)


class SoftTunable(Tunable):
    """A tunable with a prompt table, kept as the table it makes (an encoder behind it stays in the checkpoints)."""

    def __init__(self, backbone: Backbone, layout: SlotLayout) -> None:
        super().__init__(backbone)
        self.layout = layout

    @torch.no_grad()
    def save(self, folder: Path) -> None:
        """`prompt.safetensors` and `prompt.json`."""
        table = self.table()
        assert table is not None
        write_prompt(folder, table, self.backbone, self.layout, self.members)

    def load(self, folder: Path) -> None:
        """Read them back. Raises InputError where they do not fit this model or these slots."""
        kept = read_prompt(folder)
        kept.check(self.backbone)
        if kept.layout != self.layout or kept.members != self.members:
            raise InputError(f"{folder}: its slots are not those of this run's templates and method")
        self.put(kept.table.to(self.backbone.device))

    def put(self, table: Tensor) -> None:
        """Use this table [members · S, d] from now on."""
        raise NotImplementedError
