"""The learning rate, step by step, and the optimisers' settings."""

import pytest
import torch
from transformers.optimization import Adafactor

from tunewright.training.optimizers import Optimizer, Schedule, make_optimizer, rate_at


@pytest.mark.parametrize(
    ("schedule", "warmup", "rates"),
    [
        ("constant", 0.0, [1.0, 1.0, 1.0, 1.0]),
        ("linear", 0.0, [1.0, 0.75, 0.5, 0.25]),
        ("cosine", 0.0, [1.0, 0.853553, 0.5, 0.146447]),
        ("constant", 0.5, [0.5, 1.0, 1.0, 1.0]),
        ("linear", 0.5, [0.5, 1.0, 1.0, 0.5]),
        ("cosine", 0.4, [0.5, 1.0, 1.0, 0.5]),  # 1.6 steps of warm-up are two
    ],
)
def test_rates(schedule: Schedule, warmup: float, rates: list[float]) -> None:
    assert [round(rate_at(step, 4, 1.0, schedule, warmup), 6) for step in range(4)] == rates


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD), ("adafactor", Adafactor)]
)
def test_optimisers(name: Optimizer, kind: type) -> None:
    optimizer = make_optimizer(name, [torch.nn.Parameter(torch.ones(2, 2))], 0.3, 1e-5)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 1e-5)
    if name == "adafactor":
        expected = {"decay_rate": -0.8, "scale_parameter": False, "relative_step": False, "warmup_init": False}
        assert expected.items() <= group.items()


def test_scaled_adafactor_moves_a_share_of_the_weights() -> None:
    """A first step is the rate times the root mean square (2, and 0.5), against the gradient's sign; at least 1e-3."""
    parameters = [torch.nn.Parameter(torch.tensor(values)) for values in ([2.0, -2.0], [0.5, 0.5], [0.0, 0.0])]
    optimizer = make_optimizer("adafactor-scaled", parameters, 0.01, 0.0)
    for parameter in parameters:
        parameter.grad = torch.tensor([0.1, -3.0])
    optimizer.step()
    found = [[round(value, 6) for value in parameter.tolist()] for parameter in parameters]
    assert found == [[1.98, -1.98], [0.495, 0.505], [-0.00001, 0.00001]]


def test_lion_against_the_papers_formula() -> None:
    """Algorithm 2 of Chen et al. 2023, three steps in plain numbers; what has no gradient stays and keeps nothing."""
    parameter, other = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5])), torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer("lion", [parameter, other], 0.1, 0.5)
    weights, momentum = [1.0, -2.0, 0.5], [0.0, 0.0, 0.0]
    for gradient in ([0.3, -1.0, 0.0], [-0.1, -1.0, 2.0], [-0.001, 30.0, -1.0]):
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        for i, g in enumerate(gradient):
            update = 0.9 * momentum[i] + 0.1 * g
            sign = (update > 0) - (update < 0)
            weights[i] -= 0.1 * (sign + 0.5 * weights[i])
            momentum[i] = 0.99 * momentum[i] + 0.01 * g
        assert parameter.tolist() == pytest.approx(weights, abs=1e-6)
    assert optimizer.state[parameter]["momentum"].tolist() == pytest.approx(momentum, abs=1e-6)
    assert other.tolist() == [1.0] and other not in optimizer.state
