"""A run's tuned weights merged into the model: a folder that transformers loads by itself."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.files import write_folder
from tunewright.runs.kept import load_kept, read_kept
from tunewright.runs.prepare import Prepared

MODEL = "config.json"
LARGEST = 1e-3  # of a logit, as a share of the largest one: beyond it the merged model is another


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
    method = str(read_kept(run).recipe.method["name"])
    prepared = load_kept(run, backbone, precision="fp32")
    _check(run, method, prepared)
    model, tokenizer = prepared.backbone.model, prepared.backbone.tokenizer
    before = _some_logits(prepared.backbone)
    try:
        prepared.tuner.tunable.merge()
    except InputError as error:
        raise InputError(f"{run}: {error}") from None
    after = _some_logits(prepared.backbone)
    difference = float((after - before).abs().max())
    if not difference <= LARGEST * max(1.0, float(before.abs().max())):
        raise InputError(f"{run}: merged, the model says something else (logits differ by {difference:.2g})")

    def fill(folder: Path) -> None:
        model.requires_grad_(False)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    write_folder(output, fill)
    return Merged(output, method, difference)


def _check(run: Path, method: str, prepared: Prepared) -> None:
    tunable = prepared.tuner.tunable
    if tunable.head() is not None:
        raise InputError(
            f"{run}: method {method} has a head of its own, which a language model's folder has no place for"
        )
    if prepared.layout.rows or tunable.table() is not None or tunable.layer_kv() is not None:
        raise InputError(
            f"{run}: method {method} tuned vectors before the text, not weights of the model; --merge has nothing to "
            "merge (--to peft writes them as PEFT's files)"
        )
    if not prepared.tuned:
        raise InputError(f"{run}: method {method} tuned nothing")


@torch.no_grad()
def _some_logits(backbone: Backbone) -> Tensor:
    """Logits [T, V] of the model's own forward on some ids."""
    model = backbone.model.eval()
    ids = (torch.arange(16, device=backbone.device) * 7 + 3).remainder(backbone.vocabulary).unsqueeze(0)  # [1, T]
    decoder = {"decoder_input_ids": ids} if backbone.family == "seq2seq" else {}
    return model(input_ids=ids, **decoder).logits[0].float()
