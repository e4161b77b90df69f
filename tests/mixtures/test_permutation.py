"""The keyed permutation that stands in the place of shuffled lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tunewright.mixtures.permutation import permuted


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_it_is_a_permutation(size: int, key: int) -> None:
    assert sorted(permuted(np.arange(size), size, np.uint64(key)).tolist()) == list(range(size))


def test_sizes_and_keys_may_differ_and_blocks_change_nothing() -> None:
    """Three orders asked for at once, in any mixture, are the three orders; 40,000 of them pass a block's border."""
    sizes, keys = np.array([7, 1, 19_000]), np.array([5, 6, 7], np.uint64)
    which = np.arange(40_000) % 3
    index = np.arange(40_000) // 3 % sizes[which]
    found = permuted(index, sizes[which], keys[which])
    for w in range(3):
        alone = permuted(np.arange(sizes[w]), int(sizes[w]), keys[w])
        assert (found[which == w] == alone[index[which == w]]).all()


def test_it_is_the_same_everywhere() -> None:
    """Pinned: a change of these numbers changes every mixture there is."""
    assert permuted(np.arange(10), 10, 0).tolist() == PINNED[0]
    assert permuted(np.arange(10), 10, 1).tolist() == PINNED[1]
    assert permuted(np.array([0, 1, 14_999_999]), 15_000_000, 3).tolist() == PINNED[2]


PINNED = [[6, 5, 8, 3, 4, 1, 7, 2, 9, 0], [7, 6, 3, 2, 9, 0, 5, 4, 8, 1], [2588279, 6059349, 717364]]


@pytest.mark.parametrize("size", [2, 5, 9, 64])
def test_every_place_is_equally_likely(size: int) -> None:
    """Over 4,000 keys: where the first and the last index go, and the two together for a size of 5."""
    keys = np.arange(4000, dtype=np.uint64)
    first, last = permuted(0, size, keys), permuted(size - 1, size, keys)
    for places in (first, last):
        assert chisquare(np.bincount(places, minlength=size)).pvalue > 1e-4
    if size == 5:
        pairs = np.bincount(first * size + last, minlength=size * size)
        assert (pairs[:: size + 1] == 0).all()
        assert chisquare(np.delete(pairs, np.arange(0, size * size, size + 1))).pvalue > 1e-4
