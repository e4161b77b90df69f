"""LoRA (Hu et al. 2021) through PEFT's layers."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.save_and_load import load_peft_weights
from pydantic import Field
from safetensors.torch import save_file

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.base import Method, OptimizerDefaults, Setting, Tunable, copy_into
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import seed_of


class LoraTuning(Method):
    """A low-rank update beside chosen weight matrices; the matrices themselves stay as they are."""

    name: ClassVar[str] = "lora"
    about: ClassVar[str] = "low-rank updates beside the attention's matrices (LoRA, through PEFT)"
    trains: ClassVar[str] = "two thin matrices beside each target module"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))

    rank: int = Field(8, gt=0)
    alpha: int = Field(16, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | None = Field(None, description="none: PEFT's choice for the architecture (q and v)")

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Inject the adapter; its start is drawn from the seed (B is zero: step 0 equals the plain model)."""
        backbone.model.requires_grad_(False)
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=self.target_modules
        )
        return inject(backbone, config, setting.seed, "method lora")


def inject(backbone: Backbone, config: LoraConfig, seed: int, where: str) -> "LoraTunable":
    """The adapter of a configuration in the model. Raises InputError, beginning with `where`, if it does not fit."""
    logging.getLogger("peft").setLevel(logging.ERROR)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that GPT-2's matrices are transposed is PEFT's own affair
        torch.manual_seed(seed_of("lora", seed) % 2**63)
        try:
            inject_adapter_in_model(config, backbone.model)
        except ValueError as error:
            raise InputError(f"{where}: {str(error).splitlines()[0]}") from None
    for name, parameter in backbone.model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()  # fp32 masters, whatever the backbone computes in
    return LoraTunable(backbone, config)


class LoraTunable(Tunable):
    """The injected adapter, kept in PEFT's own files."""

    def __init__(self, backbone: Backbone, config: LoraConfig) -> None:
        super().__init__(backbone)
        self.config = config

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Inside, the adapter is switched off."""
        layers = [module for module in self.backbone.model.modules() if isinstance(module, BaseTunerLayer)]
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)

    def save(self, folder: Path) -> None:
        """`adapter_config.json` and `adapter_model.safetensors`, as PEFT writes them."""
        state = get_peft_model_state_dict(self.backbone.model, save_embedding_layers=False)
        prefixed = {f"base_model.model.{name}": value.cpu().contiguous() for name, value in state.items()}
        save_file(prefixed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        self.config.task_type = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM"}.get(self.backbone.family)
        self.config.base_model_name_or_path = self.backbone.name
        self.config.inference_mode = True
        self.config.save_pretrained(str(folder))

    def load(self, folder: Path) -> None:
        """Read an adapter written by `save` (or by PEFT, with the same settings)."""
        if not (folder / "adapter_model.safetensors").is_file():
            raise InputError(f"{folder}: no adapter_model.safetensors")
        values = {
            name.removeprefix("base_model.model."): value
            for name, value in load_peft_weights(str(folder), device="cpu").items()
        }
        ours = get_peft_model_state_dict(self.backbone.model, save_embedding_layers=False)
        if unknown := sorted(values.keys() - ours.keys()):
            raise InputError(f"{folder}: it holds {unknown[0]!r}, which {self.backbone.name} has no place for")
        copy_into(ours, values, str(folder))
        set_peft_model_state_dict(self.backbone.model, values)
