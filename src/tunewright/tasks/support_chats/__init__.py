"""The project's own customer-service dialogues with reference summaries: seeded, any size, no two equal."""

from collections.abc import Iterator
from typing import Any

from tunewright.errors import InputError
from tunewright.seeds import python_random
from tunewright.tasks.support_chats.compose import compose
from tunewright.tasks.support_chats.values import LONGEST
from tunewright.tasks.support_chats.wording import scenarios

_NAME = "support-chats"


def generate(rows: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield `rows` dialogues; row k depends on `seed` and k alone.

    Keys: `id`, `dialogue` (lines `Name: text`), `summary` (the reference, 1 to 3 sentences), `scenario`,
    `facts` (texts that stand literally in both and that a summary must keep) and `outcome` (solved,
    escalated or refused). Every dialogue states a code of its own, so no two are equal.
    Raises InputError when `rows` is below 1 or above the number of codes.
    """
    if not 1 <= rows <= LONGEST:
        raise InputError(f"{_NAME}: rows must be from 1 to {LONGEST}, found {rows}")
    return (row(index, seed) for index in range(rows))


def row(index: int, seed: int = 0) -> dict[str, Any]:
    """Row `index` of the rows of `seed`, without making those before it."""
    known = scenarios()
    # Each block of as many rows as there are scenarios holds every scenario once, in an order of its own.
    block, place = divmod(index, len(known))
    order = list(known)
    python_random(_NAME, seed, "order", block).shuffle(order)
    return compose(order[place], seed, index, python_random(_NAME, seed, "row", index))
