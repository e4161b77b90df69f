"""Losses by hand."""

import math

import torch
from tiny import prompt_of, tiny_backbone

from tunewright.backbones.batch import Batch
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores, head_loss, label_scores
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer

INF = math.inf


def batch_of(*choices: tuple[str, ...], labels: tuple[tuple[int, ...], ...], gold: tuple[int, ...]) -> Batch:
    backbone = tiny_backbone("llama")
    prompts = [
        prompt_of("it was ", Answer(), choices=c, choice_labels=label, gold=g)
        for c, label, g in zip(choices, labels, gold)
    ]
    return backbone.collate(backbone.encode_many(prompts, SlotLayout(), "choices"))


def test_the_answer_loss_is_a_sum() -> None:
    assert answer_loss(torch.tensor([-1.0, -2.5])) == 3.5


def test_choice_scores_sum_the_tokens_of_each_choice() -> None:
    """Row 1: `good` | `very bad` | `bad`; row 2 has two choices only."""
    batch = batch_of(("good", "very bad", "bad"), ("very good", "no"), labels=((0, 1, 2), (0, 1)), gold=(2, 0))
    scores = choice_scores(torch.tensor([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0]), batch)
    assert scores.tolist() == [[-1.0, -5.0, -4.0], [-11.0, -7.0, -INF]]


def test_label_scores_with_one_word_a_label_are_the_words_own() -> None:
    scores = label_scores(
        torch.tensor([[-1.0, -5.0, -4.0], [-11.0, -7.0, -INF]]), torch.tensor([[2, 0, 1], [0, 1, -1]])
    )
    assert scores.tolist() == [[-5.0, -4.0, -1.0], [-11.0, -7.0, -INF]]


def test_a_labels_words_add_up() -> None:
    """Words of label 0: p .2 and .1; of label 1: p .3."""
    scores = label_scores(torch.tensor([[0.2, 0.1, 0.3]]).log(), torch.tensor([[0, 0, 1]]))
    assert torch.allclose(scores.exp(), torch.tensor([[0.3, 0.3]]))


def test_the_choice_loss_is_a_cross_entropy_over_labels() -> None:
    batch = batch_of(("good", "bad", "no"), ("good", "bad"), labels=((0, 1, 2), (0, 1)), gold=(2, 0))
    scores = torch.tensor([[0.2, 0.1, 0.5], [0.3, 0.1, 0.0]]).log().requires_grad_()
    loss = choice_loss(scores, batch)
    assert math.isclose(loss.item(), -math.log(0.5 / 0.8) - math.log(0.3 / 0.4), rel_tol=1e-6)
    loss.backward()
    assert scores.grad is not None and bool(torch.isfinite(scores.grad).all())
    assert torch.allclose(scores.grad[0], torch.tensor([0.2 / 0.8, 0.1 / 0.8, 0.5 / 0.8 - 1]))


def test_the_choice_loss_with_several_words_a_label() -> None:
    batch = batch_of(("good", "fine", "bad"), labels=((0, 0, 1),), gold=(0,))
    loss = choice_loss(torch.tensor([[0.2, 0.1, 0.3]]).log(), batch)
    assert math.isclose(float(loss), math.log(2), rel_tol=1e-6)


def test_head_losses() -> None:
    outputs = torch.tensor([[0.2, 0.8], [0.5, 0.5]]).log()
    assert math.isclose(
        float(head_loss(outputs, torch.tensor([1, 0]), None)), -math.log(0.8) - math.log(0.5), rel_tol=1e-6
    )
    numbers = torch.tensor([[1.0], [4.0]])
    assert head_loss(numbers, torch.tensor([-1, -1]), torch.tensor([2.0, 1.0])) == 10.0
