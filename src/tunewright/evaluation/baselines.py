"""The cheap ways that stand in every table: what a tuned model has to beat, learnt from the same draws of rows."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewright.tasks.cleaning import is_id
from tunewright.tasks.task import Row, Task

_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"'”’)]))\s+|\n+")
_TURN = re.compile(r"^\s*[^\s:][^:\n]{0,40}:\s")
# Tried with TF-IDF on BBC news, AG news, SST-2, TREC and RTE, 16 rows a class, 5 draws: between 1 and 100 the mean
# accuracy moves by half a point at most, so it is fixed and not searched.
_INVERSE_PENALTY = 10.0


def baseline_texts(task: Task, rows: Iterable[Row], fields: Iterable[str]) -> list[str]:
    """The input text of each row: its text fields joined by newlines, without target, references, ids and facts.

    `fields` are those the template shows the model. With all fields of the data a second label column, like TREC's
    fine labels, would give the answer away to the baseline alone.
    """
    hidden = {task.target, task.references, "references", "facts"}
    names = [name for name in fields if name not in hidden and not is_id(name)]
    return ["\n".join(row[name] for name in names if isinstance(row.get(name), str)) for row in rows]


def majority(train_labels: Sequence[str], n: int) -> list[str]:
    """The commonest training label, `n` times; of equally common ones the first in the alphabet."""
    counts = Counter(train_labels)
    return [min(counts, key=lambda label: (-counts[label], label))] * n


def tfidf_logreg(train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str]) -> list[str]:
    """Logistic regression on TF-IDF of words and word pairs: a label for every test text."""
    vectors = _tfidf(train_texts, test_texts)
    if vectors is None:
        return majority(train_labels, len(test_texts))
    return vectors_logreg(vectors[0], train_labels, vectors[1])


def vectors_logreg(train: npt.ArrayLike, train_labels: Sequence[str], test: npt.ArrayLike) -> list[str]:
    """Logistic regression on vectors `[n, d]` (of sentences, say): a label for every row of `test`.

    It has one solution: what differs between seeds is the draw of training rows alone.
    """
    from sklearn.linear_model import LogisticRegression

    labels = [str(label) for label in train_labels]
    if len(set(labels)) < 2:
        return majority(labels, int(np.shape(test)[0]))
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=2000)
    return [str(label) for label in model.fit(train, labels).predict(test)]


def mean_baseline(train_targets: Sequence[float], n: int) -> list[float]:
    """The mean of the training targets, `n` times."""
    return [fmean(train_targets)] * n


def tfidf_ridge(train_texts: Sequence[str], train_targets: Sequence[float], test_texts: Sequence[str]) -> list[float]:
    """Ridge regression on TF-IDF of words and word pairs: a number for every test text, within the training range."""
    from sklearn.linear_model import Ridge

    vectors = _tfidf(train_texts, test_texts)
    if vectors is None:
        return mean_baseline(train_targets, len(test_texts))
    found = Ridge(alpha=1.0).fit(vectors[0], list(train_targets)).predict(vectors[1])
    least, most = min(train_targets), max(train_targets)
    return [min(most, max(least, float(number))) for number in found]


def word_lookup(
    train_words: Iterable[Sequence[str]], train_tags: Iterable[Sequence[str]], words: Iterable[Sequence[str]]
) -> list[list[str]]:
    """Each word's commonest tag in training (of equally common ones the first seen); `O` for a word not seen there."""
    counts: dict[str, Counter[str]] = {}
    for row, tags in zip(train_words, train_tags):
        for word, tag in zip(row, tags):
            counts.setdefault(word, Counter())[tag] += 1
    known = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    return [[known.get(word, "O") for word in row] for row in words]


def cosine_line(
    train: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    train_targets: Sequence[float],
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]],
) -> list[float]:
    """A straight line from the cosine of a pair's vectors ([n, d] of length one each) to the target."""
    cosines = [np.sum(a * b, axis=1) for a, b in (train, test)]
    if len(train_targets) < 2 or float(np.ptp(cosines[0])) == 0:
        return mean_baseline(train_targets, len(cosines[1]))
    slope, start = np.polyfit(cosines[0], np.asarray(train_targets, dtype=np.float64), 1)
    return [float(slope * value + start) for value in cosines[1]]


def _tfidf(train_texts: Sequence[str], test_texts: Sequence[str]) -> tuple[Any, Any] | None:
    """Sparse vectors of both, the vocabulary from training alone; None when the training texts hold no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    pattern = r"(?u)\b\w+\b"  # scikit-learn's own drops words of one letter: "I", all of many Chinese words
    if not any(re.search(pattern, text) for text in train_texts):
        return None
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=pattern)
    return vectorizer.fit_transform(train_texts), vectorizer.transform(test_texts)


def copy_lead(text: str, words: int, sentences: int = 3) -> str:
    """The start of a text as its summary: the first `sentences` of a document; of a dialogue, where most lines begin
    with a speaker and a colon, the first turns up to `words` words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    turns = sum(bool(_TURN.match(line)) for line in lines)
    if len(lines) >= 2 and turns * 2 > len(lines):
        return " ".join(" ".join(lines).split()[: max(1, words)])
    found = [part for part in _SENTENCE_END.split(text.strip()) if part and part.strip()]
    return " ".join(part.strip() for part in found[:sentences])


def lead_baseline(texts: Sequence[str], train_targets: Sequence[str]) -> list[str]:
    """`copy_lead` of every text, dialogues cut to the mean number of words of the training targets."""
    words = round(fmean(len(target.split()) for target in train_targets)) if train_targets else 20
    return [copy_lead(text, words) for text in texts]
