"""Loading a backbone: its files, its family, the precision it computes in."""

from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tunewright.backbones.base import Backbone, Family
from tunewright.backbones.causal import CausalBackbone
from tunewright.backbones.encoding_key import open_store
from tunewright.backbones.fetch import model_folder
from tunewright.backbones.heads import check_head
from tunewright.backbones.masked import MaskedBackbone
from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.errors import InputError

Precision = Literal["fp32", "bf16"]
MASKED = {"bert", "roberta", "distilbert", "modernbert"}  # where the architecture is the bare encoder
_FAMILIES: dict[Family, tuple[Any, type[Backbone]]] = {
    "causal": (AutoModelForCausalLM, CausalBackbone),
    "seq2seq": (AutoModelForSeq2SeqLM, Seq2SeqBackbone),
    "masked": (AutoModelForMaskedLM, MaskedBackbone),
}


def device() -> torch.device:
    """The device to compute on: an accelerator where there is one."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def pick_precision(wanted: Literal["auto", "fp32", "bf16"]) -> Precision:
    """bf16 where the machine multiplies it in hardware (`auto`), else what was asked for.

    Where it does not, bf16 is emulated and several times slower than fp32.
    """
    if wanted != "auto":
        return wanted
    where = device()
    if where.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if where.type == "cpu":
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("amx_bf16") or able.get("avx512_bf16") else "fp32"
    return "fp32"


def load_backbone(name: str) -> Backbone:
    """Load a backbone in fp32: a catalog name, a folder, or a hub id. Safetensors only, no remote code.

    Raises InputError for an unknown model, a folder without weights, a pickle, an unknown architecture.
    """
    folder = model_folder(name)
    try:
        config = AutoConfig.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"model {name!r}: cannot be read: {str(error).splitlines()[0]}") from None
    family = family_of(config, name)
    try:
        model, report = _FAMILIES[family][0].from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"model {name!r}: its weights cannot be read: {str(error).splitlines()[0]}") from None
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing and family != "masked":
        raise InputError(f"model {name!r}: {len(missing)} weights are missing, the first is {missing[0]!r}")
    backbone = make_backbone(model.to(device()), tokenizer, name, family)
    backbone.headless = bool(missing)
    backbone.encoded_store = open_store()
    return backbone


def make_backbone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, family: Family | None = None
) -> Backbone:
    """A backbone from a model in memory, its vocabulary head checked against the model's own forward."""
    family = family or family_of(model.config, name)
    backbone = _FAMILIES[family][1](model.eval(), tokenizer, name)
    ids = torch.arange(4, device=model.device).remainder(backbone.vocabulary).unsqueeze(0)
    with torch.no_grad():
        if family == "seq2seq":
            out = model(input_ids=ids, decoder_input_ids=ids)
            encoded = model.get_encoder()(input_ids=ids).last_hidden_state
            states = model.get_decoder()(input_ids=ids, encoder_hidden_states=encoded).last_hidden_state
        else:
            out = model(input_ids=ids)
            states = model.base_model(input_ids=ids).last_hidden_state
        check_head(model, backbone.logits(states[0]), out.logits[0], name)
    return backbone


def family_of(config: PretrainedConfig, name: str) -> Family:
    """The family of a configuration: by its architecture's name, else by what it can do."""
    kinds = " ".join(config.architectures or [])
    if config.is_encoder_decoder:
        return "seq2seq"
    if "CausalLM" in kinds or "LMHead" in kinds:
        return "causal"
    if "MaskedLM" in kinds or config.model_type in MASKED:
        return "masked"
    raise InputError(f"model {name!r}: {kinds or config.model_type!r} is no causal, seq2seq or masked language model")
