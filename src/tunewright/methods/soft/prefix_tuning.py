"""Prefix tuning (Li & Liang 2021) and P-Tuning v2 (Liu et al. 2022): trained keys and values before every layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

import torch
from peft import PrefixEncoder, PrefixTuningConfig
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from tunewright.backbones.base import Backbone, Family
from tunewright.errors import InputError
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable
from tunewright.methods.soft import starts
from tunewright.methods.soft.prefix_files import kv_shape, read_prefix, write_prefix
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of

Start = Literal["sampled-vocab", "class-label", "text", "random"]
DIRECT = OptimizerDefaults(learning_rate=3e-2, auto_rates=(1e-2, 3e-2, 1e-1))
PROJECTED = OptimizerDefaults(learning_rate=1e-3, auto_rates=(3e-4, 1e-3, 3e-3))


class PrefixStart(BaseModel):
    """`init: {prompt: PATH}`: the start is another run's prefix."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(description="a run's folder, or a folder with prefix.safetensors")


class PrefixTuning(Method):
    """`length` places before the input whose keys and values are trained in every layer; the model is frozen.

    Without `projection` the keys and values themselves are trained (P-Tuning v2), with it a two-layer network makes
    them and is dropped after training (Li & Liang, section 4.3). Unless `init: random` (PEFT's own), training begins
    as if the model had read real words there: with little data that learns far better (section 7.4). Encoder-decoder
    models have the prefix before the decoder, as in PEFT; soft slots of a template are left out.
    """

    name: ClassVar[str] = "prefix-tuning"
    about: ClassVar[str] = "trained keys and values before every layer (Li & Liang 2021; P-Tuning v2)"
    trains: ClassVar[str] = "length × layers × keys and values; with projection the network that makes them"
    defaults: ClassVar[OptimizerDefaults | None] = DIRECT

    length: int = Field(20, gt=0, description="places before the input")
    init: Start | PrefixStart = Field(
        "sampled-vocab", description="the words whose keys and values it starts from; or random; or another run's"
    )
    text: str | None = Field(None, description="the words that `init: text` starts from")
    projection: bool = Field(False, description="train a two-layer network that makes the prefix")
    hidden: int | None = Field(None, gt=0, description="the network's width; none: that of a layer's keys")

    @model_validator(mode="after")
    def _fits(self) -> "PrefixTuning":
        if (self.init == "text") != (self.text is not None):
            raise ValueError("init: text and text: WORDS go together")
        if self.hidden is not None and not self.projection:
            raise ValueError("hidden: is the width of the network that projection: true trains")
        return self

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """A network wants a lower rate than the keys and values themselves."""
        return PROJECTED if self.projection else DIRECT

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze the backbone and start the prefix."""
        backbone.model.requires_grad_(False)
        start = self._start(backbone, setting)
        length = self.length if start is None else len(start)
        return DeepPrompt(backbone, make_encoder(backbone, length, setting.seed, self.projection, self.hidden), start)

    def kept_in(self, folder: Path) -> Method:
        """As it is, without the files it started from."""
        if not isinstance(self.init, PrefixStart):
            return self
        return self.model_copy(update={"init": "random", "length": len(read_prefix(folder).kv)})

    def _start(self, backbone: Backbone, setting: Setting) -> Tensor | None:
        """[P, layers, 2, heads, head_dim]; None for PEFT's random numbers."""
        if isinstance(self.init, PrefixStart):
            kept = read_prefix(Path(self.init.prompt))
            kept.check(backbone)
            if "length" in self.model_fields_set and self.length != len(kept.kv):
                raise InputError(f"{kept.where}: a prefix of {len(kept.kv)}; leave method.length ({self.length}) out")
            return kept.kv
        if self.init == "random":
            return None
        if self.init == "class-label":
            words = starts.class_label(backbone, self.length, setting.labels, setting.seed, "prefix")
        elif self.init == "text":
            words = starts.from_text(backbone, self.length, self.text or "")
        else:
            words = starts.sampled_vocab(backbone, self.length, setting.seed, "prefix")
        return backbone.key_values(words)


def make_encoder(
    backbone: Backbone, length: int, seed: int, projection: bool = False, hidden: int | None = None
) -> PrefixEncoder:
    """PEFT's own, its random numbers drawn from the seed alone."""
    layers, _, heads, size = kv_shape(backbone)
    config = PrefixTuningConfig(
        num_virtual_tokens=length,
        num_layers=layers,
        num_attention_heads=heads,
        token_dim=heads * size,
        prefix_projection=projection,
        encoder_hidden_size=hidden or heads * size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("prefix-tuning", seed) % 2**63)
        return PrefixEncoder(config).float()


class DeepPrompt(Tunable):
    """The prefix: what the encoder makes, shifted by `base` so that training begins at `start`.

    After `load` the encoder is gone and the base is the prefix as it was saved.
    """

    base: Tensor  # [P, layers, 2, heads, head_dim]

    def __init__(self, backbone: Backbone, encoder: PrefixEncoder, start: Tensor | None = None) -> None:
        super().__init__(backbone)
        self.shape = kv_shape(backbone)
        self.encoder: PrefixEncoder | None = encoder.to(backbone.device)
        self.prefix_length = encoder.embedding.num_embeddings
        self._attached = True
        self.register_buffer("base", torch.zeros(self.prefix_length, *self.shape, device=backbone.device))
        if start is not None:
            self._begin_at(start.to(backbone.device))

    @torch.no_grad()
    def _begin_at(self, start: Tensor) -> None:
        assert self.encoder is not None
        if self.encoder.prefix_projection:
            self.base = start - self._made()
        else:  # the numbers trained are the keys and values themselves
            self.encoder.embedding.weight.copy_(start.flatten(1))

    def _made(self) -> Tensor:
        """What the encoder makes, [P, layers, 2, heads, head_dim]."""
        assert self.encoder is not None
        flat: Tensor = self.encoder(torch.arange(self.prefix_length, device=self.base.device))
        return flat.view(-1, *self.shape)

    def layer_kv(self) -> Tensor | None:
        """[P, layers, 2, heads, head_dim]."""
        if not self._attached:
            return None
        return self.base if self.encoder is None else self.base + self._made()

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, there is no prefix."""
        self._attached = False
        try:
            yield
        finally:
            self._attached = True

    @torch.no_grad()
    def save(self, folder: Path) -> None:
        """`prefix.safetensors` and `prefix.json`."""
        kv = self.layer_kv()
        assert kv is not None
        write_prefix(folder, kv, self.backbone)

    def load(self, folder: Path) -> None:
        """Read them back, without the encoder. Raises InputError where they do not fit this model or length."""
        kept = read_prefix(folder)
        kept.check(self.backbone)
        self.put(kept.kv)

    @torch.no_grad()
    def put(self, kv: Tensor) -> None:
        """Fix the prefix; the encoder is dropped."""
        self.encoder = None
        self.prefix_length = len(kv)
        self.base = kv.to(self.base.device)
