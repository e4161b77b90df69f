"""What remedies add to each step's loss: replay, L2-SP, EWC, KL to the original model."""

import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tunewright.backbones.examples import Example
from tunewright.backbones.load import make_backbone
from tunewright.console import say
from tunewright.forgetting.other_rows import OtherRows
from tunewright.forgetting.subject import Subject
from tunewright.forgetting_block import EwcBlock, KlBlock, RemediesBlock, ReplayBlock
from tunewright.methods.base import Tunable
from tunewright.objectives.regularisers import diagonal_fisher, ewc, kl_from_original, l2_sp
from tunewright.training.tuner import Tuner


class Added:
    """The terms of the remedies in use. `own_share` is what the task's own loss is multiplied by.

    Made before training: the trained weights are at their start then, and so is the model.
    """

    def __init__(self, subject: Subject, block: RemediesBlock, rows: Mapping[str, OtherRows]) -> None:
        """`rows`: what `replay`, `ewc` and `kl` read."""
        self.subject, self.block, self.rows = subject, block, rows
        self.own_share = 1.0 if block.replay is None else 1.0 - block.replay.share
        trained = subject.tuner.tunable.trained()
        anchored = block.l2_sp is not None or block.ewc is not None
        self.start = {name: p.detach().clone() for name, p in trained.items()} if anchored else {}
        self.fisher = self._fisher(block.ewc) if block.ewc is not None else {}
        self.original = self._original() if block.kl is not None else None

    def terms(self, step: int, rows: int) -> Iterator[tuple[str, Tensor]]:
        """Each remedy's term by name, to be added to the loss of a step that reads `rows` rows of the task.

        One after the other, so that no two graphs are in memory together. `replay`'s is ρ times the mean loss of its
        rows, an asked token each, where the task's own loss counts 1 − ρ.
        """
        block, weights = self.block, self.subject.tuner.tunable.trained()
        self.subject.tuner.train()
        if block.replay is not None:
            yield "replay", block.replay.share * self._replayed(block.replay, step, rows)
        if block.l2_sp is not None:
            yield "l2-sp", block.l2_sp.weight * l2_sp(weights, self.start)
        if block.ewc is not None:
            yield "ewc", block.ewc.weight * ewc(weights, self.start, self.fisher)
        if block.kl is not None:
            yield "kl", block.kl.weight * self._kl(block.kl, step)

    def _replayed(self, block: ReplayBlock, step: int, rows: int) -> Tensor:
        """The mean loss of the replayed rows, so many that they are the share ρ of all rows read."""
        count = max(1, round(rows * block.share / (1 - block.share)))
        examples = [pair.attached for pair in self.rows["replay"].draw("replay", step, count)]
        return -self._log_probs(examples).mean()

    def _log_probs(self, examples: list[Example]) -> Tensor:
        tuner = self.subject.tuner
        log_probs: Tensor = tuner(tuner.backbone.collate(examples))  # [N]
        return log_probs

    def _kl(self, block: KlBlock, step: int) -> Tensor:
        tuner = self.subject.tuner
        pairs = self.rows["kl"].draw("kl", step, block.batch_size)
        # The original first: where it is the same model, weights may be put in place for it.
        original = self._original_logits([pair.detached for pair in pairs])
        tuned = tuner.asked_logits(tuner.backbone.collate([pair.attached for pair in pairs]))  # [N, V]
        return kl_from_original(original, tuned)

    @torch.no_grad()
    def _original_logits(self, examples: list[Example]) -> Tensor:
        """[N, V] of the model as it was, without dropout."""
        tuner = self.subject.tuner
        if self.original is not None:
            return self.original.asked_logits(self.original.backbone.collate(examples))
        tuner.model.eval()
        with tuner.tunable.detached():
            found = tuner.asked_logits(tuner.backbone.collate(examples))
        tuner.model.train()
        return found

    def _original(self) -> Tuner | None:
        """A frozen copy of the model, where detaching what is tuned does not give it back."""
        tuner = self.subject.tuner
        if tuner.tunable.detaches:
            return None
        backbone = tuner.backbone
        twin = make_backbone(copy.deepcopy(backbone.model), backbone.tokenizer, backbone.name, backbone.family)
        twin.model.requires_grad_(False)
        twin.plain = backbone.plain
        made = Tuner(twin, Tunable(twin), tuner.precision)
        made.eval()
        size = sum(p.numel() * p.element_size() for p in twin.model.parameters())
        say(f"remedies.kl: all weights are trained, so a frozen copy of the model is kept: {size / 1e6:.0f} MB more")
        return made

    def _fisher(self, block: EwcBlock) -> dict[str, Tensor]:
        """The Fisher information's diagonal at the start, from rows of the other tasks."""
        tuner = self.subject.tuner
        tuner.eval()
        pairs = self.rows["ewc"].draw("fisher", 0, min(block.fisher_rows, len(self.rows["ewc"].pairs)))
        return diagonal_fisher((self._log_probs([pair.attached]).sum() for pair in pairs), tuner.tunable.trained())
