"""How much memory a training will take, before it starts: counted from the weights and from what one row keeps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tunewright.backbones.batch import Batch
from tunewright.training.tuner import Tuner


@dataclass(frozen=True)
class Memory:
    """Bytes that a training needs. `program` and `weights` are there already when it is estimated."""

    program: int  # the process without the weights: libraries, data
    weights: int  # the network and what is trained beside it
    gradients: int
    optimizer: int
    activations: int  # what the longest pass keeps for the way back, bf16 copies of weights among it
    logits: int
    working: int  # what is there for a moment: gradients of states, a block's insides, a look at validation, a copy
    store: int  # keys and values of constant prefixes, states of constant encoder rows
    holes: int  # what the allocator keeps between live tensors

    @property
    def added(self) -> int:
        """What must still be free, holes left out."""
        return self.gradients + self.optimizer + self.activations + self.logits + self.working + self.store

    @property
    def peak(self) -> int:
        """The whole process at its highest."""
        return self.program + self.weights + self.added + self.holes


def weight_bytes(tuner: Tuner) -> int:
    """Of all weights and buffers, shared ones once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _own(tuner)}
    return sum(storages.values())


def gradient_bytes(tuner: Tuner) -> int:
    """Of one gradient for each trained weight."""
    return sum(p.numel() * p.element_size() for p in tuner.tunable.trained().values())


def optimizer_bytes(tuner: Tuner, optimizer: str) -> int:
    """AdamW: two buffers for each trained weight; Lion: one; Adafactor: a row and a column for each matrix; SGD: none.

    Adafactor also makes one weight's update at a time, three times as large as the weight while it is made.
    """
    trained = list(tuner.tunable.trained().values())
    if optimizer in ("adamw", "lion"):
        return (2 if optimizer == "adamw" else 1) * sum(4 * p.numel() for p in trained)
    if optimizer == "sgd":
        return 0
    factored = sum(4 * (p.numel() // p.shape[-1] + p.numel() // p.shape[-2]) for p in trained if p.dim() >= 2)
    whole = sum(4 * p.numel() for p in trained if p.dim() < 2)
    return factored + whole + 3 * max((4 * p.numel() for p in trained), default=0)


@dataclass(frozen=True)
class Kept:
    """Bytes that a pass keeps for the way back, the weights themselves left out."""

    states: int
    logits: int
    largest: int  # of a single tensor of states
    copies: int = 0  # of weights, in bf16: what does not grow with the rows
    block: int = 0  # what one block has inside, where checkpointing throws it away


def kept_by(tuner: Tuner, batch: Batch, *, training: bool) -> Kept:
    """What a forward pass of the batch keeps, each storage once, by autograd's hooks for saved tensors.

    Nothing is left behind, the random state and the mode are as they were.
    """
    own = {t.untyped_storage().data_ptr() for t in _own(tuner)}
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            saved[place] = tensor  # held on to: another's storage must not come to stand at its address
        return tensor

    was = tuner.training
    devices = [tuner.backbone.device] if tuner.backbone.device.type != "cpu" else []
    with torch.random.fork_rng(devices=devices), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        tuner.train(training)
        with torch.enable_grad():
            tuner(batch)
    tuner.train(was)
    logits = states = largest = 0
    for tensor in saved.values():
        size = tensor.untyped_storage().nbytes()
        if tensor.dim() == 2 and tensor.shape[-1] == tuner.backbone.vocabulary:
            logits += size
        else:
            states += size
            largest = max(largest, size if tensor.shape[:1] == batch.ids.shape[:1] else 0)
    return Kept(states, logits, largest)


def kept_by_rows(tuner: Tuner, unit: Callable[[int], Batch], units: int) -> Kept:
    """What a pass over `units` units keeps, `unit(n)` being a batch of n. Measured with one and with two of them."""
    one, two = kept_by(tuner, unit(1), training=True), kept_by(tuner, unit(2), training=True)
    a_unit, logits = two.states - one.states, two.logits - one.logits
    copies = max(one.states - a_unit, 0) + max(one.logits - logits, 0)
    block = 0
    if any(getattr(module, "gradient_checkpointing", False) for module in tuner.model.modules()):
        config = tuner.model.config
        blocks = int(config.num_hidden_layers) + int(getattr(config, "num_decoder_layers", None) or 0)
        inside = kept_by(tuner, unit(1), training=False).states - copies  # checkpoints are made in training only
        block = inside * units // blocks
    return Kept(a_unit * units, logits * units, one.largest * units, copies, block)


def _own(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
