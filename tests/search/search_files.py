"""A search's file beside its data, and tiny models with a planted answer."""

import json
from pathlib import Path
from typing import Any

import torch
from tiny import tiny_backbone, tiny_rows

from tunewright.backbones.base import Backbone
from tunewright.search.prepare import prepare_search
from tunewright.search.recipe import LabelWordSearch, TemplateSearch
from tunewright.search.vocabulary import Reader, whole_words
from tunewright.settings import validate

SPLITS = {"train": range(0, 24), "validation": range(24, 30), "test": range(30, 36)}


def task_block(folder: Path, kind: str = "classify", **keys: Any) -> dict[str, Any]:
    """A folder of three files with the rows of tiny_rows, and the task that reads it."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    rows = tiny_rows(kind)
    order = [i for first in range(6) for i in range(first, 36, 6)]
    for split, places in SPLITS.items():
        lines = "".join(json.dumps(rows[order[i]]) + "\n" for i in places)
        (data / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    fields = {name: name for name in rows[0]}
    ends = {"classify": "topic: ", "choose": "answer: ", "generate": "answer: "}.get(kind, "")
    block: dict[str, Any] = {"path": str(data), "kind": kind, "fields": fields}
    block["templates"] = {"plain": "{{ " + next(iter(fields)) + " }}\n" + ends + "{{ answer }}"}
    if kind == "classify":
        block["labels"] = ["sport", "money", "weather"]
    return block | keys


def template_search(folder: Path, kind: str = "classify", **keys: Any) -> TemplateSearch:
    tree = {"model": "tiny", "task": task_block(folder, kind), "training": {"precision": "fp32"}, **keys}
    return validate(TemplateSearch, tree, "search.yaml")


def word_search(folder: Path, **keys: Any) -> LabelWordSearch:
    tree = {"model": "tiny", "task": task_block(folder), "training": {"precision": "fp32"}, **keys}
    return validate(LabelWordSearch, tree, "search.yaml")


def plant(search: TemplateSearch | LabelWordSearch, arch: str, words: dict[str, str], jinja: str) -> Backbone:
    """A tiny backbone that answers the rows of training and validation right in `words`, asked with the template.

    The head's rows of these words are solved for: word · state = 20 in rows of its label, 0 in the others. In any
    other template its answers are as random as before.
    """
    backbone = tiny_backbone(arch)
    asked = search.model_copy(update={"template": jinja})
    prepared = prepare_search(asked, backbone)
    reader = Reader(prepared, whole_words(backbone))
    train, validation = prepared.task.split("train"), prepared.task.split("validation")
    states = torch.cat([reader.states(train), reader.states(validation)])  # [30, d]
    gold = [str(label) for rows in (train, validation) for label in rows.columns["label"]]
    model: Any = backbone.model
    if backbone.family == "masked":
        states = model.cls.predictions.transform(states)
    if backbone.family == "seq2seq":
        states = states * model.config.d_model**-0.5
    head = model.get_output_embeddings().weight
    prompt = reader.prompts(train.take([0]))[0]
    with torch.no_grad():
        for label, word in words.items():
            (token,) = [i for i in reader.as_tokens(prompt, list(reader.words)) if reader.words[i] == word]
            wanted = torch.tensor([20.0 if own == label else 0.0 for own in gold])
            bias = getattr(model.get_output_embeddings(), "bias", None)
            head[token] = torch.linalg.lstsq(states.double(), wanted.double()[:, None]).solution[:, 0].float()
            if bias is not None:
                bias[token] = 0.0
    return backbone
