"""Templates compared on a model behind an API: the cells of the model's own files."""

from pathlib import Path
from typing import Any

import pytest
from endpoint_server import Server
from sensitivity_parts import file_of
from tiny import tiny_backbone

from tunewright.endpoints.faults import Ended
from tunewright.errors import InputError
from tunewright.sensitivity.run import Compared, compare_templates

KEYS: dict[str, Any] = {
    "template": ["plain", "question"],
    "evaluation": {"rows": 5, "validation_rows": 3},
    "sensitivity": {"calibration": ["none", "pmi"], "examples": [0, 2], "orders": 2},
}


def block(server: Server, **keys: Any) -> dict[str, Any]:
    return {"endpoint": server.url, "name": "tiny", "per_minute": None, **keys}


def answers(found: Compared) -> list[Any]:
    lines = (found.folder / "cells.jsonl").read_text(encoding="utf-8").splitlines()
    return [line.partition('"answers"')[2] for line in lines]


def test_the_cells_are_those_of_the_models_files(server: Server, tmp_path: Path) -> None:
    local = compare_templates(file_of(tmp_path, **KEYS), tmp_path / "local", backbone=tiny_backbone("llama"))
    wanted = file_of(tmp_path, **KEYS | {"model": block(server)})
    found = compare_templates(wanted, tmp_path / "out")
    assert answers(found) == answers(local) and len(answers(found)) == 12
    assert found.value["model"] == f"tiny at {server.url}" and found.report.is_file()
    asked = len(server.requests)
    assert answers(compare_templates(wanted, tmp_path / "again")) == answers(found) and len(server.requests) == asked
    server.name = "twin"
    twin = file_of(tmp_path, **KEYS | {"model": block(server, name="twin", requests=asked - 9)})
    with pytest.raises(Ended, match="sensitivity with --resume"):
        compare_templates(twin, tmp_path / "twin")
    assert answers(compare_templates(twin, tmp_path / "twin", resume=True)) == answers(found)


def test_what_an_api_cannot_do(server: Server, tmp_path: Path) -> None:
    soft = {"soft": {"method": {"name": "prompt-tuning", "length": 4}}}
    with pytest.raises(InputError, match="method prompt-tuning: it needs the weights of a model"):
        compare_templates(file_of(tmp_path, model=block(server), sensitivity=soft), tmp_path / "out")
    told = block(server, choices="text")
    with pytest.raises(InputError, match="calibration contextual: it wants log probabilities of the choices"):
        compare_templates(file_of(tmp_path, **KEYS | {"sensitivity": {}, "model": told}), tmp_path / "out")
    assert not server.requests
    server.says = "sport"
    plain = {"calibration": "none"}
    found = compare_templates(file_of(tmp_path, **KEYS | {"sensitivity": plain, "model": told}), tmp_path / "out")
    assert "sport" in answers(found)[0] and "money" not in answers(found)[0]
