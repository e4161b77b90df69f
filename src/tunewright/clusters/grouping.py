"""Vectors to clusters: k-means, or HDBSCAN; how many by the silhouette."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.seeds import seed_of

Algorithm = Literal["kmeans", "hdbscan"]
NOISE = -1
SILHOUETTE_ROWS = 2000  # the silhouette compares all pairs: of more rows, a seeded sample
LARGEST_AUTO = 20


@dataclass(frozen=True)
class Grouping:
    """Each row's cluster [n], numbered from 0 by size (HDBSCAN: -1 for rows in none); `tried`: k → silhouette."""

    clusters: np.ndarray
    k: int
    silhouette: float | None
    tried: dict[int, float]


def ks_of(text: str) -> list[int]:
    """The numbers of clusters to try: `auto` (2–20), `5`, `3-8`. Raises InputError for anything else, or below 2."""
    low, _, high = text.partition("-")
    if text == "auto":
        return list(range(2, LARGEST_AUTO + 1))
    if not low.isascii() or not low.isdigit() or (high and not (high.isascii() and high.isdigit())) or text[-1] == "-":
        raise InputError(f"--k {text}: a number (5), a range (3-8) or auto wanted")
    first, last = int(low), int(high or low)
    if first < 2 or last < first:
        raise InputError(f"--k {text}: two clusters or more wanted, the smaller number first")
    return list(range(first, last + 1))


def k_means(vectors: np.ndarray, ks: Sequence[int], seed: int, *, auto: bool = False) -> Grouping:
    """k-means (best of ten starts, Lloyd) of vectors [n, d]; of several k the one with the largest silhouette.

    `auto`: leave out what is larger than the rows allow. Raises InputError with fewer rows than k.
    """
    from sklearn.cluster import KMeans

    n = len(np.unique(vectors, axis=0))
    if auto:
        ks = [k for k in ks if k < n] or [2]
    if n < max(ks):
        raise InputError(f"k {max(ks)}: there are only {n} different rows")
    found: dict[int, np.ndarray] = {}
    with progress("k-means", len(ks)) as bar:
        for k in ks:
            state = seed_of("k-means", seed, k) % 2**32
            found[k] = _by_size(KMeans(k, n_init=10, random_state=state).fit(vectors).labels_)
            bar.advance()
    values = {k: silhouette(vectors, clusters, seed) for k, clusters in found.items()}
    tried = {k: value for k, value in values.items() if value is not None}
    best = max(tried, key=tried.__getitem__) if tried else ks[0]
    return Grouping(found[best], best, values[best], tried if len(ks) > 1 else {})


def hdbscan(vectors: np.ndarray, smallest: int, seed: int) -> Grouping:
    """HDBSCAN (Campello et al. 2013) of vectors [n, d]: clusters of at least `smallest` rows; the others are in none.

    Raises InputError where there are fewer rows than that, or no cluster is found.
    """
    from sklearn.cluster import HDBSCAN

    if len(vectors) < smallest:
        raise InputError(f"--min-size {smallest}: there are only {len(vectors)} rows")
    found = _by_size(HDBSCAN(min_cluster_size=smallest, copy=True).fit(vectors).labels_)
    k = int(found.max()) + 1
    if k == 0:
        raise InputError(f"HDBSCAN finds no cluster of {smallest} rows or more: lower --min-size, or use kmeans")
    return Grouping(found, k, silhouette(vectors, found, seed), {})


def silhouette(vectors: np.ndarray, clusters: np.ndarray, seed: int) -> float | None:
    """The mean silhouette (Rousseeuw 1987) of the rows in clusters; None where there are not two clusters in them."""
    from sklearn.metrics import silhouette_score

    inside = np.flatnonzero(clusters != NOISE)
    rng = np.random.default_rng(seed_of("silhouette", seed))
    if len(inside) > SILHOUETTE_ROWS:
        inside = np.sort(rng.choice(inside, SILHOUETTE_ROWS, replace=False))
    kinds = len(set(clusters[inside].tolist()))
    if not 2 <= kinds < len(inside):
        return None
    return float(silhouette_score(vectors[inside], clusters[inside]))


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Clusters numbered by size, of equal ones the one with the earlier first row first; noise stays -1."""
    names, first, counts = np.unique(labels, return_index=True, return_counts=True)
    order = sorted((i for i, name in enumerate(names) if name != NOISE), key=lambda i: (-counts[i], first[i]))
    number = {int(names[i]): new for new, i in enumerate(order)}
    return np.array([number.get(int(label), NOISE) for label in labels])
