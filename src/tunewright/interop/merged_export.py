"""A run's tuned weights merged into the model: a folder that transformers loads by itself."""

from dataclasses import dataclass
from pathlib import Path

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.files import write_folder
from tunewright.runs.merged import merge_run

MODEL = "config.json"


@dataclass(frozen=True)
class Merged:
    """What was written; `difference` is the largest one between logits of the tuned and of the merged model."""

    folder: Path
    method: str
    difference: float


def export_merged(run: Path, output: Path, *, overwrite: bool = False, backbone: Backbone | None = None) -> Merged:
    """Write model and tokenizer into `output`, in fp32, the tuned weights in the model's own.

    Raises InputError, before anything is written, where they have no place there: soft prompts, a head, an adapter
    that PEFT cannot merge; where nothing was tuned; or where `output` is there already.
    """
    if output.exists() and any(output.iterdir()):
        if not overwrite:
            raise InputError(f"{output}: already there; --overwrite writes a model's folder over another one")
        if not (output / MODEL).is_file():
            raise InputError(f"{output}: not a model's folder (no {MODEL}); it is not written over")
    done = merge_run(run, backbone)
    model, tokenizer = done.backbone.model, done.backbone.tokenizer

    def fill(folder: Path) -> None:
        model.requires_grad_(False)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    write_folder(output, fill)
    return Merged(output, done.method, done.difference)
