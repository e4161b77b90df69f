"""Backbone and tunable as one module: every forward pass of every method goes through it."""

from typing import Literal

import torch
from torch import Tensor, nn

from tunewright.backbones.base import Backbone
from tunewright.backbones.batch import Batch
from tunewright.backbones.constant_prefix import ConstantPrefixes
from tunewright.backbones.sampling import Sampling
from tunewright.methods.base import Tunable
from tunewright.objectives.log_probs import asked_log_probs, picked_log_probs


class Tuner(nn.Module):
    """The one module given to Accelerate, so that DDP, FSDP and autocast see every call."""

    def __init__(self, backbone: Backbone, tunable: Tunable, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        super().__init__()
        self.backbone = backbone
        self.model = backbone.model
        self.tunable = tunable
        self.precision = precision
        self.prefixes: ConstantPrefixes | None = None  # while training, where rows come again
        if precision == "bf16" and not tunable.keeps_model:
            self._cast_frozen()

    def _cast_frozen(self) -> None:
        """Frozen weights are kept in bf16; what is trained stays in fp32.

        So do layer norms where something inside the model is trained: what reaches them may then be fp32, which torch
        refuses to norm with bf16 weights, as it refuses a scale and a shift of different precision.
        """
        inside = any(parameter.requires_grad for parameter in self.model.parameters())
        norms = [module for module in self.model.modules() if isinstance(module, nn.LayerNorm)] if inside else []
        kept = {id(parameter) for module in norms for parameter in module.parameters()}
        for parameter in self.model.parameters():
            if not parameter.requires_grad and id(parameter) not in kept:
                parameter.data = parameter.data.to(torch.bfloat16)

    def autocast(self) -> torch.autocast:
        """bf16 for matrix products where the run asks for it."""
        return torch.autocast(self.backbone.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def forward(self, batch: Batch) -> Tensor:
        """Log probabilities [N] of the asked tokens; with a head, its outputs [B, outputs] ([N, outputs] of words)."""
        return self.member_log_probs(batch).mean(0) if self.tunable.members > 1 else self._forward(batch)

    def member_log_probs(self, batch: Batch) -> Tensor:
        """Of an ensemble: log probabilities [members, N], all prompts in one forward pass (Lester et al. 2021, §6)."""
        members = self.tunable.members
        table = self.tunable.table()
        assert table is not None
        return self._forward(batch.repeated(members, len(table) // members)).view(members, -1)

    def asked_logits(self, batch: Batch) -> Tensor:
        """The vocabulary head's logits [N, V] at what is asked, with their gradient."""
        table = self.tunable.table() if batch.any_soft else None
        with self.autocast():
            return self.backbone.logits(self._asked(batch, table))

    @torch.no_grad()
    def answers(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log probabilities [N] of the asked tokens, and whether each is the model's first choice, bool [N]."""
        logits = self.asked_logits(batch)
        return picked_log_probs(logits, batch.ask_token), logits.argmax(-1) == batch.ask_token

    def _forward(self, batch: Batch) -> Tensor:
        # Made outside autocast: an encoder's LSTM stays fp32. Always made in training: what is trained then takes part
        # in every pass, also where a template's condition leaves its slots out.
        table = self.tunable.table() if batch.any_soft or self.training else None
        head = self.tunable.head()
        with self.autocast():
            if head is not None and self.tunable.reads == "state":
                return head(self._asked(batch, table))
            if head is not None:
                states = self.backbone.encoder_states(batch, table)  # [R, T, d]
                if self.tunable.reads != "pool":  # words
                    return head(states[batch.ask_row, batch.ask_position])
                return head(states, batch.mask, batch.last)
            states = self._asked(batch, table)  # [N, d]
            return asked_log_probs(self.backbone.logits, states, batch.ask_token, self.model.config.vocab_size)

    def _asked(self, batch: Batch, table: Tensor | None) -> Tensor:
        """[N, d]: the states that predict what is asked."""
        found = self.prefixes.states(batch, table) if self.prefixes is not None and table is not None else None
        states, batch = found or (self.backbone.states(batch, table, self.tunable.layer_kv()), batch)
        return states[batch.ask_row, batch.ask_position]

    @torch.no_grad()
    def asked_states(self, batch: Batch) -> Tensor:
        """The states [N, d] that predict what is asked, fp32."""
        with self.autocast():
            return self._asked(batch, self.tunable.table() if batch.any_soft else None).float()

    @torch.no_grad()
    def generate(self, batch: Batch, max_new_tokens: int, sampling: Sampling | None = None) -> list[str]:
        """Answers, one a row: greedy, or drawn."""
        assert self.tunable.members == 1  # whoever puts a run together refuses an ensemble for tasks that write
        table = self.tunable.table() if batch.any_soft else None
        with self.autocast():
            return self.backbone.generate(batch, table, max_new_tokens, self.tunable.layer_kv(), sampling)
