"""Cutting validation and test from train: seeded, and stratified where there are labels."""

from collections.abc import Sequence
from typing import Any

from tunewright.errors import InputError
from tunewright.seeds import python_random

DEFAULT_SHARES = {"validation": 0.1, "test": 0.2}


def fill_shares(missing: Sequence[str], given: dict[str, float]) -> dict[str, float]:
    """The shares of the splits to be cut: those given; for other missing ones the default.

    A share given for train alone leaves the rest to the missing ones, in the proportion of the defaults.
    """
    unsaid = [split for split in missing if split not in given]
    rest = 1 - sum(given.values()) if "train" in given else sum(DEFAULT_SHARES[split] for split in unsaid)
    whole = sum(DEFAULT_SHARES[split] for split in unsaid)
    shares = {split: given[split] if split in given else rest * DEFAULT_SHARES[split] / whole for split in missing}
    return {**({"train": given["train"]} if "train" in given else {}), **shares}


def cut(count: int, shares: dict[str, float], seed: int, strata: Sequence[Any] | None = None) -> dict[str, list[int]]:
    """Indices 0 … count-1 dealt out to `train` and to the splits in `shares` (share of all rows each).

    With `strata` (one label a row) each split has the labels in the proportions of the whole, by largest remainder;
    a label's last row stays in train. A share for `train` itself keeps only so many rows there.
    Indices come out in ascending order. Raises InputError when shares are no shares or rows are too few.
    """
    others = {split: share for split, share in shares.items() if split != "train"}
    total = sum(shares.values())
    if any(not 0 < share < 1 for share in shares.values()) or total > 1 + 1e-9 or sum(others.values()) > 1 - 1e-9:
        raise InputError(f"splits: shares of the rows between 0 and 1, together at most 1, wanted; found {shares}")
    if count < len(others) + 1:
        raise InputError(f"{count} rows are too few to cut {' and '.join(others)} from; give those splits as files")
    groups: dict[Any, list[int]] = {}
    for index in range(count):
        groups.setdefault(strata[index] if strata is not None else None, []).append(index)
    for name, group in groups.items():
        python_random("cut", seed, name).shuffle(group)
    dealt: dict[str, list[int]] = {}
    wanted = {split: max(1, round(share * count)) for split, share in others.items()}
    while sum(wanted.values()) >= count:
        wanted[max(wanted, key=lambda split: wanted[split])] -= 1  # rounding must leave train a row
    if "train" in shares:
        wanted["train"] = max(1, min(round(shares["train"] * count), count - sum(wanted.values())))
    for split, rows in wanted.items():
        quotas = _quotas({name: len(group) for name, group in groups.items()}, rows, keep=int(split != "train"))
        dealt[split] = sorted(group.pop() for name, group in groups.items() for _ in range(quotas[name]))
    if "train" not in dealt:
        dealt["train"] = sorted(index for group in groups.values() for index in group)
    return dealt


def _quotas(sizes: dict[Any, int], rows: int, keep: int) -> dict[Any, int]:
    """`rows` shared out in proportion to `sizes` by largest remainder, leaving `keep` of each group where possible."""
    whole = sum(sizes.values())
    quotas = {name: rows * size // whole for name, size in sizes.items()}
    order = sorted(sizes, key=lambda name: (-(rows * sizes[name] % whole), str(name)))
    for least in (keep, 0):
        for name in order:
            quotas[name] = min(quotas[name], max(0, sizes[name] - least))
        while sum(quotas.values()) < rows:
            before = sum(quotas.values())
            for name in order:
                if sum(quotas.values()) < rows and quotas[name] < sizes[name] - least:
                    quotas[name] += 1
            if sum(quotas.values()) == before:
                break
    return quotas
