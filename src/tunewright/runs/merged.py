"""A run as a model: what it tuned in the model's own weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone, make_backbone
from tunewright.errors import InputError
from tunewright.runs.kept import load_kept, read_kept
from tunewright.runs.prepare import Prepared

LARGEST = 1e-3  # of a logit, as a share of the largest one: beyond it the merged model is another


@dataclass(frozen=True)
class MergedModel:
    """A run's model in fp32; `difference` is the largest one between logits of the tuned and of the merged model."""

    backbone: Backbone
    method: str
    difference: float


def load_model(name: str) -> Backbone:
    """A model by its name (see `load_backbone`), or a run's folder: the run's model with what was tuned in its weights.

    Raises InputError as loading does, and for a run whose tuned part has no place in the weights.
    """
    folder = Path(name).expanduser()
    if not (folder / "tuned" / "tuned.json").is_file():
        return load_backbone(name)
    merged = merge_run(folder).backbone
    merged.model.requires_grad_(True)
    return make_backbone(merged.model, merged.tokenizer, name, merged.family)


def merge_run(run: Path, backbone: Backbone | None = None) -> MergedModel:
    """The model of a run's folder, merged; `backbone`: its untouched model, where the caller has it.

    Raises InputError where what was tuned has no place in the weights (soft prompts, a head, an adapter that PEFT
    cannot merge), or where nothing was tuned.
    """
    method = str(read_kept(run).recipe.method["name"])
    prepared = load_kept(run, backbone, precision="fp32")
    _check(run, method, prepared)
    before = _some_logits(prepared.backbone)
    try:
        prepared.tuner.tunable.merge()
    except InputError as error:
        raise InputError(f"{run}: {error}") from None
    after = _some_logits(prepared.backbone)
    difference = float((after - before).abs().max())
    if not difference <= LARGEST * max(1.0, float(before.abs().max())):
        raise InputError(f"{run}: merged, the model says something else (logits differ by {difference:.2g})")
    return MergedModel(prepared.backbone, method, difference)


def _check(run: Path, method: str, prepared: Prepared) -> None:
    tunable = prepared.tuner.tunable
    if tunable.head() is not None:
        raise InputError(
            f"{run}: method {method} has a head of its own, which a language model's folder has no place for"
        )
    if prepared.layout.rows or tunable.table() is not None or tunable.layer_kv() is not None:
        raise InputError(
            f"{run}: method {method} tuned vectors before the text, not weights of the model; there is nothing to "
            "merge (export --to peft writes them as PEFT's files)"
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
