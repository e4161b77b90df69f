"""A whole run: what stands in its folder, how it ends and goes on, and that what is kept answers the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from run_parts import ALWAYS, SOFT, read, recipe_of, saved_model

from tunewright.errors import InputError
from tunewright.evaluation.scoring import predict
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.run import RunResult, run
from tunewright.runs.scores import asking_of
from tunewright.task_block import Kind
from tunewright.tasks.open import open_task


def again(result: RunResult, recipe: Recipe) -> list[Any]:
    """The kept model's predictions of the run's test rows, asked as the run asked."""
    kept = load_kept(result.folder)
    return predict(kept.tuner, kept.encoder(result.prepared.asked_rows()), kept.task, asking_of(recipe))


@pytest.mark.parametrize(
    ("method", "arch", "kind"),
    [
        ("none", "llama", "classify"),
        ("full", "t5", "generate"),
        ("full", "bert", "classify"),
        ("lora", "gpt2", "choose"),
        ("lora", "bart", "classify"),
        (SOFT, "opt", "classify"),
        (SOFT, "t5-untied", "tag"),
        (SOFT, "roberta", "choose"),
        ("head", "bert", "classify"),
        ("head", "llama", "regress"),
        ("head", "bert", "tag"),
        ({"name": "head", "backbone": "frozen", "subtoken": "last"}, "bart", "tag"),
        ("soft-verbalizer", "roberta", "classify"),
        ({"name": "soft-verbalizer", "prototypes": True}, "t5", "classify"),
        ({"name": "soft-verbalizer", "train": "prompt", "length": 3}, "llama", "classify"),
        (SOFT, "llama", "regress"),
    ],
)
def test_a_run_of_every_kind(tmp_path: Path, method: Any, arch: str, kind: Kind) -> None:
    recipe = recipe_of(method, arch, kind)
    result = run(recipe, tmp_path / "run")
    folder = result.folder
    name = recipe.method["name"]
    assert {path.name for path in folder.iterdir()} == ALWAYS | (
        set() if name == "none" else {"metrics.jsonl", "checkpoints"}
    )
    before, after = read(folder, "before.json"), read(folder, "after.json")
    test = len(result.prepared.task.split("test"))
    for scores in (before, after):
        assert (scores["task"], scores["split"], scores["n"]) == (f"tiny-{kind}", "test", test)
        (metric,) = result.prepared.task.metrics
        assert list(scores["metrics"]) == [metric]
    if name == "none":
        assert before == after and result.before == result.after
    elif kind in ("classify", "choose"):
        assert [p.scores for p in result.before] != [p.scores for p in result.after]
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(result.prepared.task.split("test").ids)
    assert [line["after"] for line in lines] == [p.prediction for p in result.after]
    assert [line["before"] for line in lines] == [p.prediction for p in result.before]
    if name != "none":
        steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in steps if "loss" in line] == [1, 2, 3, 4, 5, 6]
        kept = again(result, recipe)
        assert [p.prediction for p in kept] == [p.prediction for p in result.after]
        assert [p.scores for p in kept] == [p.scores for p in result.after]


@pytest.mark.parametrize(
    ("method", "arch", "kind"),
    [(SOFT, "t5", "generate"), ("lora", "llama", "choose"), ("full", "bert", "classify"), ("head", "gpt2", "regress")],
)
def test_a_run_in_bf16(tmp_path: Path, method: Any, arch: str, kind: Kind) -> None:
    recipe = recipe_of(method, arch, kind, training={"precision": "bf16"})
    result = run(recipe, tmp_path / "run", alone=False)
    trained = result.prepared.tuner.tunable.trained()
    assert {p.dtype for p in trained.values()} == {torch.float32}
    frozen = {p.dtype for p in result.prepared.tuner.parameters() if not p.requires_grad}
    assert frozen <= {torch.bfloat16} and bool(frozen) == (method in (SOFT, "lora"))
    assert [p.prediction for p in again(result, recipe)] == [p.prediction for p in result.after]


def test_what_a_run_cost(tmp_path: Path) -> None:
    cost = run(recipe_of(SOFT), tmp_path / "run").cost
    assert cost["trained_parameters"] == 4 * 32
    assert cost["prompt_tokens_added"] == 4
    assert cost["total_parameters"] > 20_000
    assert cost["artifact_bytes"] == sum(f.stat().st_size for f in (tmp_path / "run/tuned").iterdir())
    assert cost["train_seconds"] > 0 and cost["examples_per_second"] > 0 and cost["peak_memory_bytes"] > 10**8
    plain = run(recipe_of("none"), tmp_path / "none").cost
    assert (plain["trained_parameters"], plain["train_seconds"], plain["examples_per_second"]) == (0, 0.0, None)


def test_where_it_was_made(tmp_path: Path) -> None:
    result = run(recipe_of("none"), tmp_path / "run")
    found = read(result.folder, "environment.json")
    assert set(found) == {"made", "tunewright", "python", "versions", "hardware", "git_commit", "data", "attention"}
    sizes = {name: len(rows) for name, rows in result.prepared.task.splits.items()}
    assert found["data"]["rows"] == sizes and sum(sizes.values()) == 36
    assert len(found["data"]["sha256"]) == 64
    assert found["versions"]["torch"] == torch.__version__
    assert found["attention"] == "sdpa"  # max_tokens is 512


# ---- before and after -----------------------------------------------------------------------------------------


def test_before_is_the_plain_model_whatever_the_slots(tmp_path: Path) -> None:
    """Slots started from words are those words before tuning; others are left out."""
    plain = run(recipe_of("none", template="{{ text }} it was {{ answer }}"), tmp_path / "plain")
    slots = '{{ text }}{{ soft(" it was") }}{{ soft(3) }} {{ answer }}'
    soft = run(recipe_of("prompt-tuning", template=slots), tmp_path / "soft")
    assert [p.scores for p in soft.before] == [p.scores for p in plain.before]
    assert soft.before[0].prompt.endswith(" it was ")
    assert soft.cost["prompt_tokens_added"] == 5 and soft.cost["trained_parameters"] == 5 * 32
    added = run(recipe_of(SOFT), tmp_path / "added")
    assert [p.scores for p in added.before] == [p.scores for p in run(recipe_of("none"), tmp_path / "n").before]
    assert [p.scores for p in added.after] != [p.scores for p in added.before]


def test_predictions_that_a_study_has_already_are_taken(tmp_path: Path) -> None:
    first = run(recipe_of("none"), tmp_path / "none")
    second = run(recipe_of(SOFT), tmp_path / "soft", before=first.before, alone=False)
    assert second.before == first.before
    assert not (tmp_path / "soft/report.html").exists()


def test_other_methods_read_a_template_with_slots_without_them(tmp_path: Path) -> None:
    result = run(recipe_of("lora", template='{{ text }}{{ soft(" it was") }} {{ answer }}'), tmp_path / "run")
    assert result.cost["prompt_tokens_added"] == 0
    assert result.after[0].prompt.endswith(" it was ")


def test_several_templates(tmp_path: Path) -> None:
    recipe = recipe_of(SOFT, template=["plain", "short"])
    result = run(recipe, tmp_path / "run")
    starts = {p.prompt.startswith("review: ") for p in result.after}
    assert starts == {True, False}
    shown = {p.id: p.prompt for p in result.after}
    encoder = result.prepared.encoder(result.prepared.asked_rows())
    for index, name in enumerate(encoder.rows.ids):
        prompt = encoder.prompt(index)
        assert prompt is not None and prompt.text() == shown[name]
    assert [p.prediction for p in again(result, recipe)] == [p.prediction for p in result.after]


def test_templates_with_and_without_slots_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="template 'plain' has no soft slots, others of this run have: use one kind"):
        run(recipe_of(SOFT, template=["plain", "{{ text }}{{ soft(3) }} {{ answer }}"]), tmp_path / "run")


# ---- settings -------------------------------------------------------------------------------------------------


def test_a_learning_rate_is_found_and_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(SOFT, training={"learning_rate": "auto", "steps": 10})
    result = run(recipe, tmp_path / "run")
    found = read(tmp_path / "run", "learning_rate.json")
    losses = found["validation_losses"]
    assert set(losses) == {"0.01", "0.03", "0.1"} and found["steps"] == 5
    assert f"{found['learning_rate']:g}" == min(losses, key=losses.__getitem__)
    first = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])
    assert first["learning_rate"] == found["learning_rate"]
    cost = read(tmp_path / "run", "cost.json")  # the search is part of the price, and no part of the speed
    rows = cost["examples_per_second"] * (cost["train_seconds"] - found["seconds"])
    assert found["seconds"] > 0 and rows == pytest.approx(round(rows)) and 10 <= rows <= 80
    fixed = run(recipe_of(SOFT, training={"learning_rate": found["learning_rate"], "steps": 10}), tmp_path / "fixed")
    assert [p.scores for p in fixed.after] == [p.scores for p in result.after]  # the search left no trace


def test_a_rate_that_diverges_is_out_and_other_errors_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewright.methods.base import OptimizerDefaults
    from tunewright.methods.full import FullTuning

    wild = OptimizerDefaults(learning_rate=1e-3, auto_rates=(1e30, 1e-3), optimizer="sgd")
    monkeypatch.setattr(FullTuning, "defaults", wild)
    run(recipe_of("full", training={"learning_rate": "auto", "clip": None}), tmp_path / "run")
    found = read(tmp_path / "run", "learning_rate.json")
    assert found["learning_rate"] == 1e-3 and found["validation_losses"]["1e+30"] == "diverged"
    monkeypatch.setattr(FullTuning, "defaults", OptimizerDefaults(1e-3, (1e30,), "sgd"))
    with pytest.raises(InputError, match="auto: every rate tried diverged"):
        run(recipe_of("full", training={"learning_rate": "auto", "clip": None}), tmp_path / "all")


def test_epochs_and_token_batches(tmp_path: Path) -> None:
    def steps(**training: Any) -> int:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        run(recipe_of(SOFT, training={"steps": None, "batch_size": None, **training}), place, alone=False)
        return sum("loss" in json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines())

    train = len(open_task(recipe_of("none").task).split("train"))
    assert steps(epochs=1.0, batch_size=8) == -(-train // 8)
    assert steps(epochs=0.5, batch_size=8) == -(-train // 16)
    assert 4 <= steps(epochs=1.0, batch_tokens=100) <= 9  # rows of 16 tokens and 4 slots


def test_shots_bound_training_and_validation(tmp_path: Path) -> None:
    result = run(recipe_of(SOFT, shots=2), tmp_path / "run")
    assert len(result.prepared.task.split("train")) == 6
    assert len(result.prepared.validation()) <= 6


def test_evaluation_rows_are_the_same_for_every_seed(tmp_path: Path) -> None:
    def asked(seed: int) -> list[str]:
        place = tmp_path / str(seed)
        result = run(recipe_of("none", evaluation={"rows": 3}, training={"seed": seed}), place, alone=False)
        return [p.id for p in result.before]

    first = asked(0)
    assert len(first) == 3 and asked(1) == first


def test_an_encoder_without_a_head_serves_the_head_method_only(tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    saved = Path(saved_model("bert"))
    AutoModelForMaskedLM.from_pretrained(saved).bert.save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(saved).save_pretrained(tmp_path / "encoder")
    model = str(tmp_path / "encoder")
    run(recipe_of("head", "bert", model=model), tmp_path / "run")
    with pytest.raises(InputError, match="it has no vocabulary head to answer with; use method head"):
        run(recipe_of("full", "bert", model=model), tmp_path / "full")


def test_a_masked_model_cannot_generate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot generate text"):
        run(recipe_of("full", "bert", "generate"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
