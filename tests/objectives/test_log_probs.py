"""Log probabilities of the asked tokens against torch's own cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

from tunewright.objectives import log_probs
from tunewright.objectives.log_probs import picked_log_probs


@pytest.mark.parametrize("rows", [0, 1, 16, 17, 40])
def test_values_and_gradients_are_those_of_cross_entropy(rows: int) -> None:
    torch.manual_seed(rows)
    logits = (3 * torch.randn(rows, 50, dtype=torch.float64)).requires_grad_()
    tokens = torch.randint(50, (rows,))
    weight = torch.randn(rows, dtype=torch.float64)
    wanted = -F.cross_entropy(logits, tokens, reduction="none")
    (gradient,) = torch.autograd.grad((wanted * weight).sum(), logits)
    for kind, close in ((torch.float32, 1e-6), (torch.bfloat16, 2e-2)):
        mine = logits.detach().to(kind).requires_grad_()
        found = picked_log_probs(mine, tokens)
        assert found.dtype == torch.float32 and found.shape == (rows,)
        torch.testing.assert_close(found.double(), wanted.detach(), rtol=close, atol=5 * close)
        (back,) = torch.autograd.grad((found * weight.float()).sum(), mine)
        assert back.dtype == kind
        torch.testing.assert_close(back.double(), gradient, rtol=close, atol=5 * close)


def test_many_logits_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients, of states and of the head, are those of one piece; no part has more logits than allowed."""
    monkeypatch.setattr(log_probs, "AT_ONCE", 130)
    torch.manual_seed(0)
    head, states, tokens = torch.nn.Linear(8, 50), torch.randn(7, 8, requires_grad=True), torch.randint(50, (7,))
    weight = torch.randn(7)
    sizes: list[int] = []

    def seen(some: torch.Tensor) -> torch.Tensor:
        sizes.append(len(some))
        return head(some)

    wanted = picked_log_probs(head(states), tokens)
    gradients = torch.autograd.grad((wanted * weight).sum(), [states, head.weight, head.bias])
    found = log_probs.asked_log_probs(seen, states, tokens, 50)
    assert sizes == [2, 2, 2, 1]
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad((found * weight).sum(), [states, head.weight, head.bias]), gradients)
    assert sorted(sizes) == [1, 1, 2, 2, 2, 2, 2, 2]  # made once more on the way back
    with torch.no_grad():
        torch.testing.assert_close(log_probs.asked_log_probs(seen, states, tokens, 50), wanted)
