"""Recipes of tiny prompt pretrainings, and a labeller that needs no model."""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tiny import TEMPLATES, tiny_folder, tiny_rows
from toy_corpus import many

from tunewright.console import Bar
from tunewright.pretraining.ppt.recipe import PromptPretraining
from tunewright.recipe import Recipe
from tunewright.settings import validate
from tunewright.task_block import Kind


@cache
def saved_model(arch: str) -> str:
    """A tiny model's folder, written once."""
    return str(tiny_folder(Path(mkdtemp(prefix="tiny-")) / arch, arch))


def tuning_recipe(
    folder: Path, arch: str = "llama", kind: Kind = "classify", method: Any = None, **keys: Any
) -> Recipe:
    """A run of two steps on the tiny rows."""
    file = folder / f"{kind}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows(kind)), encoding="utf-8")
    task = {"path": str(file), "kind": kind, "templates": {"plain": TEMPLATES[kind]}, **keys}
    tree = {
        "model": saved_model(arch),
        "task": task,
        "method": method or {"name": "prompt-tuning", "length": 4},
        "training": {"steps": 2, "batch_size": 8, "precision": "fp32"},
        "evaluation": {"baselines": False, "max_new_tokens": 3},
    }
    return validate(Recipe, tree, "recipe")


def tree_of(folder: Path, arch: str = "llama", **keys: Any) -> dict[str, Any]:
    """Six steps over questions about 60 documents; `keys` replace or extend its blocks."""
    file = folder / "corpus.jsonl"
    if not file.exists():
        many(file, 60)
    return {
        "model": saved_model(arch),
        "corpus": {"sources": [{"path": str(file)}], "holdout": 0.3},
        "form": "sentence-pair",
        "method": {"name": "prompt-tuning", "length": 4},
        "evaluation": {"rows": 24, "validation_rows": 6},
        **keys,
        "training": {
            "steps": 6, "batch_size": 4, "learning_rate": 0.01, "precision": "fp32", **keys.get("training", {}),
        },
    }  # fmt: skip


def recipe_of_prompt(folder: Path, arch: str = "llama", **keys: Any) -> PromptPretraining:
    return validate(PromptPretraining, tree_of(folder, arch, **keys), "recipe")


class Stub:
    """Says with which probability a text is good, by its length. Counts what it is asked."""

    labels = ("negative", "positive")
    field = "text"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask_texts(self, texts: Sequence[str], bar: Bar) -> Iterator[tuple[float, ...] | None]:
        for text in texts:
            self.asked.append(text)
            good = (0.01, 0.2, 0.5, 0.8, 0.99, 0.35)[len(text) % 6]
            yield (1 - good, good)
