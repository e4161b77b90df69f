"""How well clusters agree with labels: NMI and ARI, with intervals over rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from tunewright.console import progress
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
    names = np.unique(list(labels), return_inverse=True)[1]  # [n]
    rng, n = numpy_random("agreement", seed, len(names)), len(names)
    seen: dict[str, list[tuple[float, float]]] = {label: [] for label in clusters}
    with progress("bootstrap", RESAMPLES) as bar:
        for _ in range(RESAMPLES):
            rows = rng.integers(n, size=n)
            for label, mine in clusters.items():
                seen[label].append(nmi_ari(names[rows], mine[rows]))
            bar.advance()
    drawn = {label: np.array(values) for label, values in seen.items()}  # [resamples, 2]
    values = {label: np.array(nmi_ari(names, mine)) for label, mine in clusters.items()}
    found = {label: _intervals(values[label], drawn[label]) for label in clusters}
    if len(clusters) < 2:
        return found, {}
    first, second = list(clusters)[:2]
    return found, _intervals(values[second] - values[first], drawn[second] - drawn[first])


def nmi_ari(names: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Both measures of two groupings [n] of the same rows."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    nmi = normalized_mutual_info_score(names, clusters, average_method="arithmetic")
    return float(nmi), float(adjusted_rand_score(names, clusters))


def _intervals(values: np.ndarray, drawn: np.ndarray) -> dict[str, Interval]:
    """Percentiles, moved out to the value itself where a bootstrap's bias leaves it outside."""
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return {
        name: Interval(float(values[i]), float(min(low[i], values[i])), float(max(high[i], values[i])))
        for i, name in enumerate(MEASURES)
    }
