"""`tunewright inspect`: slots beside words, on the screen, as JSON, as a page."""

from pathlib import Path
from typing import Any

import pytest
from cli_files import Run, classify_recipe, write_recipe


@pytest.fixture
def tuned(cli: Run, llama: Path, tmp_path: Path) -> Any:
    """A run of a method, by its folder."""

    def make(name: str, method: Any, **keys: Any) -> Path:
        tree = classify_recipe(tmp_path, llama, method=method, output=str(tmp_path / name), **keys)
        assert cli("tune", write_recipe(tmp_path, tree)).code == 0
        return tmp_path / name

    return make


def test_slots_start_at_their_labels(cli: Run, tuned: Any) -> None:
    """Three steps at a rate of 1e-6 move nothing: the first three slots are the labels' words."""
    method = {"name": "prompt-tuning", "length": 4, "init": "class-label"}
    training = {"steps": 3, "batch_size": 4, "precision": "fp32", "learning_rate": 1e-6}
    run = tuned("labels", method, training=training)
    found = cli("inspect", run, "--words", "2", "--json").json
    (prompt,) = found["prompts"]
    assert found["likeness"] is None and prompt["label"] == str(run) and prompt["note"] is None
    assert [slot["words"][0] for slot in prompt["slots"][:3]] == [["money", 1.0], ["sport", 1.0], ["weather", 1.0]]
    assert [slot["near"][0][0] for slot in prompt["slots"][:3]] == ["money", "sport", "weather"]
    assert all(len(slot["words"]) == 2 and slot["drift"] < 1e-3 for slot in prompt["slots"])
    assert [slot["slot"] for slot in prompt["slots"]] == [f"rows/prompt {i}" for i in range(1, 5)]
    assert len(prompt["likeness"]) == 4 and prompt["norm_low"] < prompt["norm_median"] < prompt["norm_high"]
    shown = cli("inspect", run)
    assert shown.code == 0 and "money 1.00" in shown.out and "90 % between" in shown.out
    assert "(Euclidean)" in shown.out
    report = (run / "report.html").read_text(encoding="utf-8")
    word, distance = prompt["slots"][3]["near"][0]
    assert "nearest words (Euclidean distance)" in report and f"{word} {distance:.3g}" in report


def test_several_runs_and_a_page(cli: Run, tuned: Any, tmp_path: Path) -> None:
    first = tuned("first", {"name": "prompt-tuning", "length": 3})
    second = tuned("second", {"name": "p-tuning", "length": 2, "init": "none"})
    done = cli("inspect", first, second, "--output", tmp_path / "inside.html", "--json")
    assert done.code == 0
    alike = done.json["likeness"]
    assert alike[0][1] == alike[1][0] and len(alike) == 2
    page = (tmp_path / "inside.html").read_text(encoding="utf-8")
    for text in ("Likeness of the prompts", "Drift from the start", "From start (grey)", str(second)):
        assert text in page
    report = (first / "report.html").read_text(encoding="utf-8")
    assert "Inside the prompt" in report and "Drift from the start" in report


def test_a_start_that_is_gone_and_an_ensemble(cli: Run, tuned: Any, tmp_path: Path) -> None:
    first = tuned("first", {"name": "prompt-tuning", "length": 3, "ensemble": 2})
    names = [slot["slot"] for slot in cli("inspect", first, "--json").json["prompts"][0]["slots"]]
    assert names[0] == "prompt 1, rows/prompt 1" and names[5] == "prompt 2, rows/prompt 3"
    source = tuned("source", {"name": "prompt-tuning", "length": 3})
    later = tuned("later", {"name": "prompt-tuning", "init": {"prompt": str(source)}})
    source.rename(tmp_path / "elsewhere")
    (prompt,) = cli("inspect", later, "--json").json["prompts"]
    assert prompt["note"] == "what it started from is not there any more: no drift"
    assert prompt["slots"][0]["drift"] is None


def test_words_that_were_tuned_too(cli: Run, tuned: Any) -> None:
    """The start's words are gone with the model's old weights, which the next run is still seen beside."""
    training = {"steps": 3, "batch_size": 4, "precision": "fp32", "learning_rate": 0.1}
    both = tuned("both", {"name": "p-tuning", "length": 2, "tune_model": True, "model_rate": 1.0}, training=training)
    plain = tuned("plain", {"name": "prompt-tuning", "length": 2}, training=training)
    first, second = cli("inspect", both, plain, "--json").json["prompts"]
    assert first["note"].startswith("the model was tuned with it") and first["slots"][0]["drift"] is None
    assert second == cli("inspect", plain, "--json").json["prompts"][0] and second["slots"][0]["drift"] > 0


def test_a_prompt_that_was_pefts(cli: Run, tuned: Any, tmp_path: Path) -> None:
    front = tuned("front", {"name": "prompt-tuning", "length": 3, "placement": "very-front"})
    assert cli("export", front, "--output", tmp_path / "peft").code == 0
    later = tuned("later", {"name": "peft-folder", "path": str(tmp_path / "peft")})
    (prompt,) = cli("inspect", later, "--json").json["prompts"]
    assert prompt["note"] is None and all(slot["drift"] > 0 for slot in prompt["slots"])
    (tmp_path / "peft").rename(tmp_path / "elsewhere")
    (prompt,) = cli("inspect", later, "--json").json["prompts"]
    assert prompt["note"] == "what it started from is not there any more: no drift"


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ({"name": "lora", "rank": 2}, "method lora has no soft prompt in the input"),
        ({"name": "prefix-tuning", "length": 2}, "its vectors stand in the layers, where no words are"),
    ],
)
def test_what_has_no_slots(cli: Run, tuned: Any, method: Any, why: str) -> None:
    done = cli("inspect", tuned("other", method))
    assert done.code == 2 and why in done.err and len(done.err.splitlines()) == 1


def test_what_is_no_run(cli: Run, tmp_path: Path) -> None:
    assert "not a finished run" in cli("inspect", tmp_path).err
