"""The metrics by name. Fractions lie between 0 and 1, correlations between -1 and 1, errors have the target's unit."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from tunewright.errors import InputError, did_you_mean
from tunewright.evaluation import corpus_metrics, faithfulness, text_metrics
from tunewright.evaluation.corpus_metrics import Floats, Kinds
from tunewright.evaluation.final_answer import final_match
from tunewright.evaluation.intervals import Bounds, Interval, interval_of_kinds, interval_of_mean
from tunewright.evaluation.predictions import Prediction

Unit = Literal["fraction", "correlation", "target"]
BOUNDS: dict[Unit, Bounds] = {"fraction": (0.0, 1.0), "correlation": (-1.0, 1.0), "target": (0.0, math.inf)}


@dataclass(frozen=True)
class Metric:
    """A metric: either a score per row, whose mean it is (`per_row`), or made of all rows together (`kinds`)."""

    name: str
    per_row: Callable[[Prediction], float] | None = None
    kinds: Callable[[Sequence[Prediction]], Kinds] | None = None
    higher_is_better: bool = True
    unit: Unit = "fraction"

    @property
    def bounds(self) -> Bounds:
        """The least and the greatest value there can be."""
        return BOUNDS[self.unit]

    def corpus(self, predictions: Sequence[Prediction]) -> float:
        """The metric's value for these rows (at least one)."""
        if self.kinds is not None:
            return self.kinds(predictions).value()
        return float(self.row_scores(predictions).mean())

    def row_scores(self, predictions: Sequence[Prediction]) -> Floats:
        """One number per row, `[n]`, whose mean is the metric: what differences between methods are computed from.

        For metrics made of all rows together these are jackknife pseudo-values (see `Kinds.pseudo_values`).
        """
        if self.kinds is not None:
            return self.kinds(predictions).pseudo_values()
        assert self.per_row is not None
        return np.array([self.per_row(p) for p in predictions], dtype=np.float64)

    def interval(self, predictions: Sequence[Prediction]) -> Interval:
        """The value with its interval over rows, for one run."""
        if self.kinds is not None:
            return interval_of_kinds(self.kinds(predictions), self.bounds)
        return interval_of_mean(self.row_scores(predictions), self.bounds)


def _answers(p: Prediction) -> tuple[str, ...]:
    return p.references or (str(p.target),)


def _of_text(score: Callable[[str, Sequence[str]], float]) -> Callable[[Prediction], float]:
    return lambda p: score(str(p.prediction), _answers(p))


def _absolute_error(p: Prediction) -> float:
    return abs(corpus_metrics.number_of(p, p.prediction) - corpus_metrics.number_of(p, p.target))


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("accuracy", per_row=lambda p: float(p.prediction == p.target)),
        Metric("macro-f1", kinds=corpus_metrics.macro_f1),
        Metric("exact-match", per_row=_of_text(text_metrics.exact_match)),
        Metric("final-answer", per_row=_of_text(final_match)),
        Metric("token-f1", per_row=_of_text(text_metrics.token_f1)),
        Metric("rouge-1", per_row=_of_text(partial(text_metrics.rouge, "rouge1"))),
        Metric("rouge-2", per_row=_of_text(partial(text_metrics.rouge, "rouge2"))),
        Metric("rouge-l", per_row=_of_text(partial(text_metrics.rouge, "rougeL"))),
        Metric("chrf", per_row=_of_text(text_metrics.chrf)),
        Metric("entity-f1", kinds=corpus_metrics.entity_f1),
        Metric("names-precision", kinds=faithfulness.precision("name")),
        Metric("names-recall", kinds=faithfulness.recall("name")),
        Metric("numbers-precision", kinds=faithfulness.precision("number")),
        Metric("numbers-recall", kinds=faithfulness.recall("number")),
        Metric("speakers-recall", kinds=faithfulness.speakers_recall),
        Metric("novel-bigrams", kinds=faithfulness.novel_bigrams),
        Metric("pearson", kinds=corpus_metrics.pearson, unit="correlation"),
        Metric("spearman", kinds=corpus_metrics.spearman, unit="correlation"),
        Metric("mse", per_row=lambda p: _absolute_error(p) ** 2, higher_is_better=False, unit="target"),
        Metric("mae", per_row=_absolute_error, higher_is_better=False, unit="target"),
    )
}


def metric(name: str) -> Metric:
    """The metric of that name; InputError with the nearest known name otherwise."""
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}{did_you_mean(name, METRICS)}")
    return METRICS[name]


def score(predictions: Sequence[Prediction], names: Iterable[str]) -> dict[str, Interval]:
    """Every named metric with its interval over rows, for one run; InputError when there is no row."""
    if not predictions:
        raise InputError("no predictions to score: at least one row is wanted")
    return {name: metric(name).interval(predictions) for name in names}
