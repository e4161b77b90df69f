"""PEFT's folders: `adapter_config.json` and `adapter_model.safetensors`, checked and read as tensors of ours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftConfig
from torch import Tensor
from transformers import AutoTokenizer

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.methods.adapters import CONFIG, WEIGHTS
from tunewright.methods.any_peft import NOT_READ, adapter_kinds, check_values
from tunewright.methods.base import load_safetensors
from tunewright.methods.soft.files import TENSOR, PromptFile
from tunewright.methods.soft.prefix_files import PrefixFile, kv_shape

PROMPTS = ("PROMPT_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING")
SOFT = (*PROMPTS, "PREFIX_TUNING")


@dataclass(frozen=True)
class PeftFiles:
    """A PEFT folder whose configuration has been read. `kind` is its `peft_type`."""

    path: Path
    kind: str
    config: dict[str, Any]

    @property
    def model(self) -> str:
        """The model it was made for, as the folder says."""
        return str(self.config.get("base_model_name_or_path") or "another model")

    @property
    def length(self) -> int:
        """The number of virtual tokens."""
        return self.number("num_virtual_tokens")

    @property
    def submodules(self) -> int:
        """How many parts of the model have a prompt: PEFT's default is 2 for encoder-decoders."""
        default = 2 if self.config.get("task_type") == "SEQ_2_SEQ_LM" else 1
        return self.number("num_transformer_submodules", default)

    def number(self, key: str, default: int | None = None) -> int:
        """A number of the configuration above 0. Raises InputError for anything else."""
        value = self.config.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{self.path}/{CONFIG}: {key} is {value!r}, a number above 0 wanted")
        return value

    def tensor(self, name: str, dimensions: int) -> Tensor:
        """A tensor of the weights file in fp32. Raises InputError where it is missing or of another form."""
        found = load_safetensors(self.path / WEIGHTS).get(name)
        if found is None or found.dim() != dimensions:
            raise InputError(f"{self.path}/{WEIGHTS}: no tensor {name!r} of {dimensions} dimensions")
        return found.float()

    def prompt(self, backbone: Backbone, task_id: int = 0) -> PromptFile:
        """The prompt table [P, d]; of a multi-task prompt that of one task: shared ∘ (columns @ rows).

        Raises InputError where its width or tokenizer is not the backbone's.
        """
        table = self.tensor(TENSOR, 2)
        if table.shape[0] != self.length * self.submodules:
            raise InputError(
                f"{self.path}/{WEIGHTS}: {TENSOR!r} has {table.shape[0]} rows, "
                f"{self.length} · {self.submodules} (num_virtual_tokens · num_transformer_submodules) wanted"
            )
        if self.kind == "MULTITASK_PROMPT_TUNING":
            table = table * self._task_factor(table, task_id)
        kept = PromptFile(table[: self.length], 1, self.model, None, None, str(self.path))
        kept.check(backbone)
        self._check_tokenizer(backbone)
        return kept

    def _task_factor(self, shared: Tensor, task_id: int) -> Tensor:
        """[P, d] of one task (Wang et al. 2023)."""
        if self.submodules > 1:
            raise InputError(
                f"{self.path}: this multi-task prompt stands before the decoder too, in PEFT's training but not in its "
                "generation; one made with num_transformer_submodules: 1 is read"
            )
        columns, rows = self.tensor("prefix_task_cols", 3), self.tensor("prefix_task_rows", 3)  # [T, P, r], [T, r, d]
        if task_id >= len(columns):
            raise InputError(f"{self.path}: method.task_id: {task_id}, it holds {len(columns)} tasks (0 is the first)")
        factor = columns[task_id] @ rows[task_id]
        if factor.shape != shared.shape:
            raise InputError(f"{self.path}/{WEIGHTS}: the tasks' factors do not have the shape of {TENSOR!r}")
        return factor

    def adapter_config(self) -> Any:
        """The adapter's configuration. Raises InputError for one that changes the model's own weights too."""
        try:
            check_values(self.config, NOT_READ)
        except ValueError as error:
            raise InputError(f"{self.path}/{CONFIG}: {error}; only the adapter's own weights are read") from None
        try:
            config: Any = PeftConfig.from_pretrained(str(self.path))
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"{self.path}/{CONFIG}: cannot be read ({error})") from None
        config.inference_mode = False
        if self.kind == "ADALORA":
            config.rank_pattern = None  # the file's ranks are put among all that it starts with
        return config

    def prefix(self, backbone: Backbone) -> PrefixFile:
        """The prefix [P, layers, 2, heads, head_dim]. Raises InputError where it does not fit the backbone."""
        heads, width = self.number("num_attention_heads"), self.number("token_dim")
        layers = self.number("num_layers")
        flat = self.tensor(TENSOR, 2)
        if width % heads or tuple(flat.shape) != (self.length, layers * 2 * width):
            raise InputError(
                f"{self.path}/{WEIGHTS}: {TENSOR!r} has shape {list(flat.shape)}, {CONFIG} says {self.length} virtual "
                f"tokens, {layers} layers, {heads} heads, {width} in all"
            )
        kv = flat.view(self.length, layers, 2, heads, width // heads)
        if backbone.family == "seq2seq":
            kv = kv[:, self._decoder_layers(backbone, layers)]
        kept = PrefixFile(kv, self.model, None, str(self.path))
        kept.check(backbone)
        self._check_tokenizer(backbone)
        return kept

    def _decoder_layers(self, backbone: Backbone, layers: int) -> list[int]:
        """Which of the file's layers each layer of the decoder gets from PEFT.

        It repeats them to have four tensors a layer (its own attention, the cross-attention) and throws the second two
        away: layer i gets the (2·i)-th, from the start again when they are at an end.
        """
        if self.submodules != 2:
            raise InputError(
                f"{self.path}: a prefix with num_transformer_submodules: {self.submodules}; an encoder-decoder "
                "has 2 (with 1 PEFT's cross-attention reads the decoder's own words)"
            )
        wanted = kv_shape(backbone)[0]
        return [2 * i % layers for i in range(wanted)] if layers >= wanted else list(range(layers))

    def _check_tokenizer(self, backbone: Backbone) -> None:
        """Raise InputError where the folder names a tokenizer, or a model, at hand that has another vocabulary."""
        name = self.config.get("tokenizer_name_or_path") or self.config.get("base_model_name_or_path")
        if not isinstance(name, str) or name == backbone.name:
            return
        try:
            vocabulary = AutoTokenizer.from_pretrained(name, local_files_only=True).get_vocab()
        except (OSError, ValueError, KeyError, ImportError):
            return  # not at hand: nothing is known about it
        if vocabulary != backbone.tokenizer.get_vocab():
            raise InputError(
                f"{self.path}: made with the tokenizer of {name}, which is not that of {backbone.name}; "
                "its vectors mean nothing there"
            )


def read_peft(path: Path) -> PeftFiles:
    """The configuration of a PEFT folder: soft prompts, or an adapter that `peft` takes.

    Raises InputError for any other, and for a pickle.
    """
    if not (path / CONFIG).is_file():
        what = f"no {CONFIG}: not a PEFT folder" if path.is_dir() else "no such folder"
        raise InputError(f"{path}: {what}")
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}/{CONFIG}: not valid JSON: {error}") from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    known = (*SOFT, "ADALORA", *adapter_kinds())
    if kind not in known:
        raise InputError(f"{path}/{CONFIG}: peft_type {kind!r} is not known here; {', '.join(known)} are")
    if not (path / WEIGHTS).is_file():
        pickled = (path / "adapter_model.bin").is_file()
        why = "adapter_model.bin is a pickle, which can run any code and is not read; " if pickled else ""
        raise InputError(f"{path}: {why}{WEIGHTS} is missing")
    return PeftFiles(path, kind, config)
