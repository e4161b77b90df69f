"""How often each member of a mixture is drawn."""

from collections.abc import Sequence


def proportions(
    sizes: Sequence[float], weights: Sequence[float | None], cap: float | None, temperature: float
) -> list[float]:
    """Shares that sum to 1: the weights', where there are any, else those of min(size, cap) ** (1 / temperature).

    Raffel et al. 2020, §3.5.2 (examples-proportional and temperature-scaled mixing).
    """
    if any(weight is not None for weight in weights):
        counted = [float(weight or 0) for weight in weights]
    else:
        counted = [min(size, cap or size) ** (1 / temperature) for size in sizes]
    return [one / sum(counted) for one in counted]


def shares(total: int, rates: Sequence[float]) -> list[int]:
    """`total` split in proportion to the rates, by the largest remainder (ties: the first)."""
    whole_rate = sum(rates)
    exact = [total * rate / whole_rate for rate in rates]
    whole = [int(value) for value in exact]
    left = sorted(range(len(rates)), key=lambda t: (whole[t] - exact[t], t))
    for t in left[: total - sum(whole)]:
        whole[t] += 1
    return whole
