"""Any other of PEFT's methods, by its configuration."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from peft import PeftConfig
from peft.config import PromptLearningConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from pydantic import Field, field_validator

from tunewright.backbones.base import Family
from tunewright.errors import did_you_mean
from tunewright.methods.adalora import AdaLoraTuning
from tunewright.methods.adapters import AdapterMethod
from tunewright.methods.base import Method, OptimizerDefaults
from tunewright.methods.ia3 import Ia3Tuning
from tunewright.methods.lora import LoraTuning
from tunewright.methods.orthogonal import HraTuning, OftTuning
from tunewright.methods.parts import LayerNormTuning
from tunewright.methods.vera import VeraTuning

CONFIGS = {kind.value: config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
# What has a method of its own here because it is no layer of the model, or wants more than its configuration.
OWN = {
    "PROMPT_TUNING": "prompt-tuning",
    "P_TUNING": "p-tuning",
    "PREFIX_TUNING": "prefix-tuning",
    "MULTITASK_PROMPT_TUNING": "multitask-prompt-tuning",
    "CPT": "prompt-tuning",
    "CARTRIDGE": "prefix-tuning",
    "ADALORA": "adalora",
}
# What works only inside a forward pass of PEFT's own; the model is asked by ours.
ELSEWHERE = {
    "ADAPTION_PROMPT": "it replaces the attention of old Llama models",
    "POLY": "it wants the task's number in each forward pass",
    "SHADOW": "it trains a network beside the model in a forward pass of its own",
    "XLORA": "it mixes finished adapters in a forward pass of its own",
}
MANAGED = frozenset({"peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode"})
# What changes the model's own weights (which then are not the plain model's any more), or works in PEFT's own forward.
NOT_READ = {
    "bias": "changes weights of the model itself (method bitfit does)",
    "modules_to_save": "changes weights of the model itself (methods bitfit, layer-norm, last-layers and full do)",
    "trainable_token_indices": "changes weights of the model itself (peft_type: TRAINABLE_TOKENS keeps them apart)",
    "alora_invocation_tokens": "works in a forward pass of PEFT's own",
    "arrow_config": "mixes finished adapters in a forward pass of PEFT's own",
}
NOT_TRAINED = NOT_READ | {
    "corda_config": "wants to see data before it starts",
    "eva_config": "wants to see data before it starts",
    "kasa_config": "adds to a loss of PEFT's own",
    "loftq_config": "is for quantised models",
}
KNOWN: dict[str, type[Method]] = {
    "LORA": LoraTuning,
    "ADALORA": AdaLoraTuning,
    "IA3": Ia3Tuning,
    "VERA": VeraTuning,
    "OFT": OftTuning,
    "HRA": HraTuning,
    "LN_TUNING": LayerNormTuning,
}


class AnyPeft(AdapterMethod):
    """A configuration of PEFT's for one of its methods that change layers of the model."""

    name: ClassVar[str] = "peft"
    about: ClassVar[str] = "any other adapter of PEFT's, by its configuration: LOHA, LOKR, BOFT, FOURIERFT, …"
    trains: ClassVar[str] = "what the configuration says"
    defaults: ClassVar[OptimizerDefaults | None] = OptimizerDefaults(learning_rate=3e-3, auto_rates=(1e-3, 3e-3, 1e-2))

    config: dict[str, Any] = Field(description="{peft_type: LOHA, r: 8, …}: PEFT's own keys and defaults")

    @field_validator("config")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        kind = value.get("peft_type")
        if not isinstance(kind, str):
            raise ValueError("peft_type is missing, e.g. {peft_type: LOHA, r: 8}")
        check_kind(kind)
        check_keys(kind, value)
        return value

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """Those of our own method for the same, where there is one."""
        known = KNOWN.get(self.config["peft_type"])
        return self.defaults if known is None else known.by_family.get(family, known.defaults)

    def peft_config(self) -> PeftConfig:
        """See AdapterMethod."""
        keys = {key: value for key, value in self.config.items() if key not in MANAGED}
        return CONFIGS[self.config["peft_type"]](**keys)


def adapter_kinds() -> list[str]:
    """PEFT's types that `peft` takes."""
    usual = {kind.value for kind in PEFT_TYPE_TO_TUNER_MAPPING}
    soft = {kind for kind, config in CONFIGS.items() if issubclass(config, PromptLearningConfig)}
    return sorted((CONFIGS.keys() & usual) - soft - OWN.keys() - ELSEWHERE.keys())


def check_kind(kind: str) -> None:
    """Raise ValueError for a type that is no adapter, or has a method of its own."""
    if kind in OWN:
        raise ValueError(f"peft_type {kind!r} is the method {OWN[kind]} here")
    if kind in ELSEWHERE:
        raise ValueError(f"peft_type {kind!r} is not for this program: {ELSEWHERE[kind]}")
    if kind not in adapter_kinds():
        raise ValueError(f"unknown peft_type {kind!r}{did_you_mean(kind, adapter_kinds())}")


def check_keys(kind: str, config: Mapping[str, Any]) -> None:
    """Raise ValueError for a key that PEFT's configuration of this type does not have, or that cannot work here."""
    keys = {field.name for field in fields(CONFIGS[kind])}
    if unknown := [key for key in config if key not in keys]:
        raise ValueError(f"no key {unknown[0]!r} in PEFT's {kind}{did_you_mean(unknown[0], keys - MANAGED)}")
    check_values(config, NOT_TRAINED)


def check_values(config: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Raise ValueError for a refused key that is set to anything."""
    for key, why in refused.items():
        if config.get(key) not in (None, "none", [], {}):
            raise ValueError(f"{key}: {config[key]!r} {why}")
