"""A run's kept weights as a PEFT folder that computes the same, or one line that says why PEFT cannot."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import MultitaskPromptTuningConfig, PromptEncoderConfig, PromptTuningConfig
from peft import PrefixTuningConfig as PeftPrefixConfig
from safetensors.torch import save_file
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.files import write_folder
from tunewright.interop.front import check_front
from tunewright.methods.adapters import CONFIG, WEIGHTS
from tunewright.methods.base import load_safetensors
from tunewright.methods.parts import PARTS
from tunewright.methods.peft_files import read_peft
from tunewright.methods.soft.files import FACTORS, TENSOR
from tunewright.methods.soft.prefix_tuning import DeepPrompt
from tunewright.methods.soft.soft import SoftTunable
from tunewright.runs.kept import load_kept, read_kept
from tunewright.runs.prepare import Prepared

# PEFT has no type for masked language models; this one gives what the model itself gives: their logits.
TASK_TYPES = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "masked": "FEATURE_EXTRACTION"}


@dataclass(frozen=True)
class Exported:
    """What was written. `tasks` are those of a multi-task prompt, in the order of PEFT's task_ids."""

    folder: Path
    peft_type: str
    virtual_tokens: int | None = None
    tasks: tuple[str, ...] = ()


def export_peft(run: Path, output: Path, *, overwrite: bool = False, backbone: Backbone | None = None) -> Exported:
    """Write a run's kept weights into `output`, a folder for `peft.PeftModel.from_pretrained(model, output)`.

    Raises InputError, before anything is written, where PEFT could not mean the same, or `output` is there already.
    """
    if output.exists() and any(output.iterdir()):
        if not overwrite:
            raise InputError(f"{output}: already there; --overwrite writes a PEFT folder over another one")
        if not (output / CONFIG).is_file():
            raise InputError(f"{output}: not a PEFT folder (no {CONFIG}); it is not written over")
    kept = read_kept(run)
    inside, method = kept.inside, str(kept.recipe.method["name"])
    if (inside / "config.json").is_file():
        raise InputError(
            f"{run}: {method} tuned the model's own weights; {inside} is a model's folder, which transformers loads "
            "by itself; PEFT has no form for it"
        )
    if (inside / CONFIG).is_file():

        def copy(folder: Path) -> None:
            for name in (CONFIG, WEIGHTS):
                shutil.copy(inside / name, folder)

        write_folder(output, copy)
        return Exported(output, read_peft(inside).kind)
    if not any((inside / name).is_file() for name in ("prompt.json", "prefix.json")):
        merge = "; export --merge writes the whole model" if method in PARTS else ""
        raise InputError(f"{run}: method {method} keeps nothing that PEFT has a form for{merge}")
    prepared = load_kept(run, backbone)
    done, config, tensors = _in_pefts_terms(run, inside, prepared, output)

    def fill(folder: Path) -> None:
        save_file(
            {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()},
            folder / WEIGHTS,
            metadata={"format": "pt"},
        )
        config.save_pretrained(str(folder))

    write_folder(output, fill)
    return done


def _in_pefts_terms(
    run: Path, inside: Path, prepared: Prepared, output: Path
) -> tuple[Exported, Any, dict[str, Tensor]]:
    """What will be written, PEFT's configuration, and the tensors."""
    tunable, backbone = prepared.tuner.tunable, prepared.backbone
    if isinstance(tunable, DeepPrompt):
        kv = tunable.layer_kv()
        assert kv is not None
        return _prefix(backbone, kv, output)
    assert isinstance(tunable, SoftTunable)
    groups = prepared.layout.groups
    if tunable.members > 1:
        raise InputError(f"{run}: holds {tunable.members} prompts that answer together; PEFT has one")
    factors = load_safetensors(inside / FACTORS) if (inside / FACTORS).is_file() else {}
    if len(groups) != (len(factors["task_cols"]) if factors else 1):
        names = ", ".join(group.name for group in groups)
        raise InputError(f"{run}: PEFT has one group of virtual tokens; this run has {len(groups)} ({names})")
    for part in prepared.parts:
        check_front(run, part)
    table = tunable.table()
    assert table is not None
    tokens = groups[0].length
    common = _common(backbone, tokens, backbone.width)
    if factors and backbone.family == "masked":
        raise InputError(f"{run}: PEFT tells its masked models no task, and a prompt of several tasks wants one")
    if factors:
        tensors = {
            TENSOR: factors["shared"],
            "prefix_task_cols": factors["task_cols"],
            "prefix_task_rows": factors["task_rows"],
        }
        tasks = tuple(group.name.rpartition("/")[0] for group in groups)
        many = MultitaskPromptTuningConfig(num_tasks=len(tasks), num_ranks=factors["task_cols"].shape[2], **common)
        return Exported(output, "MULTITASK_PROMPT_TUNING", tokens, tasks), many, tensors
    if prepared.method.name == "p-tuning":
        encoded = PromptEncoderConfig(encoder_hidden_size=backbone.width, **common)
        return Exported(output, "P_TUNING", tokens), encoded, {TENSOR: table}
    return Exported(output, "PROMPT_TUNING", tokens), PromptTuningConfig(**common), {TENSOR: table}


def _prefix(backbone: Backbone, kv: Tensor, output: Path) -> tuple[Exported, Any, dict[str, Tensor]]:
    """An encoder-decoder's layers are written twice: PEFT gives layer i of its decoder the (2·i)-th of the file."""
    tokens, _, _, heads, size = kv.shape
    if backbone.family == "seq2seq":
        kv = kv.repeat_interleave(2, dim=1)
    common = _common(backbone, tokens, heads * size)
    common |= {"num_attention_heads": heads, "num_layers": kv.shape[1]}
    if backbone.family == "seq2seq":
        common["num_transformer_submodules"] = 2
    return Exported(output, "PREFIX_TUNING", tokens), PeftPrefixConfig(**common), {TENSOR: kv.flatten(1)}


def _common(backbone: Backbone, tokens: int, width: int) -> dict[str, Any]:
    config = backbone.model.config
    return {
        "task_type": TASK_TYPES[backbone.family],
        "base_model_name_or_path": backbone.name,
        "inference_mode": True,
        "num_virtual_tokens": tokens,
        "token_dim": width,
        "num_transformer_submodules": 1,
        "num_attention_heads": getattr(config, "num_attention_heads", None),
        "num_layers": getattr(config, "num_hidden_layers", None),
    }
