"""AdaLoRA (Zhang et al. 2023): low-rank updates whose ranks are given to the matrices that need them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import AdaLoraConfig
from pydantic import Field, model_validator
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.methods.adapters import AdapterTunable, TargetedMethod, read_rank_pattern
from tunewright.methods.base import OptimizerDefaults, Setting, Tunable
from tunewright.prompts.layout import SlotLayout

VALUES = ".lora_E.default"  # the singular values: a rank is dropped by making its value zero
AVERAGES = ("exp_avg_ipt", "exp_avg_unc")  # importance of each weight, and how it varies


class AdaLoraTunable(AdapterTunable):
    """The adapter, and PEFT's allocator that drops ranks after each step. `shares`: of the steps, before and after."""

    shares: tuple[float, float] = (0.0, 0.0)

    @property
    def model(self) -> Any:
        """PEFT's AdaLoraModel."""
        return self.adapted.base_model

    @property
    def allocator(self) -> Any:
        """PEFT's RankAllocator."""
        return self.model.rankallocator

    def begin(self, steps: int) -> None:
        """The schedule of the budget: shares of the steps into numbers of steps; nothing is known yet of importance."""
        self.config.total_step = steps
        self.config.tinit, self.config.tfinal = (int(share * steps) for share in self.shares)
        self.config.rank_pattern = None
        self.allocator.reset_ipt()

    def penalty(self) -> Tensor | None:
        """How far the factors' rows are from orthonormal (§3.1), as PEFT's own forward adds it to a loss."""
        far = []
        for name, p in self.trained().items():
            if ".lora_A." in name or ".lora_B." in name:
                gram = p @ p.T if ".lora_A." in name else p.T @ p  # [r, r]
                far.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=p.device)))
        return self.config.orth_reg_weight * torch.stack(far).mean()

    def after_step(self, step: int) -> None:
        """Importance from this step's gradients; ranks over the budget are masked."""
        self.model.update_and_allocate(step)

    def carried(self) -> dict[str, Tensor]:
        """The running averages of importance, and which ranks are left."""
        kept = {
            f"{average}/{name}": value
            for average in AVERAGES
            for name, value in getattr(self.allocator, average).items()
        }
        ranks = {f"ranks/{name}": torch.tensor(left) for name, left in (self.config.rank_pattern or {}).items()}
        return kept | ranks

    def carry_on(self, carried: Mapping[str, Tensor]) -> None:
        """See `carried`."""
        for key, value in carried.items():
            kind, _, name = key.partition("/")
            if kind == "ranks":
                self.config.rank_pattern = {**(self.config.rank_pattern or {}), name: value.tolist()}
            else:
                getattr(self.allocator, kind)[name] = value.to(self.backbone.device)
                self.allocator.ipt[name] = torch.zeros_like(value)  # read only once it was set anew

    def save(self, folder: Path) -> None:
        """PEFT's files with the ranks that are left alone: those whose value is not zero.

        Not the allocator's: what is kept may be the best step's weights, which had more of them.
        """
        left = {
            name: (p != 0).view(-1).tolist()
            for name, p in self.backbone.model.named_parameters()
            if name.endswith(VALUES)
        }
        before_any_step = not any(any(ranks) for ranks in left.values())
        training = self.config.rank_pattern
        self.config.rank_pattern = None if before_any_step else left
        try:
            super().save(folder)
        finally:
            self.config.rank_pattern = training

    def _read(self, folder: Path) -> dict[str, Tensor]:
        """The ranks of the file where they were among all that the adapter starts with; the others' value is zero."""
        values = super()._read(folder)
        for name, left in read_rank_pattern(folder).items():
            key = name.removesuffix(".default").removesuffix(".lora_E")
            where = torch.tensor(left)
            for part, axis in (("lora_E", 0), ("lora_A", 0), ("lora_B", 1)):
                kept = values[f"base_model.model.{key}.{part}"]
                shape = list(kept.shape)
                shape[axis] = len(left)
                values[f"base_model.model.{key}.{part}"] = kept.new_zeros(shape).index_copy_(
                    axis, where.nonzero().view(-1), kept
                )
        return values


class AdaLoraTuning(TargetedMethod):
    """Each update is P·Λ·Q with more ranks than wanted; the least important are dropped while it trains."""

    name: ClassVar[str] = "adalora"
    about: ClassVar[str] = "LoRA that gives its ranks to the matrices that need them (AdaLoRA, through PEFT)"
    trains: ClassVar[str] = "two thin matrices and their singular values beside each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=1e-2, auto_rates=(3e-3, 1e-2, 3e-2))
    tunable: ClassVar[type[AdapterTunable]] = AdaLoraTunable

    rank: int = Field(8, gt=0, description="mean rank of a matrix at the end")
    start_rank: int = Field(12, gt=0, description="rank of every matrix at the start")
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    initial: float = Field(0.15, ge=0, lt=1, description="share of the steps before the first rank is dropped")
    final: float = Field(0.45, ge=0, lt=1, description="share of the steps after the last one")
    interval: int = Field(1, gt=0, description="steps between two allocations")
    orthogonality: float = Field(0.5, ge=0, description="weight of the penalty on factors that are not orthonormal")

    @model_validator(mode="after")
    def _some_time_and_ranks(self) -> "AdaLoraTuning":
        if self.start_rank <= self.rank:
            raise ValueError(f"start_rank ({self.start_rank}) must be above rank ({self.rank}): ranks are dropped")
        if self.initial + self.final >= 1:
            raise ValueError(f"initial ({self.initial}) and final ({self.final}) leave no steps to drop ranks in")
        return self

    def peft_config(self) -> AdaLoraConfig:
        """See AdapterMethod. The numbers of steps are those of the training, not known yet."""
        return AdaLoraConfig(
            init_r=self.start_rank,
            target_r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
            target_modules=self.target_modules,
            total_step=1,
        )

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """See AdapterMethod."""
        tunable = super().tune(backbone, layout, setting)
        assert isinstance(tunable, AdaLoraTunable)
        tunable.shares = (self.initial, self.final)
        return tunable
