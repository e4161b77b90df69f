"""Random numbers that depend on nothing but the keys given: the same on any machine, in any order."""

import hashlib
import random

import numpy as np

Integers = np.ndarray | np.integer | int  # [n], or one for all


def seed_of(*keys: object) -> int:
    """A 64-bit seed made from the keys' text (SHA-256, so that near keys give unrelated seeds)."""
    text = "\x1f".join(str(key) for key in keys)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def python_random(*keys: object) -> random.Random:
    """A `random.Random` seeded with the keys."""
    return random.Random(seed_of(*keys))  # noqa: S311 - no secrets


def numpy_random(*keys: object) -> np.random.Generator:
    """A NumPy generator seeded with the keys."""
    return np.random.default_rng(seed_of(*keys))


def hashed(keys: Integers, numbers: Integers) -> np.ndarray:
    """Unrelated 64-bit values, one for each (key, number): what a generator's k-th value is, without the k-1 before it.

    Unsigned 64-bit arrays that broadcast. Two rounds of SplitMix64's finaliser (Steele et al. 2014).
    """
    with np.errstate(over="ignore"):
        return _mixed(np.asarray(keys, np.uint64) ^ _mixed(np.asarray(numbers, np.uint64) * _STEP + _STEP))


def uniform(keys: Integers, numbers: Integers) -> np.ndarray:
    """The same as numbers of [0, 1)."""
    values: np.ndarray = (hashed(keys, numbers) >> np.uint64(11)).astype(np.float64) / 2.0**53
    return values


_STEP = np.uint64(0x9E3779B97F4A7C15)


def _mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
