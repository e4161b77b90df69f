"""Models that write instructions: one on this machine, or one behind an API."""

from typing import Literal, Protocol

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.backbones.load import load_backbone, pick_precision
from tunewright.backbones.sampling import Sampling
from tunewright.endpoints import asking
from tunewright.endpoints.client import Endpoint
from tunewright.errors import InputError
from tunewright.methods.base import Tunable
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt
from tunewright.recipe import EndpointBlock
from tunewright.runs.at_endpoint import Ready
from tunewright.runs.prepare import Prepared
from tunewright.training.tuner import Tuner

Form = Literal["plain", "chat"]


class Writer(Protocol):
    """`forms`: how it can be asked. `reads`: how long a prompt may be, for messages."""

    name: str
    forms: tuple[Form, ...]
    reads: str

    def fits(self, prompt: Prompt, max_tokens: int, room: int, *, cut: bool) -> bool:
        """Whether the prompt and `room` new tokens pass `max_tokens` nowhere; `cut`: with its rows' texts cut."""

    def write(self, prompt: Prompt, max_tokens: int, room: int, sampling: Sampling) -> tuple[str, bool]:
        """A drawn text for a prompt that fits, and whether it came to its own end."""


class LocalWriter:
    """A causal or encoder-decoder model as it is untuned."""

    forms: tuple[Form, ...]

    def __init__(self, tuner: Tuner) -> None:
        self.tuner, self.name = tuner, tuner.backbone.name
        self.forms = ("plain", "chat") if tuner.backbone.tokenizer.chat_template else ("plain",)
        self.reads = f"{self.name} reads {tuner.backbone.positions()}"

    def fits(self, prompt: Prompt, max_tokens: int, room: int, *, cut: bool) -> bool:
        """See Writer."""
        try:
            return not self._example(prompt, max_tokens, room).shortened or cut
        except InputError:
            return False

    def write(self, prompt: Prompt, max_tokens: int, room: int, sampling: Sampling) -> tuple[str, bool]:
        """See Writer."""
        backbone = self.tuner.backbone
        batch = backbone.collate([self._example(prompt, max_tokens, room)], "left")
        with self.tuner.tunable.detached():
            (text,) = self.tuner.generate(batch, room, sampling)
        return text, len(backbone.text.ids_of_words(text)) < room - 1  # the end token and a first space

    def _example(self, prompt: Prompt, max_tokens: int, room: int) -> Example:
        (example,) = self.tuner.backbone.encode_many(
            [prompt], SlotLayout(), "generate", max_tokens=max_tokens, room=room
        )
        return example


class EndpointWriter:
    """A model behind an API. Its prompts are as long as they are where no tokenizer counts them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.name = endpoint, endpoint.block.shown
        self.forms: tuple[Form, ...] = ("chat",) if endpoint.block.mode == "chat" else ("plain",)
        self.reads = f"counted with {endpoint.block.tokenizer}"

    def fits(self, prompt: Prompt, max_tokens: int, room: int, *, cut: bool) -> bool:
        """See Writer."""
        try:
            _, shortened = asking.fitted(self.endpoint, prompt, "induce", max_tokens, room, choices=False)
        except InputError:
            return False
        return cut or not shortened

    def write(self, prompt: Prompt, max_tokens: int, room: int, sampling: Sampling) -> tuple[str, bool]:
        """See Writer."""
        fitted, _ = asking.fitted(self.endpoint, prompt, "induce", max_tokens, room, choices=False)
        return asking.draw(self.endpoint, fitted, "induce", room, sampling)


def writer_of(prepared: Ready, model: str | EndpointBlock | None) -> Writer:
    """The model of that name or address; None: the recipe's own. Raises InputError for a masked model."""
    if isinstance(model, EndpointBlock):
        return EndpointWriter(Endpoint(model))
    if model is None and not isinstance(prepared, Prepared):
        return EndpointWriter(prepared.tuner)
    if model is None:
        assert isinstance(prepared, Prepared)
        if prepared.backbone.family == "masked":
            raise InputError("induce: a masked model writes no instructions: name one that does (model: …)")
        return LocalWriter(prepared.tuner)
    backbone: Backbone = load_backbone(model)
    if backbone.family == "masked":
        raise InputError(f"induce: model {model!r}: a causal or seq2seq model wanted, found masked")
    backbone.model.requires_grad_(False)
    precision = pick_precision(prepared.recipe.training.precision)
    return LocalWriter(Tuner(backbone, Tunable(backbone), precision).eval())
