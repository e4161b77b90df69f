"""Recipes of tiny runs: a saved tiny model, a JSONL file, few steps."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tiny import TEMPLATES, tiny_folder, tiny_rows

from tunewright.evaluation.scoring import Asked, predict_all
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.run import RunResult
from tunewright.runs.scores import asking_of
from tunewright.settings import validate
from tunewright.task_block import Kind

_METRICS = {"classify": "accuracy", "choose": "accuracy", "regress": "mae", "generate": "rouge-1", "tag": "entity-f1"}
ALWAYS = {
    "recipe.yaml",
    "environment.json",
    "before.json",
    "after.json",
    "cost.json",
    "predictions.jsonl",
    "tuned",
    "report.html",
}
SOFT = {"name": "prompt-tuning", "length": 4}


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@cache
def saved_model(arch: str) -> str:
    """A tiny model's folder, written once."""
    return str(tiny_folder(Path(mkdtemp(prefix="tiny-")) / arch, arch))


@cache
def saved_rows(kind: Kind) -> str:
    """`tiny_rows` as a JSONL file, written once."""
    file = Path(mkdtemp(prefix="tiny-")) / f"{kind}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows(kind)), encoding="utf-8")
    return str(file)


def recipe_of(method: Any, arch: str = "llama", kind: Kind = "classify", **keys: Any) -> Recipe:
    """A recipe of six steps; `keys` replace or extend its blocks."""
    task = {
        "path": saved_rows(kind),
        "kind": kind,
        "name": f"tiny-{kind}",
        "templates": {"plain": TEMPLATES[kind], "short": "{{ text }}: {{ answer }}"}
        if kind != "tag"
        else {"plain": TEMPLATES[kind]},
        "metrics": [_METRICS[kind]],
    }
    blocks: dict[str, Any] = {
        "model": saved_model(arch),
        "task": {**task, **keys.pop("task", {})},
        "method": method,
        "training": {
            "steps": 6,
            "batch_size": 8,
            "learning_rate": 0.01,
            "precision": "fp32",
            **keys.pop("training", {}),
        },
        "evaluation": {"baselines": False, "max_new_tokens": 5, **keys.pop("evaluation", {})},
        **keys,
    }
    return validate(Recipe, blocks, "recipe")


def again(result: RunResult) -> list[Any]:
    """The kept model's predictions of the run's asked rows, asked as the run asked."""
    kept = load_kept(result.folder)
    asked = [
        Asked(here.encoder(part.asked_rows()), here.task, asking_of(part.recipe), here.task.name)
        for here, part in zip(kept.parts, result.prepared.parts, strict=True)
    ]
    return [p for predictions in predict_all(kept.tuner, asked) for p in predictions]
