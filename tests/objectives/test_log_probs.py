"""Log probabilities of the asked tokens against torch's own cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

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
