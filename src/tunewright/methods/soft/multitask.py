"""Multi-task prompt tuning (Wang et al. 2023): one prompt for all tasks, times low-rank factors of each."""

from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from safetensors.torch import save_file
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable
from tunewright.methods.soft.files import FACTORS, SHARED, renumbered
from tunewright.methods.soft.soft import SoftMethod, SoftTunable
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.seeds import seed_of


class MultitaskPromptTuning(SoftMethod):
    """The prompt of task t is P ∘ (cols_t @ rows_t) (section 3.2; PEFT's `multitask_prompt_tuning`).

    The factors start so that their product is 1: training begins with the same prompt for all tasks. The paper's
    distillation from prompts tuned one by one is left out, as in PEFT. `init: {prompt: RUN, task: shared}` carries P
    over to another task (section 3.3).
    """

    name: ClassVar[str] = "multitask-prompt-tuning"
    about: ClassVar[str] = "one prompt for several tasks, times low-rank factors of each (Wang et al. 2023)"
    trains: ClassVar[str] = "the shared prompt: slots × width; rank × (slots + width) a task"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))

    rank: int = Field(1, gt=0, description="of each task's factors")
    factor_rate: float = Field(1.0, gt=0, description="the factors' learning rate over the shared prompt's")

    @model_validator(mode="after")
    def _tasks_differ(self) -> "MultitaskPromptTuning":
        if self.shared:
            raise ValueError("shared: true leaves the tasks nothing of their own; prompt-tuning has it")
        return self

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze the backbone; start the shared prompt as `init` says and the factors at a product of 1."""
        backbone.model.requires_grad_(False)
        tasks = _by_task(layout, setting)
        (_, first), *_ = tasks
        words = SlotLayout(renumbered([_shared(group, setting) for group in first]))
        factors = [_factors(words.rows, backbone.width, self.rank, setting.seed, task) for task, _ in tasks]
        return FactoredPrompt(
            backbone,
            layout,
            self.start(backbone, words, setting),
            torch.stack([cols for cols, _ in factors]),
            torch.stack([rows for _, rows in factors]),
            self.factor_rate,
        )


def _by_task(layout: SlotLayout, setting: Setting) -> list[tuple[str, list[SlotGroup]]]:
    """Each task's slot groups in the table's order. Raises InputError unless all have equally many slots."""
    found: dict[str, list[SlotGroup]] = {}
    for group in layout.groups:
        task = setting.task_of(group.name)
        if task is None and setting.labels_by_task:
            raise InputError(f"method multitask-prompt-tuning: the slots {group.name!r} belong to no single task")
        found.setdefault(task or "", []).append(group)
    if not found:
        raise InputError("method multitask-prompt-tuning: the layout has no slots")
    sizes = {task: sum(group.length for group in groups) for task, groups in found.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{task} {size}" for task, size in sizes.items())
        raise InputError(f"method multitask-prompt-tuning: all tasks must have equally many slots, found {told}")
    return list(found.items())


def _shared(group: SlotGroup, setting: Setting) -> SlotGroup:
    """The group of a task as one that all share: it starts from the labels of all."""
    task = setting.task_of(group.name)
    if task is None:
        return group
    return SlotGroup(f"{SHARED}/{group.name.removeprefix(f'{task}/')}", 0, group.length, group.words, group.side)


def _factors(slots: int, width: int, rank: int, seed: int, task: str) -> tuple[Tensor, Tensor]:
    """[S, r] and [r, d]: ones, and from the second rank on zeros times small numbers, so that each rank learns."""
    generator = torch.Generator().manual_seed(seed_of("multitask", seed, task) % 2**63)
    cols, rows = torch.zeros(slots, rank), torch.randn(rank, width, generator=generator) * 0.02
    cols[:, 0], rows[0] = 1.0, 1.0
    return cols, rows


class FactoredPrompt(SoftTunable):
    """Shared prompt and factors in training; after `load` the table as it was saved."""

    fixed: Tensor | None  # [T · S, d]

    def __init__(
        self,
        backbone: Backbone,
        layout: SlotLayout,
        shared: Tensor,
        task_cols: Tensor,
        task_rows: Tensor,
        factor_rate: float,
    ) -> None:
        super().__init__(backbone, layout)
        device = backbone.device
        self.shared: nn.Parameter | None = nn.Parameter(shared.float().to(device))  # [S, d]
        self.task_cols: nn.Parameter | None = nn.Parameter(task_cols.to(device))  # [T, S, r]
        self.task_rows: nn.Parameter | None = nn.Parameter(task_rows.to(device))  # [T, r, d]
        self.factor_rate = factor_rate
        self.register_buffer("fixed", None)

    def table(self) -> Tensor | None:
        """[T · S, d], task after task."""
        if self.shared is None or self.task_cols is None or self.task_rows is None:
            return self.fixed
        return (self.shared * (self.task_cols @ self.task_rows)).flatten(0, 1)

    def rate_of(self, name: str) -> float:
        """The factors have a rate of their own."""
        return self.factor_rate if name.startswith("tunable.task_") else 1.0

    def save(self, folder: Path) -> None:
        """The prompt's files, and what the table is made of: `shared`, `task_cols`, `task_rows`."""
        super().save(folder)
        parts = {"shared": self.shared, "task_cols": self.task_cols, "task_rows": self.task_rows}
        tensors = {name: value.detach().cpu().contiguous() for name, value in parts.items() if value is not None}
        if tensors:
            save_file(tensors, folder / FACTORS, metadata={"format": "pt"})

    @torch.no_grad()
    def put(self, table: Tensor) -> None:
        """Fix the table; the factors are dropped."""
        self.shared = self.task_cols = self.task_rows = None
        self.fixed = table.float()
