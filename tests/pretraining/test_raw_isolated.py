"""Documents of one block that see themselves alone: by eye, and with the losses they have by themselves."""

import pytest
import torch
from tiny import tiny_backbone

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.methods.base import Setting
from tunewright.methods.full import FullTuning
from tunewright.objectives.documents import documents_in, end_of_document
from tunewright.objectives.masking import masked_lm
from tunewright.objectives.raw_text import causal_lm, make_objective
from tunewright.prompts.layout import SlotLayout
from tunewright.seeds import numpy_random
from tunewright.training.tuner import Tuner


def test_which_document_a_token_belongs_to() -> None:
    assert documents_in([5, 6, 1, 7, 1, 1, 8], border=1) == [0, 0, 0, 1, 1, 2, 3]


def test_a_block_of_two_documents_by_eye() -> None:
    (view,) = causal_lm([5, 6, 1, 7, 8], 0, border=1).views
    assert view.branches == [0, 0, 0, 1, 1]
    assert [(ask.position, ask.token) for ask in view.asks] == [(0, 6), (1, 1), (3, 8)]
    batch = tiny_backbone("llama").collate([Example([view])])
    assert batch.positions is not None and batch.positions.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.tree is not None and batch.tree[0, 0].long().tolist() == [
        [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 1]
    ]  # fmt: skip


def test_masked_documents_stand_in_frames_of_their_own() -> None:
    """[2 … 3] is the frame, 3 also the border; with 4 masks of 4 tokens all are asked."""
    (view,) = masked_lm([10, 11, 3, 12, 13], numpy_random("x"), 0.99, 4, [4], [2], [3], None, 3, True).views
    assert [a.token for a in view.asks] == [10, 11, 12, 13] and [a.position for a in view.asks] == [1, 2, 5, 6]
    assert [t if t in (2, 3) else 0 for t in view.ids] == [2, 0, 0, 3, 2, 0, 0, 3]
    assert view.branches == [0, 0, 0, 0, 1, 1, 1, 1]


def tuner_of(backbone: Backbone) -> Tuner:
    return Tuner(backbone, FullTuning().tune(backbone, SlotLayout(), Setting("generate", (), 0))).eval()


DOCUMENTS = ["the cat sat on the mat", "a good film", "the dog ran over the field and was bad"]


def ids_of(backbone: Backbone) -> list[list[int]]:
    from tunewright.backbones.tokens import Run

    return backbone.text.ids([Run(((text, True),)) for text in DOCUMENTS])


@pytest.mark.parametrize("arch", ["llama", "gpt2"])
def test_a_packed_document_has_the_loss_it_has_alone(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner, border = tuner_of(backbone), end_of_document(backbone)
    documents = [[*ids, border] for ids in ids_of(backbone)]
    block = [i for ids in documents for i in ids]
    with torch.no_grad():
        isolated = tuner(backbone.collate([make_objective("causal-lm", backbone, isolate=True)(block, numpy_random())]))
        alone = torch.cat([tuner(backbone.collate([causal_lm(ids, 0)])) for ids in documents])
        mixed = tuner(backbone.collate([causal_lm(block, 0)]))
        own = []
        for ids in documents:  # transformers' own loss of each document
            given = torch.tensor([ids])
            own.append(backbone.model(input_ids=given, labels=given).loss * (len(ids) - 1))
    torch.testing.assert_close(isolated, alone, atol=1e-5, rtol=0)
    assert abs(float(-isolated.sum()) - float(sum(own))) < 1e-4
    assert len(mixed) == len(block) - 1 and float((mixed[-3:] - isolated[-3:]).abs().max()) > 1e-4


@pytest.mark.parametrize("arch", ["bert", "roberta"])
def test_a_packed_masked_document_has_the_loss_it_has_alone(arch: str) -> None:
    """The noise of the block, taken over to each document by itself."""
    backbone = tiny_backbone(arch)
    tuner, border = tuner_of(backbone), end_of_document(backbone)
    block = [i for ids in ids_of(backbone) for i in [*ids, border]][:-1]
    make = make_objective("mlm", backbone, share=0.4, isolate=True)
    (view,) = make(block, numpy_random("noise")).views
    assert view.branches is not None
    with torch.no_grad():
        isolated = tuner(backbone.collate([Example([view])]))
        alone = []
        for number in sorted(set(view.branches)):
            at = [i for i, branch in enumerate(view.branches) if branch == number]
            asks = [ask for ask in view.asks if ask.position in at]
            if asks:
                out = backbone.model(input_ids=torch.tensor([[view.ids[i] for i in at]])).logits[0].log_softmax(-1)
                alone += [out[ask.position - at[0], ask.token] for ask in asks]
    assert len(alone) == len(view.asks) > 3
    torch.testing.assert_close(isolated, torch.stack(alone), atol=1e-5, rtol=0)


def test_what_cannot_be_kept_apart() -> None:
    with pytest.raises(InputError, match=r"packing\.isolate: for causal-lm and mlm; prefix-lm reads a block as one"):
        make_objective("prefix-lm", tiny_backbone("llama"), isolate=True)
    backbone = tiny_backbone("llama")
    backbone.model.config.sliding_window = 8
    with pytest.raises(InputError, match=r"packing\.isolate: llama models were not checked"):
        make_objective("causal-lm", backbone, isolate=True)
