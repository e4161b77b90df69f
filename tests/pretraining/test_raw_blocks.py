"""Documents in blocks: by eye, for ever the same from any place on, and never a held-out text."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_backbone
from toy_corpus import many

from tunewright.errors import InputError
from tunewright.objectives.raw_text import make_objective
from tunewright.pretraining.corpus import CorpusBlock, documents
from tunewright.pretraining.raw import blocks as packing
from tunewright.training.batches import Place


def corpus_of(path: Path, holdout: float = 0.3) -> CorpusBlock:
    return CorpusBlock.model_validate({"sources": [{"path": str(path)}], "holdout": holdout})


def test_two_documents_in_blocks_of_four(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`the cat sat` and `the dog ran`, an end behind each, cut every four; the last two are dropped."""
    monkeypatch.setattr(packing, "documents", lambda *_: iter(["the cat sat", "the dog ran", "the"]))
    backbone = tiny_backbone("llama")
    found = list(packing.blocks(backbone, corpus_of(tmp_path), "train", 4, 0, 0))
    tokens = [backbone.tokenizer.convert_ids_to_tokens(block) for block in found]
    assert tokens == [["the", "Ġcat", "Ġsat", "<|im_end|>"], ["the", "Ġdog", "Ġran", "<|im_end|>"]]


def test_bert_has_its_separator_between_documents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packing, "documents", lambda *_: iter(["the cat", "[MASK] </s>"]))
    backbone = tiny_backbone("bert")
    block = next(packing.blocks(backbone, corpus_of(tmp_path), "train", 3, 0, 0))
    assert backbone.tokenizer.convert_ids_to_tokens(block) == ["the", "cat", "[SEP]"]
    every = [i for b in packing.blocks(backbone, corpus_of(tmp_path), "train", 1, 0, 0) for i in b]
    assert backbone.tokenizer.mask_token_id not in every  # special tokens in a text are characters
    assert every.count(backbone.tokenizer.sep_token_id) == 2


def test_the_held_out_text_is_in_no_training_block(tmp_path: Path) -> None:
    corpus = corpus_of(many(tmp_path / "c.jsonl", 40))
    backbone = tiny_backbone("llama")
    sides = {
        split: backbone.tokenizer.decode([i for b in packing.blocks(backbone, corpus, split, 8, 0, 0) for i in b])
        for split in ("train", "heldout")
    }
    texts = {split: set(documents(corpus, split, 0, 0)) for split in sides}
    first_lines = {split: {text.split("\n")[0] for text in found} for split, found in texts.items()}
    assert len(texts["heldout"]) > 5 and not texts["train"] & texts["heldout"]
    assert all(line in sides["train"] for line in list(first_lines["train"])[1:5])
    assert not any(line in sides["train"] for line in first_lines["heldout"])


@settings(max_examples=15, deadline=None)
@given(start=st.integers(0, 30), size=st.integers(1, 5))
def test_steps_go_on_from_any_place(start: int, size: int) -> None:
    """Ids, noise and places, over the ends of epochs."""
    backbone = tiny_backbone("bert")
    make = make_objective("mlm", backbone)

    def stream(epoch: int) -> Iterator[list[int]]:
        return iter([[10 + epoch, 11, 12 + k, 13] for k in range(13)])

    batches = packing.BlockBatches(stream, make, seed=3, batch_size=size)
    whole = list(islice(batches.steps(Place(0, 0)), start + 4))
    rest = list(islice(batches.steps(whole[start][0]), 3))
    assert [place for place, _ in rest] == [place for place, _ in whole[start + 1 : start + 4]]
    for (_, found), (_, wanted) in zip(rest, whole[start + 1 :]):
        assert [e.views[0].ids for e in found] == [e.views[0].ids for e in wanted]
        assert [e.views[0].asks for e in found] == [e.views[0].asks for e in wanted]


def test_a_corpus_smaller_than_a_step() -> None:
    batches = packing.BlockBatches(lambda epoch: iter([[1, 2]]), make_objective("causal-lm", tiny_backbone("llama")),
                                   seed=0, batch_size=2)  # fmt: skip
    with pytest.raises(InputError, match="not even one step of whole blocks"):
        next(batches.steps(Place(0, 0)))
