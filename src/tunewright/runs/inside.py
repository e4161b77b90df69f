"""Inside the soft prompt of a run: its slots beside the words of the vocabulary, and beside their start."""

from pathlib import Path

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.evaluation import prompt_views as views
from tunewright.methods.registry import make_method
from tunewright.methods.soft.starts import word_vectors
from tunewright.reports.data import PromptView, SlotView
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import Prepared
from tunewright.runs.setting import setting_of

AT_ONCE = 8192


def inside_of(
    folder: Path, words: int = 5, backbone: Backbone | None = None
) -> tuple[PromptView, Tensor, Backbone | None]:
    """What the prompt of a finished run looks like, its table [members · S, d], and the backbone for the next run.

    The backbone is None where the run has tuned weights of its own.

    Raises InputError for a run without soft slots in the input.
    """
    prepared = load_kept(folder, backbone)
    plain = None if _trains_model(prepared) else prepared.backbone
    return view_of(prepared, str(folder), words), table_of(prepared, str(folder)), plain


def table_of(prepared: Prepared, where: str) -> Tensor:
    """The kept table, fp32 on the CPU. Raises InputError where the method has none."""
    with torch.no_grad():
        table = prepared.tuner.tunable.table()
    if table is None:
        name = prepared.recipe.method["name"]
        deep = "its vectors stand in the layers, where no words are" if prepared.tuner.tunable.prefix_length else ""
        raise InputError(f"{where}: method {name} has no soft prompt in the input{'; ' + deep if deep else ''}")
    return table.detach().float().cpu()


def view_of(prepared: Prepared, label: str, words: int = 5) -> PromptView:
    """The same for a prepared run, trained or loaded."""
    table, start = table_of(prepared, label), start_of(prepared)
    ids, vocabulary = plain_vocabulary(prepared.backbone)
    by_cosine = views.nearest_by_cosine(table, vocabulary, words)
    by_distance = views.nearest_by_distance(table, vocabulary, words)
    shares, (low, middle, high) = views.norm_shares(table, vocabulary), views.norm_band(vocabulary)
    moved = views.drift(table, start) if start is not None else None
    near = vocabulary[by_cosine.rows[:, 0]]
    flat = views.plane(table, near, *([start] if start is not None else []))
    tokens = [[_word(prepared.backbone, ids[int(row)]) for row in rows] for rows in by_cosine.rows]
    others = [[_word(prepared.backbone, ids[int(row)]) for row in rows] for rows in by_distance.rows]
    slots: list[SlotView] = []
    for i, name in enumerate(_names(prepared)):
        slots.append({
            "slot": name,
            "words": [[word, round(float(value), 4)] for word, value in zip(tokens[i], by_cosine.values[i])],
            "near": [[word, round(float(value), 4)] for word, value in zip(others[i], by_distance.values[i])],
            "drift": None if moved is None else float(moved[0][i]),
            "start_cosine": None if moved is None else float(moved[1][i]),
            "norm": float(table[i].norm()),
            "norm_share": float(shares[i]),
            "at": flat[0][i].tolist(),
            "word_at": flat[1][i].tolist(),
            "start_at": flat[2][i].tolist() if start is not None else None,
        })  # fmt: skip
    return {
        "label": label,
        "norm_low": low,
        "norm_median": middle,
        "norm_high": high,
        "slots": slots,
        "likeness": [[round(float(value), 4) for value in row] for row in views.likeness(table, table)],
        "note": None if start is not None else _why_no_start(prepared),
    }


def start_of(prepared: Prepared) -> Tensor | None:
    """The table before training, made again from the recipe and its seed.

    None where files it came from are gone or others now, and where the words that it came from were trained too.
    """
    if _trains_model(prepared):
        return None
    method = make_method(prepared.recipe.method)
    trained = {name: p.requires_grad for name, p in prepared.backbone.model.named_parameters()}
    try:
        setting = setting_of(prepared.recipe, [part.task for part in prepared.parts])
        with torch.no_grad():
            table = method.tune(prepared.backbone, prepared.layout, setting).table()
    except InputError:  # it was made before: only what it reads can have changed since
        return None
    finally:
        for name, parameter in prepared.backbone.model.named_parameters():
            parameter.requires_grad_(trained[name])
    now = prepared.tuner.tunable.table()
    if table is None or now is None or table.shape != now.shape:
        return None
    return table.detach().float().cpu()


def _trains_model(prepared: Prepared) -> bool:
    """Whether the model's own weights were trained as well: its words are not what they were at the start."""
    return any(name.startswith("model.") for name in prepared.tuner.tunable.trained())


def _why_no_start(prepared: Prepared) -> str:
    if _trains_model(prepared):
        return "the model was tuned with it, and the words that it started from are not what they were: no drift"
    return "what it started from is not there any more: no drift"


def plain_vocabulary(backbone: Backbone) -> tuple[list[int], Tensor]:
    """Ids of ordinary tokens and their input vectors [V, d]: special and added ones left out."""
    ids = list(backbone.ordinary_tokens())
    parts = [word_vectors(backbone, ids[at : at + AT_ONCE]).cpu() for at in range(0, len(ids), AT_ONCE)]
    return ids, torch.cat(parts)


def _word(backbone: Backbone, token: int) -> str:
    """The token as text, or as the vocabulary spells it where that is no text (blanks, parts of characters)."""
    text = str(backbone.tokenizer.decode([token])).strip()
    return text if text.isprintable() and text.strip("\ufffd") else str(backbone.tokenizer.convert_ids_to_tokens(token))


def _names(prepared: Prepared) -> list[str]:
    """`GROUP 3` for each row of the table; of an ensemble `prompt 2, GROUP 3`."""
    names = [f"{group.name} {i}" for group in prepared.layout.groups for i in range(1, group.length + 1)]
    members = prepared.tuner.tunable.members
    return names if members == 1 else [f"prompt {m}, {name}" for m in range(1, members + 1) for name in names]
