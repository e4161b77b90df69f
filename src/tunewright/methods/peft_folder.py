"""A PEFT folder as the start of a run: a prompt, a prefix, one task of a multi-task prompt, or an adapter."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field

from tunewright.backbones.base import Backbone, Family
from tunewright.errors import InputError
from tunewright.methods.adalora import AdaLoraTunable
from tunewright.methods.adapters import AdapterTunable, inject
from tunewright.methods.any_peft import KNOWN, AnyPeft
from tunewright.methods.base import Method, OptimizerDefaults, Placement, Setting, Tunable
from tunewright.methods.peft_files import PROMPTS, SOFT, PeftFiles, read_peft
from tunewright.methods.soft.files import read_prompt
from tunewright.methods.soft.prefix_files import read_prefix
from tunewright.methods.soft.prefix_tuning import DeepPrompt, PrefixTuning, make_encoder
from tunewright.methods.soft.prompt_tuning import PromptTable, PromptTuning
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Soft


class PeftFolder(Method):
    """What PEFT wrote, where PEFT has it: a prompt stands before everything, also before BOS or CLS.

    It trains on from there, with the optimiser defaults of its own kind; with `train: false` it is measured as it is.
    """

    name: ClassVar[str] = "peft-folder"
    about: ClassVar[str] = (
        "starts from a PEFT folder: prompt, P-tuning, prefix, multi-task prompt, LoRA and other adapters"
    )
    trains: ClassVar[str] = "what the folder holds (nothing with train: false)"
    defaults: ClassVar[OptimizerDefaults | None] = PromptTuning.defaults

    path: str = Field(description="a folder with adapter_config.json and adapter_model.safetensors")
    train: bool = Field(True, description="false: measured as it is")
    task_id: int = Field(0, ge=0, description="of a multi-task prompt: whose prompt (0 is the first)")

    @cached_property
    def files(self) -> PeftFiles:
        """The folder, read when first needed. Raises InputError where it is none that is known here."""
        return read_peft(Path(self.path))

    def slots(self) -> tuple[Soft, Placement | None] | None:
        """As many as the prompt has, where PEFT puts them."""
        return (Soft("prompt", self.files.length), "very-front") if self.files.kind in PROMPTS else None

    def defaults_for(self, family: Family) -> OptimizerDefaults | None:
        """Those of the method that makes what the folder holds."""
        if not self.train:
            return None
        of: type[Method] = KNOWN.get(self.files.kind, AnyPeft)
        if self.files.kind in PROMPTS:
            of = PromptTuning
        elif self.files.kind == "PREFIX_TUNING":
            of = PrefixTuning
        return of.by_family.get(family, of.defaults)

    def tune(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        """Freeze the backbone and attach what the folder holds. Raises InputError where it does not fit."""
        backbone.model.requires_grad_(False)
        tunable = self._tunable(backbone, layout, setting)
        tunable.already_tuned = True
        return tunable

    def _tunable(self, backbone: Backbone, layout: SlotLayout, setting: Setting) -> Tunable:
        if self.files.kind not in SOFT:
            kind = AdaLoraTunable if self.files.kind == "ADALORA" else AdapterTunable
            adapter = inject(backbone, self.files.adapter_config(), setting.seed, self.path, kind)
            adapter.load(Path(self.path))
            return adapter
        if self.files.kind == "PREFIX_TUNING":
            kv = self.files.prefix(backbone).kv
            return DeepPrompt(backbone, make_encoder(backbone, len(kv), setting.seed), kv)
        table = self.files.prompt(backbone, self.task_id).table
        if any(group.length != len(table) for group in layout.groups):
            raise InputError(f"{self.path}: holds {len(table)} slots, the template has others: take one without slots")
        return PromptTable(backbone, layout, torch.cat([table] * len(layout.groups)))

    def kept_in(self, folder: Path) -> Method:
        """The method whose files stand there; an adapter is kept as PEFT's."""
        if (folder / "prefix.json").is_file():
            return PrefixTuning(length=len(read_prefix(folder).kv), init="random")
        if (folder / "prompt.json").is_file():
            layout = read_prompt(folder).layout or SlotLayout()
            return PromptTuning(length=layout.groups[0].length, placement="very-front", init="random-uniform")
        return self.model_copy(update={"path": str(folder)})
