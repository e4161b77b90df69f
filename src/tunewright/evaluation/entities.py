"""Entities right, said and wanted: all together, and type by type."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tunewright.evaluation.predictions import Prediction
from tunewright.tasks.tagging import spans


@dataclass
class TypeScore:
    """How many entities of a type are in the gold tags, were said, and were right (both ends and type)."""

    gold: int = 0
    said: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        """Right of those said; 0 where none was said, as in seqeval."""
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        """Right of those wanted; 0 where none was wanted."""
        return self.right / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        return 2 * self.right / (self.gold + self.said) if self.gold + self.said else 0.0

    def to_json(self) -> dict[str, float]:
        """Counts and scores."""
        return {**asdict(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


def by_type(predictions: Sequence[Prediction]) -> dict[str, TypeScore]:
    """The scores of each type that occurs, in the alphabet's order; empty where the rows have no tags."""
    found: dict[str, TypeScore] = {}
    for p in predictions:
        gold, said = set(spans(p.gold_tags or ())), set(spans(p.predicted_tags or ()))
        for _, _, kind in gold:
            found.setdefault(kind, TypeScore()).gold += 1
        for _, _, kind in said:
            found.setdefault(kind, TypeScore()).said += 1
        for _, _, kind in gold & said:
            found[kind].right += 1
    return dict(sorted(found.items()))


def mean_by_type(runs: Sequence[Mapping[str, TypeScore]]) -> dict[str, dict[str, float]]:
    """The mean over runs of each type's precision, recall, F1 and wanted entities."""
    kinds = sorted({kind for run in runs for kind in run})
    return {
        kind: {
            key: sum(float(getattr(run.get(kind, TypeScore()), key)) for run in runs) / len(runs)
            for key in ("precision", "recall", "f1", "gold")
        }
        for kind in kinds
    }


class EntityCounts:
    """Micro F1 of label indices, added row by row."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._all = TypeScore()

    def add(self, gold: Sequence[int], said: Sequence[int]) -> None:
        """One row's labels, a word each."""
        wanted, found = (set(spans([self._labels[i] for i in tags])) for tags in (gold, said))
        self._all.gold += len(wanted)
        self._all.said += len(found)
        self._all.right += len(wanted & found)

    def value(self) -> float:
        """The F1 so far."""
        return self._all.f1
