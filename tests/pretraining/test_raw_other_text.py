"""Other text that is measured is never text that was trained on; what a token counts; no dropout of any form."""

from pathlib import Path

import pytest
import torch
from ppt_parts import saved_model
from stopping import stop_at
from test_raw_run import STAGES, recipe_of
from tiny import tiny_backbone
from toy_corpus import many

from tunewright.errors import InputError
from tunewright.evaluation.texts import by_block, look_at, noised
from tunewright.methods.base import Setting
from tunewright.methods.full import FullTuning
from tunewright.objectives.raw_text import make_objective
from tunewright.pretraining.corpus import CorpusBlock, CorpusSource, documents, is_held_out
from tunewright.pretraining.raw.begin import begin
from tunewright.pretraining.raw.run import pretrain
from tunewright.pretraining.raw.texts import other_text
from tunewright.prompts.layout import SlotLayout
from tunewright.training.loop import Interrupted
from tunewright.training.tuner import Tuner


def test_a_near_duplicate_of_a_training_document_is_not_measured(tmp_path: Path) -> None:
    """Copies with one word more: those held out by their hash are dropped, as in the corpus itself."""
    a, b = many(tmp_path / "a.jsonl", 30), many(tmp_path / "b.jsonl", 5, sentences=9)
    lines = a.read_text().splitlines()
    a.write_text("\n".join([*lines, *(line.replace('"}', ' again"}') for line in lines)]) + "\n")
    corpus = CorpusBlock.model_validate(
        {"sources": [{"path": str(b)}, {"path": str(a)}], "holdout": 0.3, "filters": {"near_duplicates": True}}
    )
    found, only = other_text(CorpusSource(path=str(a), weight=2.0), corpus)
    texts = list(documents(found, "heldout", 0, 0, only))
    every = documents(CorpusBlock(sources=[CorpusSource(path=str(a))], holdout=0.3), "heldout", 0, 0)
    copies = [text for text in every if text.endswith("again")]
    assert texts and copies and not set(texts) & set(copies)
    assert all(is_held_out(text, 0.3) for text in texts)
    assert set(texts) < set(documents(corpus, "heldout", 0, 0))


@pytest.mark.parametrize(
    ("trained", "other", "why"),
    [
        ({"path": "x/a.jsonl"}, {"path": "./x/../x/a.jsonl"}, r"a\.jsonl: its text is trained on as other documents"),
        ({"path": "x"}, {"path": "x/a.txt"}, r"x/a\.txt: its text is trained on as other documents \(corpus: x\)"),
        ({"path": "x/a.txt"}, {"path": "x"}, "x: its text is trained on"),
        ({"task": "bbc-news", "fields": ["text"]}, {"task": "bbc-news"}, "bbc-news: its text is trained on"),
        ({"task": "t", "fields": ["a"]}, {"task": "t", "fields": ["a", "b"]}, "t: its text is trained on"),
        ({"task": "t", "fields": ["a"]}, {"task": "t", "fields": ["b"]}, None),
        ({"path": "x/a.jsonl", "field": "body"}, {"path": "x/a.jsonl", "field": "title"}, None),
        ({"path": "x"}, {"path": "xy"}, None),
        ({"hub": "h", "split": "train"}, {"hub": "h", "split": "test"}, None),
    ],
)
def test_other_documents_of_what_is_trained_on(trained: dict[str, str], other: dict[str, str], why: str | None) -> None:
    corpus = CorpusBlock.model_validate([trained])
    if why is not None:
        with pytest.raises(InputError, match=why):
            other_text(CorpusSource.model_validate(other), corpus)
        return
    found, only = other_text(CorpusSource.model_validate(other), corpus)
    assert found.holdout == 1.0 and only is None


def test_each_token_counts_the_same() -> None:
    """2 nats on one token and 9 on three are 11/4 a token, not (2 + 3) / 2."""
    assert by_block([2.0, 9.0], [1.0, 3.0]) == [2.375, 3.125]
    assert by_block([2.0, 4.0], [2.0, 2.0]) == [1.0, 2.0]
    backbone = tiny_backbone("t5")
    tuner = Tuner(backbone, FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), 0)))
    blocks = [[(3 * i + j) % 60 + 5 for j in range(12)] for i in range(6)]
    examples = noised(make_objective("prefix-lm", backbone), blocks, 0)
    assert len({len(example.views[0].asks) for example in examples}) > 2
    tuner.eval()
    log_probs, right = tuner.answers(backbone.collate(examples))
    looked = look_at(tuner, examples, 2)
    assert looked.scores["loss"].value == pytest.approx(-float(log_probs.mean()), rel=1e-5)
    assert looked.scores["accuracy"].value == pytest.approx(float(right.float().mean()))
    assert sum(looked.losses) / 6 == pytest.approx(looked.scores["loss"].value)


def test_bart_drops_nothing_out_either(tmp_path: Path) -> None:
    """It keeps its shares as numbers, and whole layers fall out."""
    backbone = begin(recipe_of(tmp_path, model=saved_model("bart"), objective="prefix-lm"), tmp_path / "run")
    assert backbone.model.config.dropout == 0.1
    model, ids = backbone.model.train(), torch.arange(4, 12).unsqueeze(0)
    assert torch.equal(model(input_ids=ids, decoder_input_ids=ids).logits,
                       model(input_ids=ids, decoder_input_ids=ids).logits)  # fmt: skip


def test_stopped_in_the_last_step_of_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(tmp_path, model=saved_model("t5"), objective=STAGES)
    stop_at(STAGES[0]["steps"], monkeypatch)
    with pytest.raises(Interrupted, match=r"interrupted after 1-span-corruption; saved in .*--resume"):
        pretrain(recipe, tmp_path / "run")
    assert (tmp_path / "run/stages/1-span-corruption/done.json").is_file()
    assert not (tmp_path / "run/stages/2-prefix-lm").exists()
