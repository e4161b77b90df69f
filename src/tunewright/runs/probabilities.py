"""What a model that classifies says about rows without labels: probabilities, and the label it is sure of."""

import math
from collections.abc import Iterator, Sequence

from tunewright.console import Bar
from tunewright.evaluation.scoring import predict
from tunewright.runs.prepare import Prepared
from tunewright.runs.scores import asking_for
from tunewright.tasks.task import Rows

CHUNK = 256  # rows asked together, always the same ones: bf16 answers depend a little on their batch

Probabilities = tuple[float, ...]


def label_probabilities(prepared: Prepared, rows: Rows, bar: Bar) -> Iterator[Probabilities | None]:
    """Each row's probability of each label of the task, None where the template has nothing to ask."""
    for start in range(0, len(rows), CHUNK):
        part = rows.take(range(start, min(start + CHUNK, len(rows))))
        found = predict(prepared.tuner, prepared.encoder(part), prepared.task, asking_for(prepared), bar=bar)
        by_id = {p.id: _softmax(p.scores) for p in found if p.scores is not None}
        yield from (by_id.get(name) for name in part.ids)


def confident(labels: Sequence[str], probabilities: Probabilities | None, threshold: float) -> tuple[str, float] | None:
    """The likeliest label and its probability, where that is at least `threshold`."""
    if probabilities is None:
        return None
    best = max(range(len(labels)), key=probabilities.__getitem__)
    return (labels[best], probabilities[best]) if probabilities[best] >= threshold else None


def _softmax(scores: Sequence[float]) -> Probabilities:
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return tuple(weight / sum(weights) for weight in weights)
