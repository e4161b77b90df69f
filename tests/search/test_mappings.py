"""The search over mappings: against all products tried one by one."""

from itertools import product

import numpy as np
import pytest

from tunewright.search.mappings import best_mappings, extended, measured


def reference(
    scores: np.ndarray, candidates: list[list[int]], gold: np.ndarray
) -> list[tuple[float, float, tuple[int, ...]]]:
    """(accuracy, mean likelihood, words) of every product without a doubled word, best first."""
    found = []
    for words in product(*candidates):
        if len(set(words)) < len(words):
            continue
        own = scores[:, words]
        likelihood = own - np.log(np.exp(own).sum(1, keepdims=True))
        right = own.argmax(1) == gold
        found.append((right.mean(), likelihood[np.arange(len(gold)), gold].mean(), words))
    return sorted(found, key=lambda entry: (-entry[0], -entry[1]))


def drawn(labels: int, words: int, each: int, rows: int, seed: int) -> tuple[np.ndarray, list[list[int]], np.ndarray]:
    """Scores that depend a little on the label, and candidates that overlap."""
    random = np.random.default_rng(seed)
    gold = np.arange(rows) % labels
    leaning = random.normal(size=(words, labels))
    scores = random.normal(size=(rows, words)) + leaning[:, gold].T - 3
    candidates = [sorted(random.choice(words, each, replace=False).tolist()) for _ in range(labels)]
    return scores, candidates, gold


@pytest.mark.parametrize(
    ("labels", "words", "each", "width"), [(2, 8, 5, None), (3, 9, 5, None), (4, 9, 5, 150), (4, 9, 5, 10_000)]
)
def test_the_search_finds_what_trying_all_finds(labels: int, words: int, each: int, width: int | None) -> None:
    """A width of 150 is less than the 5⁴ mappings, and the narrow first search sets the bound that prunes the rest."""
    for seed in range(3):
        scores, candidates, gold = drawn(labels, words, each, 20, seed)
        expected = reference(scores, candidates, gold)[:10]
        found, exact = best_mappings(scores, candidates, gold, 10, width=width)
        assert exact
        assert [tuple(w for (w,) in mapping.words) for mapping in found] == [words_ for _, _, words_ in expected]
        assert [m.accuracy for m in found] == pytest.approx([accuracy for accuracy, _, _ in expected])
        assert [m.likelihood for m in found] == pytest.approx([likelihood for _, likelihood, _ in expected])


def test_a_narrow_search_says_that_it_was_narrow() -> None:
    scores, candidates, gold = drawn(5, 14, 8, 25, 0)
    found, exact = best_mappings(scores, candidates, gold, 2, width=2)
    assert not exact
    assert found[0].accuracy <= reference(scores, candidates, gold)[0][0]
    assert len(found) == 2


def test_a_literal_case() -> None:
    """Rows of label 0, 0, 1: word 0 leans to 0, word 1 to 1, word 2 is always likeliest."""
    scores = np.log([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6], [0.1, 0.3, 0.6]])
    found, _ = best_mappings(scores, [[0, 1, 2], [0, 1, 2]], np.array([0, 0, 1]), 6)
    assert found[0].words == ((0,), (1,))
    assert found[0].accuracy == 1.0
    assert found[0].likelihood == pytest.approx(np.log(0.75))
    assert len(found) == 6  # no word for both labels


def test_several_words_a_label_add_their_probabilities() -> None:
    """Word 2 is a second sign of label 1: without it row 3 is wrong."""
    scores = np.log([[0.5, 0.1, 0.1, 0.01], [0.5, 0.1, 0.1, 0.01], [0.2, 0.5, 0.1, 0.01], [0.3, 0.2, 0.2, 0.01]])
    gold = np.array([0, 0, 1, 1])
    (one,), _ = best_mappings(scores, [[0], [1]], gold, 1)
    assert (one.words, one.accuracy) == (((0,), (1,)), 0.75)
    two = extended(scores, one, [[0, 3], [1, 2]], gold, 2)
    assert two.words == ((0, 3), (1, 2))
    assert two.accuracy == 1.0
    right, likelihood = measured(scores, two.words, gold)
    assert right.tolist() == [True] * 4
    assert likelihood[3] == pytest.approx(np.log(0.4 / 0.71))
    assert extended(scores, one, [[0], [1, 2]], gold, 3).words == ((0,), (1, 2))  # candidates used up
