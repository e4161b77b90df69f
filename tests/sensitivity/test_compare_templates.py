"""Whole comparisons on tiny models: each cell is what a run of its own says, prompts are read once, a stop goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from sensitivity_parts import file_of, tree
from tiny import tiny_backbone

from tunewright.evaluation.scoring import Asked, Asking, predict, predict_all
from tunewright.methods.registry import make_method
from tunewright.runs.prepare import assemble_all, open_tasks
from tunewright.search.journal import Journal
from tunewright.sensitivity.cells import score_cells
from tunewright.sensitivity.plan import make_plan
from tunewright.sensitivity.run import compare_templates
from tunewright.training.tuner import Tuner

MANY = {"calibration": ["none", "contextual", "pmi"], "normalisation": ["none", "byte"]}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples each forward pass read."""
    sizes: list[int] = []
    forward = Tuner.forward

    def counted(self: Tuner, batch: Any) -> Any:
        sizes.append(batch.examples)
        return forward(self, batch)

    monkeypatch.setattr(Tuner, "forward", counted)
    return sizes


@pytest.mark.parametrize("arch", ["causal", "seq2seq", "masked"])
def test_each_cell_is_what_a_run_of_its_own_says(tmp_path: Path, arch: str) -> None:
    wanted = file_of(tmp_path, sensitivity=MANY)
    plan = make_plan(wanted, tiny_backbone(arch))
    cells = score_cells(plan, Journal(tmp_path / "cells.jsonl"))
    names = ["plain", "question", "about"] + (["middle"] if arch != "causal" else [])
    assert [one.name for one in plan.templates] == names
    assert len(cells) == 6 * len(names)
    for cell in cells[::5]:
        recipe = wanted.recipe().model_copy(update={"template": cell.template})
        (opened,) = open_tasks(recipe)
        alone = assemble_all(recipe, [opened], make_method({"name": "none"}), tiny_backbone(arch))
        asking = Asking(normalisation=cell.way.normalisation, calibration=cell.way.calibration)
        found = predict(alone.tuner, alone.encoder(alone.asked_rows(), attached=False), alone.task, asking)
        assert [p.prediction for p in found] == cell.answers["test"]
        assert [p.id for p in found] == list(plan.rows["test"].ids)


def test_a_prompt_is_read_once_for_all_its_ways(tmp_path: Path, read: list[int]) -> None:
    """Its rows, three content-free prompts, and a domain prompt, which for two templates is the one without text."""
    plan = make_plan(file_of(tmp_path, sensitivity=MANY), tiny_backbone("causal"))
    score_cells(plan, Journal(tmp_path / "cells.jsonl"))
    rows = sum(len(mine) for mine in plan.rows.values())
    assert (len(plan.templates), sum(read)) == (3, 3 * (rows + 3) + 1)


def test_normalisations_of_one_call_share_a_reading(tmp_path: Path, read: list[int]) -> None:
    plan = make_plan(file_of(tmp_path), tiny_backbone("causal"))
    encoder, tuner, task = plan.encoder(plan.units[0], "test"), plan.prepared.tuner, plan.prepared.task
    ways = [Asking(normalisation=one) for one in ("byte", "none", "token")]
    together = predict_all(tuner, [Asked(encoder, task, one) for one in ways])
    assert sum(read) == len(encoder.rows)
    assert together == [predict(tuner, encoder, task, one) for one in ways]
    assert together[0][0].scores != together[1][0].scores


def test_orders_of_the_same_examples(tmp_path: Path) -> None:
    wanted = file_of(tmp_path, sensitivity={"examples": [0, 3], "orders": 3}, training={"max_tokens": 200})
    plan = make_plan(wanted, tiny_backbone("causal"))
    assert [unit.key for unit in plan.units[:4]] == [
        ("plain", 0, 0),
        ("question", 0, 0),
        ("about", 0, 0),
        ("plain", 3, 1),
    ]
    shown = []
    for unit in plan.units[3:6]:
        assert unit.template.name == "plain"
        prompts = [plan.encoder(unit, "test").prompt(i) for i in range(3)]
        assert len({tuple(d.row for d in p.demonstrations) for p in prompts if p}) == 1  # the same for all rows
        assert prompts[0] is not None
        shown.append([(d.row, d.rank) for d in prompts[0].demonstrations])
    assert len({tuple(one) for one in shown}) == 3
    assert len({tuple(sorted(one)) for one in shown}) == 1  # the same rows, the same ones dropped first
    other = [plan.encoder(unit, "test").prompt(0) for unit in plan.units if unit.examples and unit.order == 1]
    assert len({tuple(d.row for d in p.demonstrations) for p in other if p}) == 1  # and for all templates
    assert len(plan.units) == 3 + 9


def test_fewer_orders_than_wanted_are_told(tmp_path: Path) -> None:
    plan = make_plan(file_of(tmp_path, sensitivity={"examples": 2}), tiny_backbone("causal"))
    assert (len(plan.units), plan.notes) == (6, ["2 examples have 2 orders only"])


def test_a_stopped_comparison_goes_on(tmp_path: Path, read: list[int]) -> None:
    wanted, out = file_of(tmp_path), tmp_path / "out"
    whole = compare_templates(wanted, out, backbone=tiny_backbone("causal")).value
    assert json.loads((out / "sensitivity.json").read_text()) == json.loads(json.dumps(whole))
    asked = sum(read)
    lines = (out / "cells.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 6
    (out / "cells.jsonl").write_text("".join(lines[:4]) + lines[4][:30])
    read.clear()
    again = compare_templates(wanted, out, backbone=tiny_backbone("causal"), resume=True).value
    assert sum(read) == asked // 3  # one template of three
    assert {**again, "made": 0} == {**whole, "made": 0}
    assert (out / "cells.jsonl").read_text() == "".join(lines)
    read.clear()
    compare_templates(wanted, out, backbone=tiny_backbone("causal"), resume=True)
    assert read == []


def test_options_of_each_row(tmp_path: Path) -> None:
    """kind: choose."""
    rows = [
        {"text": f"the {word} {i}", "choices": ["sport", "money"], "answer": int(word == "bank")}
        for i in range(10)
        for word in ("bank", "team")
    ]
    file = tmp_path / "options.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = {
        "path": str(file), "kind": "choose", "fields": {"text": "text", "choices": "choices", "answer": "answer"},
        "templates": {"one": "{{ text }}\n{{ answer }}", "two": "{{ text }} is {{ answer }}"},
    }  # fmt: skip
    done = compare_templates(file_of(tmp_path, task=task), tmp_path / "out", backbone=tiny_backbone("causal"))
    assert [(group["label"], group["cells"]) for group in done.value["groups"]] == [
        ("zero-shot plain", 2), ("zero-shot contextual", 2),
    ]  # fmt: skip
    assert all(cell["test"]["n"] == done.value["rows"]["test"] for cell in done.value["cells"])


def test_the_file_of_a_recipe_says_all(tmp_path: Path) -> None:
    """`all` beside templates of one's own; one that is the same as another is left out, and named."""
    own = ["all", {"jinja": "{{ text }}!\n{{ answer }}"}]
    plan = make_plan(file_of(tmp_path, template=own), tiny_backbone("causal"))
    assert [one.name for one in plan.templates] == ["plain", "question", "about", "inline"]
    assert [name for name, _ in plan.left_out] == ["soft", "middle"]
    task = tree(tmp_path)["task"]
    task["templates"] = task["templates"] | {"twin": task["templates"]["plain"]}
    assert make_plan(file_of(tmp_path, task=task), tiny_backbone("causal")).left_out[-1] == (
        "twin",
        "the same as 'plain'",
    )
