"""Vectors to clusters, their agreement with labels, their words."""

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from tunewright.clusters.agreement import agreement, ari, nmi
from tunewright.clusters.describe import nearest_rows, plane, top_words
from tunewright.clusters.grouping import hdbscan, k_means, ks_of, silhouette
from tunewright.errors import InputError


def blobs(sizes: tuple[int, ...], spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Planted clusters at the corners of a square's plane and above: vectors [n, 3], and which blob each is of."""
    corners = np.array([[0, 0, 0], [3, 0, 0], [0, 3, 0], [3, 3, 3]], float)
    of = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(of))
    return (corners[of] + spread * rng.normal(size=(len(of), 3)))[order], of[order]


def test_planted_clusters_are_found_and_numbered_by_size() -> None:
    vectors, of = blobs((10, 30, 20, 15))
    found = k_means(vectors, ks_of("auto"), seed=1, auto=True)
    assert found.k == 4 and set(found.tried) == set(range(2, 21)) and found.silhouette == max(found.tried.values())
    assert found.silhouette > 0.9
    assert [int((found.clusters == c).sum()) for c in range(4)] == [30, 20, 15, 10]
    assert all(len(set(found.clusters[of == blob])) == 1 for blob in range(4))
    again = k_means(vectors, ks_of("auto"), seed=1, auto=True)
    assert again.clusters.tolist() == found.clusters.tolist()
    assert k_means(vectors, [3], seed=1).tried == {}


def test_hdbscan_leaves_out_what_is_far_from_all() -> None:
    vectors, _ = blobs((30, 25, 20))
    vectors = np.concatenate([vectors, [[9.0, -9.0, 4.0]]])
    found = hdbscan(vectors, 10, seed=0)
    assert found.k == 3 and found.clusters[-1] == -1
    assert [int((found.clusters == c).sum()) for c in range(3)] == pytest.approx([30, 25, 20], abs=3)
    with pytest.raises(InputError, match="HDBSCAN finds no cluster of 70"):
        hdbscan(vectors, 70, seed=0)
    with pytest.raises(InputError, match="--min-size 100: there are only 76 rows"):
        hdbscan(vectors, 100, seed=0)


def test_the_silhouette_of_four_points() -> None:
    """At 0, 1 and 10, 11. Of the point 0: a = 1, b = (10 + 11) / 2, s = 1 − 1/10.5; of 1: b = 9.5."""
    vectors = np.array([[0.0], [1.0], [10.0], [11.0]])
    expected = ((1 - 1 / 10.5) + (1 - 1 / 9.5)) / 2
    assert silhouette(vectors, np.array([0, 0, 1, 1]), 0) == pytest.approx(expected)
    assert silhouette(vectors, np.array([0, 0, 0, -1]), 0) is None


@pytest.mark.parametrize(("text", "ks"), [("5", [5]), ("2", [2]), ("3-6", [3, 4, 5, 6]), ("auto", list(range(2, 21)))])
def test_ks(text: str, ks: list[int]) -> None:
    assert ks_of(text) == ks


@pytest.mark.parametrize("text", ["1", "0", "-3", "5-", "8-3", "many", "2.5", "", "3-4-5", "1-4"])
def test_no_ks(text: str) -> None:
    with pytest.raises(InputError, match="--k"):
        ks_of(text)


def test_fewer_rows_than_k() -> None:
    vectors = np.array([[0.0], [1.0], [1.0], [2.0]])
    with pytest.raises(InputError, match="k 4: there are only 3 different rows"):
        k_means(vectors, [4], 0)
    assert k_means(vectors, ks_of("auto"), 0, auto=True).k == 2


def test_nmi_and_ari_by_hand() -> None:
    """Two labels of two rows; clusters {0, 1}, {2}, {3}.

    Entropies ln 2 and 1.5 ln 2, shared ln 2: NMI 1 / 1.25. Pairs together: 1 in both, 2 and 1 of 6, so ARI is
    (1 − 2/6) / (1.5 − 2/6) = 4/7.
    """
    table = np.array([[2.0, 0, 0], [0, 1, 1]])
    assert nmi(table) == pytest.approx(0.8) and ari(table) == pytest.approx(4 / 7)
    swapped, crossed, single = np.array([[0.0, 2], [2, 0]]), np.array([[1.0, 1], [1, 1]]), np.array([[4.0]])
    assert nmi(swapped) == ari(swapped) == nmi(single) == ari(single) == 1
    assert nmi(crossed) == pytest.approx(0) and ari(crossed) == pytest.approx(-0.5)


def test_nmi_and_ari_are_scikit_learns() -> None:
    rng = np.random.default_rng(7)
    names, groups = rng.integers(4, size=60), rng.integers(-1, 5, size=60)
    found, _ = agreement([str(name) for name in names], {"untuned": groups}, 0)
    assert found["untuned"]["nmi"].value == pytest.approx(normalized_mutual_info_score(names, groups))
    assert found["untuned"]["ari"].value == pytest.approx(adjusted_rand_score(names, groups))


def test_intervals_and_the_difference_of_two() -> None:
    rng = np.random.default_rng(3)
    names = np.repeat(["a", "b", "c"], 40)
    right = np.repeat([0, 1, 2], 40)
    half = np.where(rng.random(120) < 0.5, right, rng.integers(3, size=120))
    found, more = agreement(names.tolist(), {"untuned": half, "tuned": right}, 0)
    assert found["tuned"]["nmi"].to_json() == pytest.approx({"value": 1, "low": 1, "high": 1})
    low, value, high = found["untuned"]["nmi"].low, found["untuned"]["nmi"].value, found["untuned"]["nmi"].high
    assert low is not None and high is not None and 0 < low < value < high < 1
    assert more["nmi"].value == pytest.approx(1 - value) and more["nmi"].low is not None and more["nmi"].low > 0
    assert agreement(names.tolist(), {"untuned": right}, 0)[1] == {}


def test_class_based_tf_idf_by_hand() -> None:
    """Clusters of 4 and 2 words (no stop word, no number), 3 in the mean: w = √share · ln(1 + 3 / count)."""
    texts = ["goal goal team", "team 42 the", "rain", "team"]
    words = top_words(texts, np.array([0, 0, 1, 1]), 2, 5)
    goal, team_0 = math.sqrt(2 / 4) * math.log(1 + 3 / 2), math.sqrt(2 / 4) * math.log(1 + 3 / 3)
    rain, team_1 = math.sqrt(1 / 2) * math.log(1 + 3 / 1), math.sqrt(1 / 2) * math.log(1 + 3 / 3)
    assert goal > team_0 and rain > team_1
    assert words == [["goal", "team"], ["rain", "team"]]
    assert top_words(texts, np.array([0, 0, 1, -1]), 2, 1) == [["goal"], ["rain"]]
    assert top_words(["42", "!?"], np.array([0, 1]), 2, 5) == [[], []]


def test_nearest_rows_and_the_plane() -> None:
    vectors = np.array([[0.0, 0, 0], [1, 0, 0], [2.1, 0, 0], [9, 0, 0], [8, 0, 0], [0, 0, 5]])
    clusters = np.array([0, 0, 0, 1, 1, -1])
    assert nearest_rows(vectors, clusters, 2, 2) == [[1, 0], [3, 4]]
    flat = vectors[:5]
    at = plane(flat, "pca", 0)
    assert at.shape == (5, 2)
    assert np.abs(at[:, 0]) == pytest.approx(np.abs(flat[:, 0] - flat[:, 0].mean()))  # all that varies is one direction
    assert plane(vectors, "tsne", 0).shape == (6, 2)
