"""Runs with a battery and remedies, and `tunewright forget`, from start to end."""

import json
from pathlib import Path

import pytest
import yaml
from forgetting_parts import battery
from run_parts import SOFT, read, recipe_of, saved_model

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.recipe import Recipe
from tunewright.runs.run import run
from tunewright.settings import validate
from tunewright.training.loop import Interrupted

EVERY = {
    "replay": {"tasks": battery()["tasks"], "share": 0.2, "rows": 6},
    "l2-sp": None,
    "ewc": {"tasks": battery()["tasks"], "rows": 6, "fisher_rows": 3},
    "kl": {"tasks": battery()["tasks"], "rows": 6, "batch_size": 2},
    "wise-ft": {"battery": battery(), "battery_rows": 3, "alphas": [0, 0.5, 1]},
    "early-stop": {"battery": battery(), "battery_rows": 3, "most": 0.9},
}


@pytest.fixture(autouse=True)
def _own(own_cache):
    pass


def test_a_run_with_a_battery(tmp_path):
    recipe = recipe_of(SOFT, evaluation={"battery": battery()})
    run(recipe, tmp_path / "out")
    found = read(tmp_path / "out", "battery.json")
    assert list(found["sides"]) == ["attached", "detached"] and found["missing"] == []
    tasks = found["sides"]["detached"]["tasks"]
    assert [one["task"] for one in tasks] == ["other-choose", "other-classify", "text"]
    assert {one["verdict"] for one in tasks} == {"no answer changed"}
    assert [one["rows"] for one in tasks] == [4, 4, 3]
    rows = read(tmp_path / "out", "battery-rows.json")
    assert len(rows["text"]["attached"]) == 3 and len(rows["other-choose"]["before"]) == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What was forgotten" in page and "Detached: no answer to any of the 3 tasks changed." in page
    # The same recipe again is found finished, and the battery in recipe.yaml is read back as it was given.
    assert run(recipe, tmp_path / "out", resume=True).folder == tmp_path / "out"


def test_full_tuning_has_nothing_to_detach(tmp_path):
    run(recipe_of("full", evaluation={"battery": battery()}), tmp_path / "out")
    assert list(read(tmp_path / "out", "battery.json")["sides"]) == ["attached"]


@pytest.mark.parametrize("method", [SOFT, "head"])
def test_all_remedies_together_and_a_resumed_run_is_the_same(method, tmp_path, monkeypatch):
    training = {"checkpoint_every": 1, "evaluate_every": 3}
    recipe = recipe_of(method, training=training, remedies=EVERY)
    whole = run(recipe, tmp_path / "whole", alone=False)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[0]["added"]) == {"replay", "l2-sp", "ewc", "kl"}
    assert "battery_lost" in next(line for line in lines if "validation" in line)
    curve = read(tmp_path / "whole", "wise-ft.json")
    assert [point["alpha"] for point in curve["curve"]] == [0.0, 0.5, 1.0] and curve["alpha"] in (0.0, 0.5, 1.0)

    from tunewright.training import loop

    save = loop.save_checkpoint

    def once(*arguments):
        save(*arguments)
        raise Interrupted("stopped")

    monkeypatch.setattr(loop, "save_checkpoint", once)
    with pytest.raises(Interrupted):
        run(recipe, tmp_path / "parts", alone=False)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    parts = run(recipe, tmp_path / "parts", alone=False, resume=True)
    assert [p.scores for p in parts.after] == [p.scores for p in whole.after]
    assert read(tmp_path / "parts", "wise-ft.json") == curve


def test_early_stop_keeps_the_start_where_the_battery_falls_at_once(tmp_path, monkeypatch):
    from tunewright.runs.remedies import OpenRemedies

    falls = iter([0.8, 0.1])
    monkeypatch.setattr(OpenRemedies, "_mean", lambda *a, **k: next(falls))
    block = {"early-stop": {"battery": battery(), "most": 0.05}}
    result = run(recipe_of(SOFT, training={"evaluate_every": 2}, remedies=block), tmp_path / "out", alone=False)
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
    assert lines[-1]["battery_lost"] == pytest.approx(0.7)
    untouched = run(recipe_of(SOFT, training={"steps": 1, "learning_rate": 1e-30}), tmp_path / "plain", alone=False)
    assert [p.prediction for p in result.after] == [p.prediction for p in untouched.after]


def test_forget_any_run_any_pair(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(battery()))
    run(recipe_of("lora"), tmp_path / "lora", alone=False)
    assert main(["forget", "lora", "--battery", "mine.yaml", "--rows", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["sides"]) == ["attached", "detached"] and found["folder"] == "lora/forgetting-mine"
    assert found["sides"]["attached"]["tasks"][0]["rows"] == 3
    assert {one["verdict"] for one in found["sides"]["detached"]["tasks"]} == {"no answer changed"}
    assert "What was forgotten" in Path("lora/forgetting-mine/report.html").read_text()
    # Its adapter is a PEFT folder by itself.
    peft = tmp_path / "adapter"
    peft.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (peft / name).write_bytes((tmp_path / "lora" / "tuned" / name).read_bytes())
    assert main(["forget", saved_model("llama"), "adapter", "--battery", "mine.yaml", "--rows", "3", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["folder"] == "runs/forget-mine"
    for a, b in zip(alone["sides"]["attached"]["tasks"], found["sides"]["attached"]["tasks"]):
        assert a["after"]["value"] == pytest.approx(b["after"]["value"], rel=1e-2)  # in bf16 where the machine has it
    # A pair of models, as a table.
    assert main(["forget", saved_model("llama"), saved_model("gpt2"), "--battery", "mine.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "other-classify" in shown and "perplexity" in shown and "Attached:" in shown


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["forget", saved_model("llama"), "--battery", "general"]) == 2
    assert "a model alone has nothing to be compared with" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="no such battery"):
        run(recipe_of(SOFT, evaluation={"battery": "nothing"}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for block, message in (
        ({"replay": {"share": 1.0}}, "share"),
        ({"l3": {}}, "l3"),
        ({"wise-ft": {"alphas": [0.5]}}, "alphas"),
    ):
        with pytest.raises(InputError, match=message):
            recipe_of(SOFT, remedies=block)
    with pytest.raises(InputError, match="keep: best"):
        recipe_of(SOFT, training={"keep": "last"}, remedies={"early-stop": {}})


def test_remedies_are_written_as_they_are_read():
    from tunewright.runs.folder import recipe_tree

    recipe = recipe_of(SOFT, remedies=EVERY, evaluation={"battery": ["bbc-news", {"name": "chitchat"}]})
    tree = recipe_tree(recipe)
    assert list(tree["remedies"]) == list(EVERY)
    assert tree["evaluation"]["battery"] == ["bbc-news", {"name": "chitchat"}]
    assert recipe_tree(validate(Recipe, tree, "again")) == tree
