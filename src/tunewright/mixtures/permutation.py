"""Orders of any length without a list of them: where the i-th of n goes is computed from a key alone."""

import numpy as np

from tunewright.seeds import Integers, hashed

_ROUNDS = 6
_ONE = np.uint64(1)
_BLOCK = 1 << 14  # indices at once: what fits into a core's cache


def permuted(index: Integers, size: Integers, key: Integers) -> np.ndarray:
    """Where each index goes in the order that `key` names: for one size and key, a permutation of 0 … size - 1.

    A Feistel network over the next even number of bits (Luby and Rackoff 1988); a value that falls outside is sent on
    until it falls inside (cycle walking, Black and Rogaway 2002): at most four rounds on average, since the network's
    domain is less than four times the size. All arguments [n] or single; every index must be below its size.
    """
    index, sizes, keys = np.broadcast_arrays(
        np.asarray(index, np.uint64), np.asarray(size, np.uint64), np.asarray(key, np.uint64)
    )
    found = index.flatten()
    for start in range(0, found.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = _walk(found[part], sizes.ravel()[part], keys.ravel()[part])
    return found.reshape(index.shape).astype(np.int64)


def _walk(x: np.ndarray, sizes: np.ndarray, keys: np.ndarray) -> np.ndarray:
    bits = np.maximum(np.frexp((sizes - _ONE).astype(np.float64))[1], 1)
    half = ((bits + 1) // 2).astype(np.uint64)  # a side of the network
    outside = np.arange(x.size)
    while outside.size:
        x[outside] = _network(x[outside], half[outside], keys[outside])
        outside = outside[x[outside] >= sizes[outside]]
    return x


def _network(x: np.ndarray, half: np.ndarray, keys: np.ndarray) -> np.ndarray:
    mask = (_ONE << half) - _ONE
    left, right = x >> half, x & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (hashed(keys + np.uint64(number), right) & mask)
    return (left << half) | right
