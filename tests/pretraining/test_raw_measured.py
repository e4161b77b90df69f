"""What a pretraining says: other text, what changed, what was filtered, its report; and word vectors taken over."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ppt_parts import saved_model
from test_raw_run import T5, recipe_of
from tiny import tiny_backbone
from toy_corpus import many

from tunewright.errors import InputError
from tunewright.evaluation.intervals import interval_of_mean
from tunewright.pretraining.corpus import CorpusBlock, CorpusSource, documents
from tunewright.pretraining.raw.measure import changes
from tunewright.pretraining.raw.report import loss_figure
from tunewright.pretraining.raw.run import pretrain
from tunewright.pretraining.raw.texts import other_text
from tunewright.pretraining.raw.word_vectors import main_directions, start_word_vectors


def test_other_text_filters_stages_and_the_report(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": "rain and snow " * 60}) + "\n")
    short = many(tmp_path / "corpus.jsonl", 60)
    short.write_text(short.read_text() + '{"text": "the cat"}\n')
    keys: dict[str, Any] = {
        "evaluation": {"blocks": 4, "also": [{"path": str(other)}]},
        "objective": [{"name": "causal-lm", "steps": 3}, {"name": "causal-lm", "steps": 2, "rehearse": 0.5}],
        "corpus": {"sources": [{"path": str(short)}], "holdout": 0.3, "filters": {"min_words": 5}},
        "packing": {"isolate": True},
    }
    result = pretrain(recipe_of(tmp_path, model=saved_model("llama"), **keys), tmp_path / "run")
    assert set(result.after["objectives"]) == {"causal-lm", "causal-lm-stage-2"}
    told = result.after["also"][str(other)]
    before = result.before["also"][str(other)]["objectives"]["causal-lm"]["loss"]["value"]
    after = told["objectives"]["causal-lm"]["loss"]["value"]
    change = result.after["change"][str(other)]["causal-lm"]
    assert told["blocks"] == 4 and math.isclose(change["value"], math.exp(after - before), rel_tol=1e-6)
    assert change["low"] is None or change["low"] < change["value"] < change["high"]
    assert result.filtered is not None and (result.filtered["documents"], result.filtered["kept"]) == (61, 60)
    assert json.loads((tmp_path / "run/filtered.json").read_text()) == result.filtered
    report = (tmp_path / "run/report.md").read_text()
    assert f"| {other} | causal-lm-stage-2 |" in report and "60 of 61 documents stay" in report
    assert "| min_words | 1 |" in report and (tmp_path / "run/loss.svg").read_text().count("<polyline") == 2


def test_a_change_is_paired_by_block() -> None:
    """Blocks differ by far more than the rise of 0.1 to 0.3 that each of them saw."""
    before, after = [1.0, 5.0, 9.0], [1.1, 5.2, 9.3]
    found = changes({"t": {"mlm": before}}, {"t": {"mlm": after}})["t"]["mlm"]
    wanted = interval_of_mean([0.1, 0.2, 0.3], (-math.inf, math.inf))
    assert wanted.low is not None and found["value"] is not None and found["low"] is not None
    assert math.isclose(found["value"], math.exp(0.2)) and math.isclose(found["low"], math.exp(wanted.low))


def test_other_text_of_a_source_that_is_trained_on_is_what_is_held_out(tmp_path: Path) -> None:
    a, b = str(many(tmp_path / "a.jsonl", 40)), str(many(tmp_path / "b.jsonl", 45))
    corpus = CorpusBlock.model_validate({"sources": [{"path": a}], "holdout": 0.3})
    held_out = list(documents(corpus, "heldout", 0, 0))
    own, only = other_text(CorpusSource(path=a), corpus)
    assert sorted(documents(own, "heldout", 0, 0, only)) == sorted(held_out)
    assert len(list(documents(other_text(CorpusSource(path=b), corpus)[0], "heldout", 0, 0))) == 45 > len(held_out)


def test_a_loss_figure_by_eye() -> None:
    figure = loss_figure({"1-mlm": [(1, 4.0), (2, 2.0)], "2-<b>": [(3, 3.0)]})
    assert '<polyline points="382.0,12.0 708.0,264.0"' in loss_figure({"a": [(1, 4.0), (2, 2.0)]})
    assert figure.count("<polyline") == 2 and "2-&lt;b&gt;" in figure and ">4.00<" in figure and "to 3<" in figure
    assert loss_figure({}).endswith("</svg>\n")


def test_word_vectors_are_taken_over() -> None:
    """A known piece has the mean of the donor's vectors for its text, turned and scaled; special ones stay."""
    made, donor = tiny_backbone("t5"), tiny_backbone("bert")
    fresh = made.model.get_input_embeddings().weight.detach().clone()
    found = start_word_vectors(made, donor)
    now = made.model.get_input_embeddings().weight.detach()
    assert found > 20 and all(torch.equal(now[i], fresh[i]) for i in made.tokenizer.all_special_ids)
    cat, dog = (made.tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("cat", "dog"))
    source = donor.model.get_input_embeddings().weight.detach()
    a, b = (source[donor.tokenizer.convert_tokens_to_ids(word)] for word in ("cat", "dog"))
    kept = main_directions(source, fresh.shape[1])
    ratio = float((now[cat] - now[dog]).norm() / (a - b).norm())
    assert kept.shape[1] == fresh.shape[1] and math.isclose(ratio, float(fresh.std() / kept.std()), rel_tol=1e-3)


def test_main_directions_are_principal_components() -> None:
    points = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5, 1, 3, 1, 1])
    found = main_directions(points, 2)
    values = torch.linalg.svdvals(points - points.mean(0))
    torch.testing.assert_close(found.norm(dim=0), values[:2])
    assert abs(float((found[:, 0] * found[:, 1]).sum())) < 1e-2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"evaluation": {"also": [{"path": "x"}, {"path": "x"}]}}, "'x' stands there twice"),
        ({"evaluation": {"also": [{"path": "no-such"}]}}, "no-such: no such file"),
        ({"objective": {"name": "causal-lm", "rehearse": 0.5}}, "rehearse: no stage stands before the first"),
        ({"model": None, "architecture": {**T5, "word_vectors": "no-such"}, "objective": "prefix-lm"}, "'no-such'"),
        ({"objective": "prefix-lm", "packing": {"isolate": True}}, "packing.isolate: for causal-lm and mlm"),
    ],
)
def test_what_is_refused(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    keys = {"model": saved_model("llama"), "objective": "causal-lm", **keys}
    with pytest.raises(InputError, match=words):
        pretrain(recipe_of(tmp_path, **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()
