"""A recipe, its data and a tiny model in a folder, and the command line run in this process."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tiny import tiny_folder, tiny_rows

from tunewright.cli.main import main

Row = dict[str, Any]
Run = Callable[..., "Done"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@cache
def _folder_of(base: Path, arch: str) -> Path:
    return tiny_folder(base / arch, arch)


def model(tmp_path_factory: pytest.TempPathFactory, arch: str = "llama") -> Path:
    """One tiny model an architecture and test process."""
    return _folder_of(tmp_path_factory.getbasetemp() / "models", arch)


def write_rows(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def classify_recipe(folder: Path, model_folder: Path, **keys: Any) -> dict[str, Any]:
    """36 rows in three classes beside it; no baselines, which would want another model."""
    data = write_rows(folder / "rows.jsonl", tiny_rows("classify"))
    return {
        "model": str(model_folder),
        "task": {
            "path": str(data),
            "kind": "classify",
            "fields": {"text": "text", "label": "label"},
            "labels": ["money", "sport", "weather"],
            "templates": {"plain": "{{ text }}\ntopic: {{ answer }}"},
        },
        "method": {"name": "prompt-tuning", "length": 4},
        "training": {"steps": 3, "batch_size": 4, "precision": "fp32"},
        "evaluation": {"baselines": False},
        "output": str(folder / "out"),
        **keys,
    }


def write_recipe(folder: Path, tree: dict[str, Any], name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
