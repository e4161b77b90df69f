"""Verbalizers whose label vectors are trained: soft ones (WARP) and prototypes (ProtoVerb)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from safetensors.torch import save_file
from torch import Tensor, nn

from tunewright.backbones.base import Backbone, Family
from tunewright.backbones.heads import output_vectors, vocabulary_input
from tunewright.errors import InputError
from tunewright.methods.base import (
    Method,
    OptimizerDefaults,
    Placement,
    Setting,
    Tunable,
    copy_into,
    load_model_files,
    load_safetensors,
)
from tunewright.methods.soft.soft import SoftMethod, SoftTunable
from tunewright.methods.soft.starts import words_to_ids
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Soft

_VECTORS = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))
_PROMPT = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))
_MODEL = OptimizerDefaults(learning_rate=5e-5, auto_rates=(2e-5, 5e-5, 1e-4), weight_decay=0.01)
_FILE = "verbalizer.safetensors"


class SoftVerbalizer(SoftMethod):
    """A trained vector a label in the place of label words, compared with the state where the answer would begin.

    That state stands at the last position before the answer (causal), at one mask (masked), at the decoder's first
    step (seq2seq). Soft (Hambardzumyan et al. 2021; OpenPrompt's SoftVerbalizer): score = vector · what the vocabulary
    head multiplies; each vector starts as its label word's output vector (the mean, where the word has several
    tokens), so that a one-token word's score is its logit, up to the head's bias. With `prototypes` (the mean form of
    Cui et al. 2022, without their projection and contrast of pairs): cosine to the label's mean state over training
    rows, divided by `temperature`; both are taken from the mean of the labels' means, for states of language models
    all point much the same way.
    """

    name: ClassVar[str] = "soft-verbalizer"
    about: ClassVar[str] = "trained label vectors in the place of label words (WARP), or prototypes (ProtoVerb)"
    trains: ClassVar[str] = "labels × width, and as `train` says the prompt table or all weights"
    defaults: ClassVar[OptimizerDefaults | None] = _VECTORS
    own_head: ClassVar[bool] = True

    train: Literal["vectors", "prompt", "model"] = Field(
        "vectors", description="the label vectors alone, these and a prompt, or these and all weights"
    )
    prototypes: bool = Field(False, description="start from the labels' mean states, score by cosine")
    temperature: float = Field(0.1, gt=0, description="of prototypes: scores are cosines divided by it")

    @model_validator(mode="after")
    def _keys_in_use(self) -> "SoftVerbalizer":
        given = sorted(self.model_fields_set & set(SoftMethod.model_fields))
        if self.train != "prompt" and given:
            raise ValueError(f"{given[0]} is for train: prompt")
        if "shared" in given:
            raise ValueError("shared is for several tasks; a verbalizer answers one")
        if "temperature" in self.model_fields_set and not self.prototypes:
            raise ValueError("temperature is for prototypes: true")
        return self

    @property
    def table_only(self) -> bool:
        """Never: the label vectors are kept beside it."""
        return False

    def slots(self) -> tuple[Soft, Placement | None] | None:  # type: ignore[override]
        """Its own only where a prompt is trained."""
        return super().slots() if self.train == "prompt" else None

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """Rates are those of what is trained most slowly; the label vectors keep their own (`rate_of`)."""
        return {"vectors": _VECTORS, "prompt": _PROMPT, "model": _MODEL}[self.train]

    def kept_in(self, folder: Path) -> Method:
        """As it is, without the prompt it started from."""
        return super().kept_in(folder) if self.train == "prompt" else self

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Make the label vectors, and the prompt table where one is trained."""
        if setting.kind != "classify":
            raise InputError(f"method {self.name}: a task of kind classify wanted, found {setting.kind}")
        if self.train == "model":
            backbone.model.float()
        backbone.model.requires_grad_(self.train == "model")
        scores: SoftLabels | PrototypeLabels
        if self.prototypes:
            scores = PrototypeLabels(len(setting.labels), backbone.width, self.temperature)
        else:
            scores = SoftLabels(backbone, label_vectors(backbone, setting.labels))
        table = self.start(backbone, layout, setting) if self.train == "prompt" else None
        rates = self.defaults_for(backbone.family)
        assert rates is not None
        share = _VECTORS.learning_rate / rates.learning_rate
        return VerbalizerTunable(backbone, layout, scores, table, share)


def label_vectors(backbone: Backbone, words: Sequence[str]) -> Tensor:
    """The output vector of each word, the mean over its tokens: [len(words), d], fp32."""
    rows = [output_vectors(backbone.model, words_to_ids(backbone, word), backbone.name).mean(0) for word in words]
    return torch.stack(rows)


class SoftLabels(nn.Module):
    """States [B, d] → scores [B, L]: what the vocabulary head multiplies, times the label vectors."""

    def __init__(self, backbone: Backbone, start: Tensor) -> None:
        super().__init__()
        self._backbone = [backbone]  # its weights are not this module's
        self.vectors = nn.Parameter(start.clone())  # [L, d]

    def forward(self, states: Tensor) -> Tensor:
        """See the class."""
        read = vocabulary_input(self._backbone[0].model, states)
        with torch.autocast(states.device.type, enabled=False):  # scores in fp32, as those of label words
            return read.float() @ self.vectors.T


class PrototypeLabels(nn.Module):
    """States [B, d] → scores [B, L]: cosine of the state and each prototype, both seen from the centre, / τ."""

    def __init__(self, labels: int, width: int, temperature: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(labels, width))  # [L, d], prototypes minus centre
        self.centre = nn.Parameter(torch.zeros(width))  # [d]
        self.temperature = temperature

    @torch.no_grad()
    def start(self, states: Tensor, gold: Tensor) -> None:
        """Each prototype the mean of its label's rows, the centre the mean of the prototypes."""
        means = torch.stack([states[gold == label].mean(0) for label in range(len(self.vectors))])  # [L, d]
        self.centre.copy_(means.mean(0))
        self.vectors.copy_(means - self.centre)

    def forward(self, states: Tensor) -> Tensor:
        """See the class."""
        with torch.autocast(states.device.type, enabled=False):
            seen = F.normalize(states.float() - self.centre, dim=-1)
            return seen @ F.normalize(self.vectors, dim=-1).T / self.temperature


class VerbalizerTunable(SoftTunable):
    """The label vectors, the prompt table where one is trained, and where the model is, its weights."""

    reads = "state"

    def __init__(
        self,
        backbone: Backbone,
        layout: SlotLayout,
        scores: SoftLabels | PrototypeLabels,
        table: Tensor | None,
        vectors_share: float,
    ) -> None:
        super().__init__(backbone, layout)
        self.scores = scores.to(backbone.device)
        self.prompt = None if table is None else nn.Parameter(table.float().to(backbone.device))  # [S, d]
        self.wants_states = isinstance(scores, PrototypeLabels)
        self._share, self._away = vectors_share, False

    def head(self) -> nn.Module | None:
        """The scores; None while detached, where the label words answer."""
        return None if self._away else self.scores

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, label words answer as in the untuned model."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def start_from(self, states: Tensor, gold: Tensor) -> None:
        """The prototypes' start."""
        assert isinstance(self.scores, PrototypeLabels)
        self.scores.start(states, gold)

    def rate_of(self, name: str) -> float:
        """Label vectors learn at their own rate."""
        return self._share if name.startswith("tunable.scores.") else 1.0

    def table(self) -> Tensor | None:
        """[S, d], None where no prompt is trained."""
        return self.prompt

    @torch.no_grad()
    def put(self, table: Tensor) -> None:
        """Copy a table in."""
        assert self.prompt is not None
        self.prompt.copy_(table)

    @property
    def _trains_model(self) -> bool:
        return any(name.startswith("model.") for name in self.trained())

    def save(self, folder: Path) -> None:
        """`verbalizer.safetensors`, and beside it the prompt's files or the model's folder."""
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.scores.named_parameters()}
        save_file(tensors, folder / _FILE, metadata={"format": "pt"})
        if self.prompt is not None:
            super().save(folder)
        if self._trains_model:
            self.backbone.model.save_pretrained(folder)
            self.backbone.tokenizer.save_pretrained(folder)

    def load(self, folder: Path) -> None:
        """Read them back. Raises InputError where they do not fit."""
        copy_into(dict(self.scores.named_parameters()), load_safetensors(folder / _FILE), str(folder))
        if self.prompt is not None:
            super().load(folder)
        if self._trains_model:
            inside = {name: p for name, p in self.trained().items() if name.startswith("model.")}
            copy_into(inside, load_model_files(folder), str(folder))
