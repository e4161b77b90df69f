"""How a run ends, goes on and is not written over; what is kept of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from run_parts import ALWAYS, SOFT, read, recipe_of
from stopping import stop_at

from tunewright.errors import InputError
from tunewright.recipe import load_recipe
from tunewright.runs import run as running
from tunewright.runs.folder import RunFolder
from tunewright.runs.kept import load_kept
from tunewright.runs.run import run
from tunewright.tasks.open import open_task
from tunewright.training.loop import Interrupted

# ---- ending, going on, not writing over -----------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(recipe_of(SOFT), tmp_path / "run")
    held = files(tmp_path / "run")
    with pytest.raises(InputError, match="run: already there; --resume goes on with it, --overwrite starts afresh"):
        run(recipe_of(SOFT), tmp_path / "run")
    monkeypatch.setattr(running, "ask", None)  # nothing is asked again
    second = run(recipe_of(SOFT), tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == held
    assert second.after == first.after and second.before == first.before
    assert second.after_metrics == first.after_metrics and second.cost == first.cost


def test_a_report_that_was_cut_off_is_made_up_for(tmp_path: Path) -> None:
    run(recipe_of("none"), tmp_path / "run")
    (tmp_path / "run/report.html").unlink()
    run(recipe_of("none"), tmp_path / "run", resume=True)
    assert (tmp_path / "run/report.html").stat().st_size > 1000


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    run(recipe_of("none"), tmp_path / "run")
    held = files(tmp_path / "run")
    with pytest.raises(InputError, match="holds a run of another recipe; choose another output or --overwrite"):
        run(recipe_of("none", training={"seed": 1}), tmp_path / "run", resume=True)
    assert files(tmp_path / "run") == held


def test_overwrite_starts_afresh_but_only_over_a_run(tmp_path: Path) -> None:
    run(recipe_of(SOFT), tmp_path / "run")
    run(recipe_of("none"), tmp_path / "run", overwrite=True)
    assert {path.name for path in (tmp_path / "run").iterdir()} == ALWAYS
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(InputError, match=r"not a run's folder \(no recipe.yaml\); it is not written over"):
        run(recipe_of("none"), tmp_path / "mine", overwrite=True)
    assert files(tmp_path / "mine") == {"thesis.txt": b"years"}


def test_a_wrong_recipe_leaves_no_folder(tmp_path: Path) -> None:
    for keys in (
        {"evaluation": {"metrics": ["accuracie"]}},
        {"template": "nothing"},
        {"task": {"labels": ["sport"]}},
        {"training": {"max_tokens": 8}},
    ):
        with pytest.raises(InputError):
            run(recipe_of(SOFT, **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", [SOFT, "full"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(method, training={"steps": 8, "evaluate_every": 2})
    whole = run(recipe, tmp_path / "whole")
    place = tmp_path / "run"
    stop_at(4, monkeypatch)
    with pytest.raises(Interrupted):
        run(recipe, place)
    monkeypatch.undo()
    assert not (place / "after.json").exists() and (place / "before.json").exists()
    ended = run(recipe, place, resume=True)
    assert ended.after == whole.after and ended.before == whole.before
    for name in ("metrics.jsonl", "predictions.jsonl", "after.json", "before.json"):
        assert (place / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    kept = [path.relative_to(place) for path in (place / "tuned").glob("*.safetensors")]
    assert kept and all((place / path).read_bytes() == (tmp_path / "whole" / path).read_bytes() for path in kept)


def test_recipe_yaml_is_the_recipe(tmp_path: Path) -> None:
    """Written out with its defaults, `clip: null` included; reading it gives the same recipe and the same task."""
    recipe = recipe_of("none", training={"clip": None}, task={"label_words": {"sport": ["sport", "ball"]}})
    run(recipe, tmp_path / "run")
    read_back = load_recipe(tmp_path / "run/recipe.yaml")
    assert read_back.model_dump() == recipe.model_dump()
    assert read_back.training.clip is None
    assert "max_tokens: 512" in (tmp_path / "run/recipe.yaml").read_text()
    assert run(recipe, tmp_path / "run", resume=True).folder == tmp_path / "run"


def test_recipe_yaml_leaves_the_catalogs_keys_to_the_catalog(tmp_path: Path) -> None:
    """A block over a catalog entry names what the user wrote; defaults written out would hide the entry's own."""
    block = {"name": "support-chats", "generator": {"name": "support-chats", "rows": 40}}
    recipe = recipe_of("none").model_copy(update={"task": recipe_of("none").task.__class__.model_validate(block)})
    RunFolder(tmp_path / "run").claim(recipe, resume=False, overwrite=False)
    again = load_recipe(tmp_path / "run/recipe.yaml")
    assert again.task == recipe.task
    assert open_task(again.task).templates == open_task(recipe.task).templates != {}


# ---- what is kept ---------------------------------------------------------------------------------------------


def test_a_kept_model_needs_no_data_and_says_what_it_cannot_read(tmp_path: Path) -> None:
    run(recipe_of(SOFT), tmp_path / "run")
    tuned = tmp_path / "run/tuned"
    kept = load_kept(tuned)
    assert kept.task.splits == {} and kept.task.labels == ("money", "sport", "weather")
    content = read(tuned, "tuned.json")
    for broken, message in (
        ("{", "tuned.json: not valid JSON"),
        ("{}", "key 'recipe' is missing"),
        (json.dumps({**content, "layout": []}), "its slots do not fit this model's tokenizer"),
    ):
        (tuned / "tuned.json").write_text(broken)
        with pytest.raises(InputError, match=message):
            load_kept(tuned)
    (tuned / "tuned.json").unlink()
    with pytest.raises(InputError, match=r"no tuned/tuned.json: not a finished run"):
        load_kept(tmp_path / "run")


def test_a_kept_full_model_is_a_model_for_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    result = run(recipe_of("full"), tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run/tuned")
    ours = result.prepared.backbone.model.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in model.state_dict().items())


def test_missing_or_broken_files_of_a_run(tmp_path: Path) -> None:
    place = RunFolder(tmp_path)
    with pytest.raises(InputError, match=r"no after.json: not a finished run's folder"):
        place.read("after")
    (tmp_path / "after.json").write_text("{")
    with pytest.raises(InputError, match=r"after.json: not valid JSON"):
        place.read("after")
