"""Tasks one after the other, from start to end."""

import json

import pytest
import torch
from run_parts import SOFT, read, recipe_of

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.methods.base import load_safetensors
from tunewright.recipe import Recipe
from tunewright.runs.folder import recipe_tree
from tunewright.runs.kept import load_kept
from tunewright.runs.run import run
from tunewright.runs.sequence import run_sequence
from tunewright.settings import validate
from tunewright.training import loop
from tunewright.training.loop import Interrupted


def sequence_of(method, steps=2, **keys):
    """Two tasks of one kind, the second with other rows of training."""
    tree = recipe_tree(recipe_of(method, training={"steps": steps, "keep": "last", "checkpoint_every": 1}, **keys))
    task = tree.pop("task")
    tree["sequence"] = [{"task": {**task, "name": "first"}}, {"task": {**task, "name": "second"}, "shots": 2}]
    tree.setdefault("evaluation", {})["rows"] = 5
    return validate(Recipe, tree, "recipe")


@pytest.mark.parametrize("method", ["full", {"name": "lora", "rank": 2}, SOFT])
def test_each_stage_goes_on_from_the_last(method, tmp_path):
    recipe = sequence_of(method)
    found = run_sequence(recipe, tmp_path / "out").content
    assert found["tasks"] == ["first", "second"] and found["stages"] == ["stages/1-first", "stages/2-second"]
    assert [len(line) for line in found["matrix"]] == [2, 2, 2] and found["rows"] == [5, 5]
    assert read(tmp_path / "out", "sequence.json") == found
    assert "After each stage" in (tmp_path / "out" / "report.html").read_text()
    assert not list((tmp_path / "out").rglob("carried.safetensors"))  # nothing is left lying about
    assert load_kept(tmp_path / "out/stages/2-second").task.name == "second"


def test_the_weights_are_carried(tmp_path, monkeypatch):
    from tunewright.runs import sequence as module

    seen = []
    real = module.tune

    def spy(prepared, folder, **keys):
        trained = prepared.tuner.tunable.trained()
        seen.append({name: p.detach().clone() for name, p in trained.items()})
        result = real(prepared, folder, **keys)
        seen.append({name: p.detach().clone() for name, p in trained.items()})
        return result

    monkeypatch.setattr(module, "tune", spy)
    run_sequence(sequence_of(SOFT), tmp_path / "out")
    start, end, again, last = seen
    [name] = end
    assert not torch.equal(start[name], end[name]) and torch.equal(end[name], again[name])
    assert not torch.equal(again[name], last[name])
    kept = load_safetensors(next((tmp_path / "out/stages/2-second/tuned").glob("*.safetensors")))
    assert any(torch.equal(value, last[name]) for value in kept.values())


def test_stopped_anywhere_and_resumed_it_ends_the_same(tmp_path, monkeypatch):
    recipe = sequence_of(SOFT)
    whole = run_sequence(recipe, tmp_path / "whole").content
    save, times = loop.save_checkpoint, []

    def now_and_then(*arguments):
        result = save(*arguments)
        times.append(1)
        if len(times) in (1, 2):  # within stage 1, within stage 2
            raise Interrupted("stopped")
        return result

    monkeypatch.setattr(loop, "save_checkpoint", now_and_then)
    for _ in range(2):
        with pytest.raises(Interrupted):
            run_sequence(recipe, tmp_path / "parts", resume=True)
    assert (tmp_path / "parts/stages/1-first/row.json").is_file()
    assert not (tmp_path / "parts/stages/2-second/row.json").is_file()
    parts = run_sequence(recipe, tmp_path / "parts", resume=True).content
    assert parts == whole


def test_the_command_line(tmp_path, monkeypatch, capsys):
    import yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe_tree(sequence_of(SOFT, steps=1))))
    assert main(["check", "r.yaml", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["sequence"] == ["first", "second"] and facts["memory"]["peak"] > 0
    assert main(["tune", "r.yaml", "--output", "out"]) == 0
    shown = capsys.readouterr().out
    assert "untuned" in shown and "2. second" in shown and "backward transfer: " in shown


def test_what_cannot_go_on_is_said(tmp_path):
    for method, message in (
        ("head", "head for one task"),
        ("none", "trains nothing"),
        ("in-context", "trains nothing"),
    ):
        with pytest.raises(InputError, match=message):
            run_sequence(sequence_of(method), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="tunewright tune"):
        run(sequence_of(SOFT), tmp_path / "out")
    tree = recipe_tree(sequence_of(SOFT))
    for change, message in (
        ({"task": "bbc-news"}, "found task and sequence"),
        ({"sequence": ["bbc-news"]}, "sequence"),
        ({"sequence": [{"task": "bbc-news", "rate": 2.0}, "sst2"]}, "no rate"),
        ({"evaluation": {"ensemble": "weighted"}}, "weighted"),
    ):
        with pytest.raises(InputError, match=message):
            validate(Recipe, {**tree, **change}, "recipe")
    twice = {**tree, "sequence": [tree["sequence"][0]] * 2}
    with pytest.raises(InputError, match="two tasks are called"):
        run_sequence(validate(Recipe, twice, "recipe"), tmp_path / "out")
