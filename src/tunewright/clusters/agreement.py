"""How well clusters agree with labels: NMI and ARI, with intervals over rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from tunewright.evaluation.intervals import Interval
from tunewright.seeds import numpy_random

RESAMPLES = 500
MEASURES = ("nmi", "ari")


def agreement(
    labels: Sequence[str], clusters: Mapping[str, np.ndarray], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval]]:
    """NMI (arithmetic mean of the entropies) and ARI (Hubert & Arabie 1985) of each grouping [n] with the labels.

    Intervals at 95 % by a percentile bootstrap over rows, the clusters as they were found. Where there are two
    groupings, also the second minus the first, on the same resamples. Rows in no cluster count as one of their own.
    """
    codes = [np.unique(list(labels), return_inverse=True)[1]]
    codes += [np.unique(mine, return_inverse=True)[1] for mine in clusters.values()]
    kinds, counts = np.unique(np.stack(codes, 1), axis=0, return_counts=True)  # rows alike in all: [K, 1 + groupings]
    rng, n = numpy_random("agreement", seed, len(labels)), int(counts.sum())
    weights = np.concatenate([counts[None], rng.multinomial(n, counts / n, RESAMPLES)])  # [1 + resamples, K]
    found, all_values = {}, []
    for place, label in enumerate(clusters, 1):
        table = np.zeros((len(weights), codes[0].max() + 1, codes[place].max() + 1))
        for k, kind in enumerate(kinds):
            table[:, kind[0], kind[place]] += weights[:, k]
        all_values.append(np.stack([nmi(table), ari(table)], 1))  # [1 + resamples, 2]
        found[label] = _intervals(all_values[-1])
    return found, _intervals(all_values[1] - all_values[0]) if len(all_values) > 1 else {}


def nmi(table: np.ndarray) -> np.ndarray:
    """Of counts [..., labels, clusters]: the shared information over the mean of the two entropies."""
    share = table / table.sum((-2, -1), keepdims=True)
    one, other = _entropy(share.sum(-1)), _entropy(share.sum(-2))
    both = _entropy(share.reshape(*share.shape[:-2], -1))
    mean = (one + other) / 2
    return np.where(mean > 0, (one + other - both) / np.where(mean > 0, mean, 1), 1.0)


def ari(table: np.ndarray) -> np.ndarray:
    """Of counts [..., labels, clusters]: pairs that are together in both, above what chance gives."""
    together, one, other = (_pairs(part).sum(-1) for part in (
        table.reshape(*table.shape[:-2], -1), table.sum(-1), table.sum(-2)))  # fmt: skip
    chance = one * other / _pairs(table.sum((-2, -1)))
    room = (one + other) / 2 - chance
    return np.where(room > 0, (together - chance) / np.where(room > 0, room, 1), 1.0)


def _entropy(shares: np.ndarray) -> np.ndarray:
    return -(shares * np.log(np.where(shares > 0, shares, 1))).sum(-1)


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def _intervals(values: np.ndarray) -> dict[str, Interval]:
    """The first row's values, with percentiles of the others, moved out to the value where these leave it outside."""
    low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
    return {
        name: Interval(float(value), float(min(low[i], value)), float(max(high[i], value)))
        for i, (name, value) in enumerate(zip(MEASURES, values[0]))
    }
