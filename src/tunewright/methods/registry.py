"""Names of methods to their classes, imported only when used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tunewright.errors import InputError, did_you_mean
from tunewright.settings import validate

if TYPE_CHECKING:
    from tunewright.methods.base import Method

METHODS = {
    "none": "tunewright.methods.none:NoTuning",
    "full": "tunewright.methods.full:FullTuning",
    "head": "tunewright.methods.head:HeadTuning",
    "in-context": "tunewright.methods.in_context:InContext",
    "bitfit": "tunewright.methods.parts:BitFit",
    "layer-norm": "tunewright.methods.parts:LayerNormTuning",
    "last-layers": "tunewright.methods.parts:LastLayers",
    "embeddings": "tunewright.methods.parts:EmbeddingTuning",
    "lora": "tunewright.methods.lora:LoraTuning",
    "dora": "tunewright.methods.lora:DoraTuning",
    "adalora": "tunewright.methods.adalora:AdaLoraTuning",
    "ia3": "tunewright.methods.ia3:Ia3Tuning",
    "vera": "tunewright.methods.vera:VeraTuning",
    "oft": "tunewright.methods.orthogonal:OftTuning",
    "hra": "tunewright.methods.orthogonal:HraTuning",
    "peft": "tunewright.methods.any_peft:AnyPeft",
    "multitask-prompt-tuning": "tunewright.methods.soft.multitask:MultitaskPromptTuning",
    "p-tuning": "tunewright.methods.soft.p_tuning:PTuning",
    "peft-folder": "tunewright.methods.peft_folder:PeftFolder",
    "prefix-tuning": "tunewright.methods.soft.prefix_tuning:PrefixTuning",
    "prompt-tuning": "tunewright.methods.soft.prompt_tuning:PromptTuning",
    "soft-verbalizer": "tunewright.methods.soft_verbalizer:SoftVerbalizer",
}


def method_class(name: str) -> "type[Method]":
    """The class of a method; InputError with a did-you-mean for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}{did_you_mean(name, METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)


def make_method(block: dict[str, Any], where: str = "method") -> "Method":
    """The method of a recipe's `method:` block, its settings checked."""
    settings = {key: value for key, value in block.items() if key != "name"}
    return validate(method_class(block["name"]), settings, f"{where} {block['name']}")
