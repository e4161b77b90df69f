"""Random numbers that depend on nothing but the keys given: the same on any machine, in any order."""

import hashlib
import random

import numpy as np


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
