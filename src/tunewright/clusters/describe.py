"""What a cluster is about: its words, its rows nearest to the centre, and all rows in a plane."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from tunewright.console import say
from tunewright.seeds import seed_of

Picture = Literal["pca", "tsne"]
_WORD = r"(?u)\b[^\W\d_][^\W_]+\b"  # begins with a letter, two signs or more


def top_words(texts: Sequence[str], clusters: np.ndarray, k: int, count: int) -> list[list[str]]:
    """Each cluster's words by class-based TF-IDF (Grootendorst 2022): the root of a word's share of the cluster's words
    times log(1 + A / f), f its count in all clusters and A the mean number of words of a cluster. The root, an option
    of BERTopic, keeps words down that are frequent everywhere. English stop words are left out."""
    from sklearn.feature_extraction.text import CountVectorizer

    inside = [(text, cluster) for text, cluster in zip(texts, clusters.tolist()) if cluster >= 0]
    vectorizer = CountVectorizer(stop_words="english", token_pattern=_WORD)
    try:
        counts = vectorizer.fit_transform([text for text, _ in inside])  # [n, V]
    except ValueError:  # not one word in all the texts
        return [[] for _ in range(k)]
    member = np.zeros((k, len(inside)))
    member[[cluster for _, cluster in inside], range(len(inside))] = 1
    by_cluster = member @ counts  # [k, V]
    share = by_cluster / np.maximum(by_cluster.sum(1, keepdims=True), 1)
    weight = np.sqrt(share) * np.log1p(by_cluster.sum() / k / by_cluster.sum(0))
    words = vectorizer.get_feature_names_out()
    order = np.argsort(-weight, axis=1, kind="stable")[:, :count]
    return [[str(words[j]) for j in order[c] if weight[c, j] > 0] for c in range(k)]


def nearest_rows(vectors: np.ndarray, clusters: np.ndarray, k: int, count: int) -> list[list[int]]:
    """The rows of each cluster that are nearest to the mean of its vectors [n, d]."""
    found = []
    for cluster in range(k):
        rows = np.flatnonzero(clusters == cluster)
        away = np.linalg.norm(vectors[rows] - vectors[rows].mean(0), axis=1)
        found.append(rows[np.argsort(away, kind="stable")[:count]].tolist())
    return found


def plane(vectors: np.ndarray, picture: Picture, seed: int) -> np.ndarray:
    """The vectors [n, d] in two dimensions, [n, 2]: their main directions, or t-SNE."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    state = seed_of("plane", seed) % 2**32
    if picture == "pca" or len(vectors) < 4:
        return np.asarray(PCA(2, random_state=state).fit_transform(vectors))
    say(f"t-SNE of {len(vectors)} rows …")
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(2, perplexity=perplexity, init="pca", random_state=state).fit_transform(vectors))
