"""A comparison's file beside its data, with templates of several kinds."""

import json
from pathlib import Path
from typing import Any

from tiny import tiny_rows

from tunewright.sensitivity.recipe import Sensitivity
from tunewright.settings import validate

TEMPLATES = {
    "plain": "{{ text }}\ntopic: {{ answer }}",
    "question": "What is this about?\n{{ text }}\nanswer: {{ answer }}",
    "about": {"jinja": "{{ text }} is about {{ answer }}", "answer_choices": ["bank", "team", "rain"]},
    "soft": "{{ text }} {{ soft(2) }} {{ answer }}",
    "middle": "{{ answer }} is what {{ text }} is about",
}


def tree(folder: Path, model: str | Path | dict[str, Any] = "tiny", **keys: Any) -> dict[str, Any]:
    """36 rows in three classes; `keys` go over those of the file."""
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    task = {
        "path": str(rows), "kind": "classify", "fields": {"text": "text", "label": "label"},
        "labels": ["money", "sport", "weather"], "templates": TEMPLATES,
    }  # fmt: skip
    shown = model if isinstance(model, dict) else str(model)
    found = {"model": shown, "task": task, "shots": 2, "training": {"precision": "fp32"}}
    return found | {"sensitivity": {}, "output": str(folder / "out")} | keys


def file_of(folder: Path, **keys: Any) -> Sensitivity:
    return validate(Sensitivity, tree(folder, **keys), "sensitivity.yaml")
