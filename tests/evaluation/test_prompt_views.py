"""What is seen in a prompt, with four words and slots placed by hand in the plane."""

import pytest
import torch

from tunewright.evaluation import prompt_views as views

WORDS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [4.0, 4.0]])  # norms 1, 2, 3, 5.66


def test_nearest_by_cosine_and_by_distance_differ() -> None:
    """(1, 1) points where (4, 4) does, and lies next to (1, 0)."""
    table = torch.tensor([[1.0, 1.0], [-2.0, 0.1]])
    cosine = views.nearest_by_cosine(table, WORDS, 2)
    assert cosine.rows[:, 0].tolist() == [3, 2] and cosine.values[0, 0] == pytest.approx(1.0)
    distance = views.nearest_by_distance(table, WORDS, 4)
    assert distance.rows.tolist() == [[0, 1, 2, 3], [2, 1, 0, 3]]
    assert distance.values[0].tolist() == pytest.approx([1.0, 2**0.5, 17**0.5, 18**0.5])
    assert views.nearest_by_cosine(table, WORDS, 9).rows.shape == (2, 4)


def test_drift() -> None:
    """From (3, 4), length 5, to (3, 0): 4 of 5; turned by the angle whose cosine is 3/5."""
    far, turned = views.drift(torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0]]))
    assert far.tolist() == pytest.approx([0.8, 0.0]) and turned.tolist() == pytest.approx([0.6, 1.0])


def test_norms() -> None:
    table = torch.tensor([[0.5, 0.0], [0.0, 2.5], [9.0, 9.0]])
    assert views.norm_shares(table, WORDS).tolist() == [0.0, 0.5, 1.0]
    assert views.norm_band(torch.arange(1.0, 102.0).unsqueeze(1)) == pytest.approx((6.0, 51.0, 96.0))


def test_likeness() -> None:
    a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 0.0], [0.0, -3.0], [1.0, 0.0]])
    assert views.likeness(a, b).tolist() == [[1.0, 0.0, 1.0], [0.0, -1.0, 0.0]]
    assert views.prompt_likeness(a, b) == pytest.approx(1 / 6)


def test_the_plane_keeps_distances_of_what_lies_in_it() -> None:
    flat = torch.tensor([[0.0, 0.0, 5.0], [3.0, 4.0, 5.0], [6.0, -1.0, 5.0]])
    a, b = views.plane(flat[:2], flat[2:])
    assert (len(a), len(b)) == (2, 1)
    assert float((a[0] - a[1]).norm()) == pytest.approx(5.0, abs=1e-5)
    again = views.plane(flat[:2], flat[2:])
    assert torch.equal(again[0], a)
