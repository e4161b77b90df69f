"""A comparison's file beside its data, with templates of several kinds."""

from pathlib import Path
from typing import Any

from cli_files import classify_recipe

from tunewright.sensitivity.recipe import Sensitivity
from tunewright.settings import validate

TEMPLATES = {
    "plain": "{{ text }}\ntopic: {{ answer }}",
    "question": "What is this about?\n{{ text }}\nanswer: {{ answer }}",
    "about": {"jinja": "{{ text }} is about {{ answer }}", "answer_choices": ["bank", "team", "rain"]},
    "soft": "{{ text }} {{ soft(2) }} {{ answer }}",
    "middle": "{{ answer }} is what {{ text }} is about",
}


def tree(folder: Path, model: str | Path = "tiny", **keys: Any) -> dict[str, Any]:
    """36 rows in three classes; `keys` go over those of the file."""
    made = classify_recipe(folder, Path(model))
    task = {**made["task"], "templates": TEMPLATES}
    found = {"model": str(model), "task": task, "shots": 2, "sensitivity": {}, "training": {"precision": "fp32"}}
    return found | {"output": made["output"]} | keys


def file_of(folder: Path, **keys: Any) -> Sensitivity:
    return validate(Sensitivity, tree(folder, **keys), "sensitivity.yaml")
