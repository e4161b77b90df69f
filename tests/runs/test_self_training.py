"""Self-training: which rows get a label, which rows may be read, and a whole run with its resume."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from run_parts import read, recipe_of
from tiny import tiny_backbone

from tunewright.backbones.batch import collate
from tunewright.errors import InputError
from tunewright.objectives.losses import answer_loss, choice_loss, head_loss
from tunewright.recipe import Recipe
from tunewright.runs import self_training as module
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.run import run
from tunewright.runs.self_training import Picked, picks, with_pseudo_labels
from tunewright.runs.unlabelled import unlabelled_rows

LABELS = ("a", "b", "c")


def test_as_many_of_each_label_the_surest_first() -> None:
    """Row by row: a 0.95, b 0.9, a 0.99, nothing asked, c 0.6, b 0.97, a 0.9, b 0.9."""
    probabilities = [
        (0.95, 0.03, 0.02), (0.05, 0.9, 0.05), (0.99, 0.01, 0.0), None, (0.2, 0.2, 0.6), (0.02, 0.97, 0.01),
        (0.9, 0.1, 0.0), (0.1, 0.9, 0.0),
    ]  # fmt: skip
    sure, kept = picks(LABELS, probabilities, 0.9)
    assert [one.row for one in sure] == [0, 1, 2, 5, 6, 7]
    # three of a, three of b; no c is sure, so c gives none
    assert [(one.row, one.label) for one in kept] == [(0, "a"), (1, "b"), (2, "a"), (5, "b"), (6, "a"), (7, "b")]
    assert [one.row for one in picks(LABELS, probabilities, 0.9, 2)[1]] == [0, 1, 2, 5]  # of equal ones the earlier
    assert [one.row for one in picks(LABELS, probabilities, 0.9, 1)[1]] == [2, 5]
    # c's only row binds the others at a lower threshold
    assert picks(LABELS, probabilities, 0.5)[1] == [Picked(2, "a", 0.99), Picked(4, "c", 0.6), Picked(5, "b", 0.97)]
    assert picks(LABELS, probabilities, 1.0) == ([], [])
    assert picks(LABELS, [], 0.5, 3) == ([], [])


def block(**keys: Any) -> dict[str, Any]:
    return {"rounds": 2, "confidence": 0.0, **keys}


def self_recipe(method: Any, arch: str, *, shots: int | None = 2, **keys: Any) -> Recipe:
    return recipe_of(method, arch, shots=shots, self_training=block(**keys))


def prepared_of(**keys: Any) -> Prepared:
    return prepare(self_recipe("lora", "causal", **keys))


def test_the_rest_is_what_shots_left_over() -> None:
    prepared = prepared_of()
    found = unlabelled_rows(prepared, prepared.recipe.self_training)  # type: ignore[arg-type]
    whole = prepare(recipe_of("lora", "causal")).task
    mine, rest = set(prepared.task.split("train").ids), set(found.rows.ids)
    assert len(mine) == 6 and not mine & rest and mine | rest == set(whole.split("train").ids)
    assert "label" not in found.rows.columns
    by_id = dict(zip(whole.split("train").ids, whole.split("train").columns["label"]))
    assert found.truth == [by_id[name] for name in found.rows.ids]
    few = unlabelled_rows(prepared, prepared.recipe.self_training.model_copy(update={"rows": 3}))  # type: ignore[union-attr]
    assert len(few.rows) == 3 and set(few.rows.ids) < rest


def test_a_file_never_brings_test_rows_in(tmp_path: Path) -> None:
    prepared = prepared_of()
    test = [{"text": text} for text in prepared.task.split("test").columns["text"]]
    validation = [{"text": text} for text in prepared.task.split("validation").columns["text"]]
    own = [{"text": text} for text in prepared.task.split("train").columns["text"]]
    new = [{"text": "the film and a snow day"}, {"text": "a goal"}, {"text": "a goal"}]
    file = tmp_path / "more.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*test, *new, *validation, *own]), encoding="utf-8")
    found = unlabelled_rows(prepared, prepared.recipe.self_training.model_copy(update={"unlabelled": str(file)}))  # type: ignore[union-attr]
    assert found.rows.columns["text"] == ["the film and a snow day", "a goal"] and found.truth is None
    first = len(test) + 1
    assert list(found.rows.ids) == [f"unlabelled-{first}", f"unlabelled-{first + 1}"]
    file.write_text("".join(json.dumps(row) + "\n" for row in test), encoding="utf-8")
    with pytest.raises(InputError, match="is left to be labelled"):
        unlabelled_rows(prepared, prepared.recipe.self_training.model_copy(update={"unlabelled": str(file)}))  # type: ignore[union-attr]
    labelled = [{"text": "rain", "label": "weather"}, {"text": "a bank", "label": "money"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in labelled), encoding="utf-8")
    found = unlabelled_rows(prepared, prepared.recipe.self_training.model_copy(update={"unlabelled": str(file)}))  # type: ignore[union-attr]
    assert found.truth == ["weather", "money"] and list(found.rows.columns) == ["text"]


def test_pseudo_labels_stand_behind_the_labels() -> None:
    prepared = prepared_of()
    rows = unlabelled_rows(prepared, prepared.recipe.self_training).rows  # type: ignore[arg-type]
    part = with_pseudo_labels(prepared, rows, [Picked(1, "money", 0.9), Picked(4, "sport", 0.8)], 0.5)
    train = part.task.split("train")
    assert train.ids[:6] == prepared.task.split("train").ids and train.ids[6:] == [rows.ids[1], rows.ids[4]]
    assert train.columns["label"][6:] == ["money", "sport"]
    assert [label.__index__() for label in train.columns["label"][6:]] == [
        part.task.labels.index("money"), part.task.labels.index("sport")  # type: ignore[union-attr]
    ]  # fmt: skip
    assert part.weights == {rows.ids[1]: 0.5, rows.ids[4]: 0.5} and prepared.weights == {}
    assert part.task.split("test") is prepared.task.split("test")
    examples = part.encoder(train).examples(range(8), 0, "answer")
    assert [example.weight for example in examples if example] == [1.0] * 6 + [0.5] * 2
    assert with_pseudo_labels(prepared, rows, [Picked(1, "money", 0.9)], 1.0).weights == {}


def test_weights_in_the_losses() -> None:
    """Two rows of 2 and 1 asked tokens; the second counts a quarter."""
    backbone, prepared = tiny_backbone("causal"), prepared_of()
    found = prepared.encoder(prepared.task.split("train")).examples([0, 1], 0, "answer")
    examples = [example for example in found if example is not None]
    assert collate(examples, backbone.pad).weights is None
    examples[1].weight = 0.25
    batch = collate(examples, backbone.pad)
    assert batch.weights is not None and batch.weights.tolist() == [1.0, 0.25]
    log_probs = -torch.arange(1.0, batch.asked + 1)
    mine = [len(example.views[0].asks) for example in examples]
    expected = sum(range(1, mine[0] + 1)) + 0.25 * sum(range(mine[0] + 1, batch.asked + 1))
    assert float(answer_loss(log_probs, batch)) == pytest.approx(expected)
    scores, gold = torch.tensor([[0.5, 0.25], [0.1, 0.8]]).log(), torch.tensor([0, 1])
    weighed = float(head_loss(scores, gold, None, torch.tensor([1.0, 0.25])))
    alone = [float(head_loss(scores[i : i + 1], gold[i : i + 1], None)) for i in (0, 1)]
    assert weighed == pytest.approx(alone[0] + 0.25 * alone[1])
    asked = prepared.encoder(prepared.task.split("train")).examples([0, 1], 0, "choices")
    pair = [example for example in asked if example is not None]
    plain = collate(pair, backbone.pad)
    values = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    one = [float(choice_loss(values[i : i + 1], collate(pair[i : i + 1], backbone.pad))) for i in (0, 1)]
    assert float(choice_loss(values, plain)) == pytest.approx(sum(one))
    pair[1].weight = 3.0
    assert float(choice_loss(values, collate(pair, backbone.pad))) == pytest.approx(one[0] + 3 * one[1])


@pytest.mark.parametrize(
    ("method", "arch"),
    [({"name": "head"}, "masked"), ({"name": "prompt-tuning", "length": 3}, "seq2seq"), ("lora", "causal"),
     ("full", "masked")],
)  # fmt: skip
def test_rounds(tmp_path: Path, method: Any, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each training begins with the same weights, reads labels and pseudo-labels, and never asks about test rows."""
    begun: list[dict[str, torch.Tensor]] = []
    sizes: list[int] = []
    true_tune = module.tune

    def watched(part: Prepared, folder: Path, **keys: Any) -> Any:
        begun.append({name: p.detach().clone() for name, p in part.tuner.tunable.trained().items()})
        sizes.append(len(part.task.split("train")))
        return true_tune(part, folder, **keys)

    monkeypatch.setattr(module, "tune", watched)
    result = run(self_recipe(method, arch, per_class=1), tmp_path / "run")
    assert len(begun) == 3
    for later in begun[1:]:
        assert all(torch.equal(later[name], begun[0][name]) for name in begun[0])
    told = read(tmp_path / "run", "self-training.json")
    assert [one["round"] for one in told["rounds"]] == [1, 2] and told["unlabelled"] == 19
    assert sizes == [6, *(6 + sum(one["kept"].values()) for one in told["rounds"])]
    for one in told["rounds"]:
        assert one["confident"] == 19 and set(one["kept"].values()) <= {0, 1}
        assert 0 <= one["right"]["all"] == one["right"]["confident"] <= 1
        folder = tmp_path / "run" / "rounds" / str(one["round"])
        lines = [json.loads(line) for line in (folder / "pseudo-labels.jsonl").read_text().splitlines()]
        assert all(set(line) == {"id", "label", "confidence"} and line["id"].startswith("train-") for line in lines)
        assert not (folder / "checkpoints").exists() and (folder / "metrics.jsonl").is_file()
    assert result.cost["train_seconds"] > sum(one["train_seconds"] + one["label_seconds"] for one in told["rounds"])
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "self-training, round 2: of 19 rows 19 are sure" in page and "% of those kept" in page


def test_truth_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other true labels on the unlabelled rows the run is the same, but for what it says of them."""
    monkeypatch.setattr("tunewright.runs.run.write_report", lambda *_: None)
    run(self_recipe("head", "masked"), tmp_path / "one")
    true = module.unlabelled_rows

    def other(prepared: Prepared, block: Any) -> Any:
        found = true(prepared, block)
        return type(found)(found.rows, ["sport"] * len(found.rows))

    monkeypatch.setattr(module, "unlabelled_rows", other)
    run(self_recipe("head", "masked"), tmp_path / "two")
    for name in ("predictions.jsonl", "tuned/weights.safetensors", "rounds/2/pseudo-labels.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_run_stopped_between_rounds_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.runs.run.write_report", lambda *_: None)
    recipe = self_recipe({"name": "prompt-tuning", "length": 3}, "causal", per_class=2, weight=0.5)
    run(recipe, tmp_path / "whole")
    true_tune, times = module.tune, []

    def stops(part: Prepared, folder: Path, **keys: Any) -> Any:
        times.append(folder.name)
        if len(times) == 2:
            raise KeyboardInterrupt
        return true_tune(part, folder, **keys)

    monkeypatch.setattr(module, "tune", stops)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "stopped")
    run(recipe, tmp_path / "stopped", resume=True)
    assert times == ["1", "2", "2", "stopped"]  # round 1 is not done again
    for name in ("predictions.jsonl", "tuned/prompt.safetensors", "rounds/2/pseudo-labels.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name


def test_nothing_sure_is_labels_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.runs.run.write_report", lambda *_: None)
    run(self_recipe("head", "masked", confidence=1.0), tmp_path / "unsure")
    run(recipe_of("head", "masked", shots=2), tmp_path / "plain")
    one = read(tmp_path / "unsure", "self-training.json")["rounds"][0]
    assert one["confident"] == 0 and one["right"]["kept"] is None and one["right"]["all"] is not None
    weights = "tuned/weights.safetensors"
    assert (tmp_path / "unsure" / weights).read_bytes() == (tmp_path / "plain" / weights).read_bytes()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: self_recipe("lora", "causal", shots=None), "no training rows are left over"),
        (lambda: self_recipe("none", "causal"), "method none trains nothing"),
        (lambda: recipe_of("lora", "causal", kind="generate", shots=2, self_training=block()), "kind classify wanted"),
        (lambda: self_recipe("lora", "causal", unlabelled="nowhere.jsonl"), "nowhere.jsonl: no such file"),
        (lambda: self_recipe("lora", "causal", confidence=2), "confidence"),
        (lambda: self_recipe("lora", "causal", rounds=0), "rounds"),
        (lambda: self_recipe("lora", "causal", shots=9), "no row of the rest of train is left|shots"),
    ],
)
def test_what_cannot_be(tmp_path: Path, make: Any, why: str) -> None:
    """Said before a folder is made."""
    with pytest.raises(InputError, match=why) as raised:
        run(make(), tmp_path / "run")
    assert "\n" not in str(raised.value) and not (tmp_path / "run").exists()


def test_several_tasks_are_refused() -> None:
    tree = {"model": "m", "tasks": ["a", "b"], "method": "lora", "self_training": block(unlabelled="more.jsonl")}
    with pytest.raises(ValueError, match="self_training is for one task"):
        Recipe.model_validate(tree)
