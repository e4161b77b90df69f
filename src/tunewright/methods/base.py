"""What a way of tuning is: its settings, and what it makes of a backbone."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tunewright.backbones.base import Backbone, Family
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout

if TYPE_CHECKING:
    from tunewright.prompts.demonstrations import Demonstrations
    from tunewright.prompts.segments import Soft
    from tunewright.task_block import Kind

Placement = Literal["very-front", "front", "after-fields", "end"]


@dataclass(frozen=True)
class OptimizerDefaults:
    """What a method uses where the recipe is silent. `auto_rates` are tried by `learning_rate: auto`."""

    learning_rate: float
    auto_rates: tuple[float, ...]
    optimizer: Literal["adamw", "adafactor", "adafactor-scaled", "lion", "sgd"] = "adamw"
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    weight_decay: float = 0.0
    steps: int = 200
    batch_size: int = 8
    patience: int | None = None
    evaluate_every: int | None = None  # steps between looks at most; None: ten looks


@dataclass(frozen=True)
class Setting:
    """What a method may know of the task: its kind, its labels as label words, and the run's seed.

    With several tasks `labels_by_task` has each one's; a slot group's name starts with its task's then.
    """

    kind: "Kind"
    labels: tuple[str, ...]
    seed: int
    labels_by_task: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()  # the labels of words, in a task of kind tag
    standard: tuple[float, float] = (0.0, 1.0)  # mean and standard deviation of a regression's training targets

    def labels_of(self, group: str) -> tuple[str, ...]:
        """The labels that a class-label start of this slot group reads; of slots that tasks share, all labels."""
        task = self.task_of(group)
        return self.labels if task is None else self.labels_by_task[task]

    def task_of(self, group: str) -> str | None:
        """The task whose own a slot group is; None for slots that tasks share, and in a run of one task."""
        own = [task for task in self.labels_by_task if group.startswith(f"{task}/")]
        return max(own, key=len, default=None)  # a name may hold a slash


class Method(BaseModel):
    """The recipe's `method:` block. A new way of tuning is a subclass and a line in the registry."""

    model_config = ConfigDict(extra="forbid")

    name: ClassVar[str]
    about: ClassVar[str]
    trains: ClassVar[str]
    families: ClassVar[tuple[Family, ...]] = ("causal", "seq2seq", "masked")
    defaults: ClassVar[OptimizerDefaults | None]
    by_family: ClassVar[Mapping[Family, OptimizerDefaults]] = {}  # where a family of models wants others
    own_head: ClassVar[bool] = False  # it answers with an output a label, so one task alone
    wants_weights: ClassVar[bool] = True  # False: a model behind an API will do

    def slots(self) -> "tuple[Soft, Placement | None] | None":
        """The slots this method adds to a template that has none, and where (None: the family's default)."""
        return None

    def demonstrations(self) -> "Demonstrations | None":
        """The in-context examples this method wants before each prompt."""
        return None

    @property
    def shares_slots(self) -> bool:
        """Whether the slots it adds are the same for all tasks of a run of several."""
        return False

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """What training uses where the recipe is silent; None for a method that trains nothing."""
        return self.by_family.get(family, self.defaults)

    @abstractmethod
    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> "Tunable":
        """Make the trained parts, and set `requires_grad` of the backbone's weights accordingly."""

    def kept_in(self, folder: Path) -> "Method":
        """The method whose tunable will `load` what `save` wrote into `folder`.

        Differs from this one where the recipe names files to start from: they may be gone by then.
        """
        return self


class Tunable(nn.Module):
    """What is trained beside or inside the backbone."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._backbone = [backbone]  # in a list: its weights are not this module's

    @property
    def backbone(self) -> Backbone:
        """The backbone being tuned."""
        return self._backbone[0]

    def table(self) -> Tensor | None:
        """The prompt table [S, d], None where there are no soft prompts."""
        return None

    def layer_kv(self) -> Tensor | None:
        """A deep prompt: keys and values before the input in every layer, [P, layers, 2, heads, head_dim]."""
        return None

    prefix_length: int = 0  # P: places that a deep prompt takes from each row
    keeps_model: bool = False  # `save` writes the whole network: what is frozen must not be rounded either
    already_tuned: bool = False  # answers otherwise than the plain model before any training (read from files)

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the model answers as it was. Soft slots are left out by whoever encodes the rows."""
        yield

    @property
    def detaches(self) -> bool:
        """Whether `detached` gives the model as it was: not where its own weights are trained and no copy is kept."""
        return not any(name.startswith("model.") for name in self.trained())

    def begin(self, steps: int) -> None:
        """Told before each training how many steps it has (also before the short ones that try a rate)."""

    def penalty(self) -> Tensor | None:
        """What is added to a step's loss (a number that gradients flow from); the log has the loss without it."""
        return None

    def after_step(self, step: int) -> None:
        """Told after the optimiser's step (1 is the first) while its gradients are still there."""

    def carried(self) -> dict[str, Tensor]:
        """What the next steps need beside weights and optimiser: checkpoints hold it."""
        return {}

    def carry_on(self, carried: Mapping[str, Tensor]) -> None:
        """Go on from what `carried` gave."""

    def merge(self) -> None:
        """Put what was trained into the model's own weights. Raises InputError where they have no place for it."""
        raise InputError("what was trained has no place in the model's own weights")

    def head(self) -> nn.Module | None:
        """A head with outputs [B, outputs], None where the vocabulary head answers. See `reads`."""
        return None

    # What a head reads: the input's states, the one where the answer begins, or one a word (its first or last token's).
    reads: Literal["pool", "state", "words", "word-ends"] = "pool"
    standard: tuple[float, float] = (0.0, 1.0)  # a head's number times the second plus the first is what is meant
    wants_states: bool = False  # its start is made of the training rows' states: `start_from` is called before training

    def start_from(self, states: Tensor, gold: Tensor) -> None:
        """Begin with these rows: states [N, d] where the answer begins, their labels' indices [N]."""
        raise NotImplementedError

    vote: Literal["sum", "majority"] = "sum"  # how several members answer

    @property
    def members(self) -> int:
        """How many prompts answer together: the table is theirs, one below the other, [members · S, d]."""
        return 1

    def rate_of(self, name: str) -> float:
        """What the learning rate of a trained parameter is multiplied by."""
        return 1.0

    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, this module's own and the backbone's."""
        own = {f"tunable.{name}": p for name, p in self.named_parameters() if p.requires_grad}
        inside = {f"model.{name}": p for name, p in self.backbone.model.named_parameters() if p.requires_grad}
        return own | inside

    def save(self, folder: Path) -> None:
        """Write what is to be kept into `folder` (safetensors; fp32)."""
        tensors = {name: p.detach().cpu().contiguous() for name, p in self.trained().items()}
        if tensors:
            save_file(tensors, folder / "weights.safetensors", metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. Raises InputError where the file does not fit this model."""
        if self.trained():
            copy_into(self.trained(), load_safetensors(folder / "weights.safetensors"), str(folder))


def load_model_files(folder: Path) -> dict[str, Tensor]:
    """The weights that `save_pretrained` wrote into a folder, by the names of `Tunable.trained`; tied ones once."""
    values: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        values |= {f"model.{name}": value for name, value in load_safetensors(file).items()}
    return values


def load_safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; InputError where it is missing or no such file."""
    try:
        return load_file(file)
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except SafetensorError as error:
        raise InputError(f"{file}: not a safetensors file ({error})") from None


@torch.no_grad()
def copy_into(targets: Mapping[str, Tensor], values: Mapping[str, Tensor], where: str) -> None:
    """Copy named tensors in place. Raises InputError naming the first one missing or of another shape."""
    for name, target in targets.items():
        if name not in values:
            raise InputError(f"{where}: no tensor {name!r}: it was made by another method or model")
        if values[name].shape != target.shape:
            raise InputError(f"{where}: {name} has shape {list(values[name].shape)}, the model {list(target.shape)}")
        target.copy_(values[name])
