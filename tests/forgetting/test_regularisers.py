"""The formulas of the remedies, on numbers one can check by eye."""

import math

import pytest
import torch

from tunewright.objectives.regularisers import diagonal_fisher, ewc, interpolated, kl_from_original, l2_sp


def weights(*values):
    return {"a": torch.tensor(values[:2], requires_grad=True), "b": torch.tensor(values[2:], requires_grad=True)}


def test_l2_sp_is_the_squared_distance_and_pulls_back():
    now, start = weights(1.0, 2.0, 3.0), weights(1.0, 0.0, 0.0)
    value = l2_sp(now, start)
    assert value.item() == 4 + 9
    value.backward()
    assert now["a"].grad.tolist() == [0.0, 4.0] and now["b"].grad.tolist() == [6.0]


def test_ewc_weighs_each_distance_by_its_fisher_information():
    now, start = weights(1.0, 2.0, 3.0), weights(0.0, 0.0, 0.0)
    fisher = {"a": torch.tensor([10.0, 0.0]), "b": torch.tensor([2.0])}
    assert ewc(now, start, fisher).item() == (10 * 1 + 0 * 4 + 2 * 9) / 2


def test_fisher_is_the_mean_of_the_squared_gradients_of_each_row():
    """A Bernoulli with logit θ·x: the gradient of log p(y) is (y − p)·x."""
    theta = {"w": torch.tensor([0.5, -1.0], requires_grad=True), "unused": torch.zeros(1, requires_grad=True)}
    rows = [(torch.tensor([1.0, 2.0]), 1.0), (torch.tensor([-3.0, 0.5]), 0.0)]

    def log_likelihoods():
        for x, y in rows:
            logit = theta["w"] @ x
            yield torch.nn.functional.logsigmoid(logit if y else -logit)

    found = diagonal_fisher(log_likelihoods(), theta)
    wanted = [0.0, 0.0]
    for x, y in rows:
        p = 1 / (1 + math.exp(-float(theta["w"] @ x)))
        for i in range(2):
            wanted[i] += ((y - p) * float(x[i])) ** 2 / 2
    assert found["w"].tolist() == pytest.approx(wanted)
    assert found["unused"].tolist() == [0.0]
    with pytest.raises(ValueError, match="no rows"):
        diagonal_fisher([], theta)


def test_kl_is_from_the_original_and_only_the_tuned_model_learns():
    p, q = [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]
    original = torch.tensor([p, q]).log().requires_grad_()
    tuned = torch.tensor([q, q]).log().requires_grad_()
    value = kl_from_original(original, tuned)
    assert value.item() == pytest.approx((0.5 * math.log(2) + 0.25 * math.log(0.5)) / 2)
    value.backward()
    assert original.grad is None and tuned.grad is not None


def test_interpolation_meets_both_ends_exactly():
    start, end = {"a": torch.tensor([0.1, 1.0])}, {"a": torch.tensor([0.3, 3.0])}
    assert torch.equal(interpolated(start, end, 0.0)["a"], start["a"])
    assert torch.equal(interpolated(start, end, 1.0)["a"], end["a"])
    assert interpolated(start, end, 0.25)["a"].tolist() == pytest.approx([0.15, 1.5])
