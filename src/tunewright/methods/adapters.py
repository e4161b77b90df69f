"""PEFT's adapters inside the backbone: put in, switched off, saved and read as PEFT's own files, merged."""

import copy
import json
import logging
import re
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
from peft.utils.save_and_load import load_peft_weights
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, Setting, Tunable, copy_into
from tunewright.methods.structure import attention_linears, linear_names, norm_modules
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# PEFT has no type for masked language models, and needs none.
TASK_TYPES = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}
# What PEFT raises for a configuration or a model that it has no form for.
REFUSALS = (ValueError, TypeError, NotImplementedError, RuntimeError, AttributeError, KeyError, ImportError)


class AdapterTunable(Tunable):
    """An adapter that PEFT put into the backbone, kept in PEFT's own files."""

    def __init__(self, backbone: Backbone, adapted: PeftModel) -> None:
        super().__init__(backbone)
        self._adapted = [adapted]  # in a list, as the backbone: its weights are the model's

    @property
    def adapted(self) -> PeftModel:
        """PEFT's view of the backbone's model."""
        return self._adapted[0]

    @property
    def config(self) -> Any:
        """The adapter's configuration, as PEFT filled it in."""
        return self.adapted.peft_config["default"]

    @property
    def detaches(self) -> bool:
        """The model's own weights stay as they are."""
        return True

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the adapter is switched off."""
        with self.adapted.disable_adapter():
            yield

    def save(self, folder: Path) -> None:
        """`adapter_config.json` and `adapter_model.safetensors`, as PEFT writes them."""
        tensors = {name: value.cpu().clone().contiguous() for name, value in self._state().items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        config = copy.deepcopy(self.config)
        config.task_type = TASK_TYPES.get(self.backbone.family)
        config.base_model_name_or_path = self.backbone.name
        config.inference_mode = True
        config.save_pretrained(str(folder))

    def load(self, folder: Path) -> None:
        """Read an adapter written by `save` (or by PEFT, with the same settings)."""
        if not (folder / WEIGHTS).is_file():
            raise InputError(f"{folder}: no {WEIGHTS}")
        values, ours = self._read(folder), self._state()
        if unknown := sorted(values.keys() - ours.keys()):
            name = unknown[0].removeprefix("base_model.model.")
            raise InputError(f"{folder}: it holds {name!r}, which {self.backbone.name} has no place for")
        copy_into(_plain(ours), _plain(values), str(folder))
        set_peft_model_state_dict(self.adapted, values)  # for what is kept in another form than it is used in

    def merge(self) -> None:
        """The adapter into the weights beside it. Raises InputError where PEFT cannot."""
        try:
            self.adapted.merge_and_unload()
        except (*REFUSALS, AssertionError) as error:
            raise InputError(f"PEFT cannot merge {self.config.peft_type.value}: {_first_line(error)}") from None

    def _state(self) -> dict[str, Tensor]:
        """What PEFT keeps of the adapter, by its names in PEFT's file."""
        return get_peft_model_state_dict(self.adapted, save_embedding_layers=False)

    def _read(self, folder: Path) -> dict[str, Tensor]:
        """The tensors of a file, of the shapes that the injected adapter has."""
        return load_peft_weights(str(folder), device="cpu")


class AdapterMethod(Method):
    """A method of PEFT's that changes layers of the model: a subclass says with which configuration."""

    tunable: ClassVar[type[AdapterTunable]] = AdapterTunable

    @abstractmethod
    def peft_config(self) -> PeftConfig:
        """PEFT's configuration. Raises ValueError where PEFT does not take it."""

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Put the adapter in; its start is drawn from the seed."""
        where = f"method {self.name}"
        try:
            config = self.peft_config()
        except REFUSALS as error:
            raise InputError(f"{where}: {_first_line(error)}") from None
        return inject(backbone, config, setting.seed, where, self.tunable)


class TargetedMethod(AdapterMethod):
    """One whose layers the recipe may name."""

    target_modules: list[str] | None = Field(
        None, description="none: PEFT's choice for the architecture, or all linear layers of attention"
    )


def inject(
    backbone: Backbone,
    config: PeftConfig,
    seed: int,
    where: str,
    tunable: type[AdapterTunable] = AdapterTunable,
) -> AdapterTunable:
    """The adapter of a configuration in the model. Raises InputError, beginning with `where`, if it does not fit."""
    logging.getLogger("peft").setLevel(logging.ERROR)
    _fill_in_targets(backbone, config, where)
    backbone.model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that GPT-2's matrices are transposed is PEFT's own affair
        torch.manual_seed(seed_of("lora", seed) % 2**63)
        try:
            adapted = get_peft_model(backbone.model, config)
        except REFUSALS as error:
            names = ", ".join(linear_names(backbone.model))
            hint = f" ({backbone.name} has {names})" if re.search("arget.modules", str(error)) else ""
            raise InputError(f"{where}: {_first_line(error)}{hint}") from None
    for parameter in backbone.model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # fp32 masters, whatever the backbone computes in
    return tunable(backbone, adapted)


def _fill_in_targets(backbone: Backbone, config: Any, where: str) -> None:
    """Layers for an architecture that PEFT has no choice for: those of attention; for LN_TUNING the norms."""
    known = getattr(PEFT_TYPE_TO_TUNER_MAPPING[config.peft_type], "target_module_mapping", None)
    if config.peft_type.value == "IA3":  # keeps its own elsewhere
        known = TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    model = backbone.model
    if not known or model.config.model_type in known or getattr(config, "target_modules", ()) is not None:
        return
    if config.peft_type.value == "LN_TUNING":
        config.target_modules = set(norm_modules(model))
        return
    found = attention_linears(model)
    if not found:
        raise InputError(
            f"{where}: {backbone.name} has no attention that is known here; name target_modules among "
            + ", ".join(linear_names(model))
        )
    config.target_modules = set(found)
    if hasattr(config, "feedforward_modules") and config.feedforward_modules is None:
        config.feedforward_modules = set()


def read_rank_pattern(folder: Path) -> dict[str, list[bool]]:
    """AdaLoRA's kept ranks as its configuration file has them, empty where it has none."""
    return json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("rank_pattern") or {}


def _plain(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix("base_model.model."): value for name, value in values.items()}


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
