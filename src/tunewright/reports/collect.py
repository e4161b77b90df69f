"""From predictions to a report's numbers: means over seeds with intervals, paired differences, verdicts in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, cast

import numpy as np

from tunewright.evaluation.corpus_metrics import Floats
from tunewright.evaluation.differences import (
    ENOUGH_SEEDS,
    Difference,
    difference,
    holm,
    mean_difference,
    mean_interval_corpus,
)
from tunewright.evaluation.faithfulness import read_output
from tunewright.evaluation.metrics import Metric, metric
from tunewright.evaluation.power import power_note
from tunewright.evaluation.predictions import Prediction
from tunewright.reports import data as report
from tunewright.reports.entities import marked_words, row_f1, types_of

EXAMPLES = 200  # rows of a method that the report may show; it picks the telling ones


@dataclass
class MethodRuns:
    """All runs of one method on one task. `runs` holds each seed's predictions, on the same rows.

    A way without randomness (zero-shot, a baseline with all rows) has one run that stands for every seed.
    """

    method: str
    label: str
    kind: report.Kind
    runs: dict[int, list[Prediction]] = field(default_factory=dict)
    costs: list[Mapping[str, Any]] = field(default_factory=list)
    curves: list[report.Curve] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    start: str | None = None  # the label of the zero-shot it is set against; None: the only one there is


def aligned(runs: Sequence[MethodRuns]) -> list[str]:
    """The ids of the rows that every run has an answer to, in a fixed order: what is compared."""
    sets = [{p.id for p in predictions} for entry in runs for predictions in entry.runs.values()]
    shared = set.intersection(*sets) if sets else set()
    first = next((predictions for entry in runs for predictions in entry.runs.values()), [])
    return [p.id for p in first if p.id in shared]


def task_data(
    name: str, metrics: Sequence[str], runs: Sequence[MethodRuns], train_rows: int, validation_metric: str | None = None
) -> report.TaskData:
    """Everything the report says of one task. The first metric is the primary one."""
    ids = aligned(runs)
    primary = metric(metrics[0])
    tables = {entry.label: _table(primary, entry, ids) for entry in runs if entry.runs and ids}
    zeros = {entry.label: entry for entry in runs if entry.kind == "zero-shot" and entry.runs}
    differences = {
        entry.label: _difference(tables[entry.label], tables[zero.label])
        for entry in runs
        if entry.kind != "zero-shot" and entry.label in tables and (zero := _own_start(entry, zeros))
    }
    against = _pairs(runs, tables, primary)
    adjusted = holm([d.p for d in differences.values()] + [d.p for _, _, d in against])
    against_zero = dict(zip(differences, adjusted))
    rows = [_row(entry, ids, metrics, differences.get(entry.label), against_zero.get(entry.label)) for entry in runs]
    pairs = [_pair(a, b, primary, d, p) for (a, b, d), p in zip(against, adjusted[len(differences) :])]
    value: report.TaskData = {
        "task": name,
        "metric": primary.name,
        "higher_is_better": primary.higher_is_better,
        "test_rows": len(ids),
        "train_rows": train_rows,
        "table": rows,
        "pairs": pairs,
        "curves": [curve for entry in runs for curve in entry.curves],
        "examples": _examples(primary, zeros, runs, summaries=any(map(_of_summaries, metrics))),
    }
    types = {entry.label: types_of(_in_order(entry, ids)) for entry in runs if entry.runs and ids}
    if any(types.values()):
        value["types"] = types
    if validation_metric:
        value["validation_metric"] = validation_metric
    return value


def gains(tasks: Sequence[tuple[str, Sequence[MethodRuns]]]) -> dict[str, tuple[str, Difference]]:
    """By label of a tuned method: the primary metric, and what tuning changed in it, paired by row and by seed.

    `tasks`: (metric, runs) of each task that one run tunes; of several the mean, where all their metrics are fractions
    of which more is better (its metric is the first one's).
    """
    metrics = [metric(name) for name, _ in tasks]
    if len(metrics) > 1 and not all(one.unit == "fraction" and one.higher_is_better for one in metrics):
        return {}
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    for primary, (_, runs) in zip(metrics, tasks):
        ids = aligned(runs)
        zeros = {entry.label: entry for entry in runs if entry.kind == "zero-shot" and entry.runs}
        for entry in runs:
            zero = _own_start(entry, zeros)
            if entry.kind == "tuned" and entry.runs and zero is not None and ids:
                sides = _matched(_table(primary, entry, ids), _table(primary, zero, ids))
                found.setdefault(entry.label, []).append(sides)
    return {
        label: (metrics[0].name, mean_difference(pairs)) for label, pairs in found.items() if len(pairs) == len(tasks)
    }


def _own_start(entry: MethodRuns, zeros: Mapping[str, MethodRuns]) -> MethodRuns | None:
    """The zero-shot that a way is set against: its own, or the only one."""
    if entry.start is not None:
        return zeros.get(entry.start)
    return next(iter(zeros.values())) if len(zeros) == 1 else None


def _ordered(predictions: Sequence[Prediction], ids: Sequence[str]) -> list[Prediction]:
    by_id = {p.id: p for p in predictions}
    return [by_id[i] for i in ids]


def _in_order(entry: MethodRuns, ids: Sequence[str]) -> list[list[Prediction]]:
    return [_ordered(entry.runs[seed], ids) for seed in sorted(entry.runs)]


def _table(primary: Metric, entry: MethodRuns, ids: Sequence[str]) -> Floats:
    """Scores [seeds, rows]."""
    return np.stack([primary.row_scores(_ordered(entry.runs[seed], ids)) for seed in sorted(entry.runs)])


def _difference(a: Floats, b: Floats) -> Difference:
    return difference(*_matched(a, b))


def _matched(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Paired by row and by seed; what has one run for all seeds is set against each seed's."""
    seeds = max(len(a), len(b))
    if len(a) != len(b) and 1 not in (len(a), len(b)):  # a trial failed: only as many seeds as both have
        seeds = min(len(a), len(b))
    first, second = (np.repeat(t, seeds, axis=0) if len(t) == 1 else t[:seeds] for t in (a, b))
    return first, second


def _pairs(
    runs: Sequence[MethodRuns], tables: Mapping[str, Floats], primary: Metric
) -> list[tuple[str, str, Difference]]:
    """Tuned methods against each other, and each against the best cheap baseline."""
    tuned = [entry.label for entry in runs if entry.kind == "tuned" and entry.label in tables]
    found = [(a, b, _difference(tables[a], tables[b])) for i, a in enumerate(tuned) for b in tuned[i + 1 :]]
    baselines = [entry.label for entry in runs if entry.kind == "baseline" and entry.label in tables]
    if baselines:
        sign = 1 if primary.higher_is_better else -1
        best = max(baselines, key=lambda label: sign * float(tables[label].mean()))
        found += [(a, best, _difference(tables[a], tables[best])) for a in tuned]
    return found


def _row(
    entry: MethodRuns, ids: Sequence[str], names: Sequence[str], change: Difference | None, p_holm: float | None
) -> report.Row:
    ordered = _in_order(entry, ids) if ids else []
    estimates: dict[str, report.Estimate] = {}
    for name in names if ordered else ():
        interval = mean_interval_corpus(metric(name), ordered)
        estimates[name] = {"value": interval.value, "low": interval.low, "high": interval.high}
    shown: report.Difference | None = None
    if change is not None:
        shown = {
            "value": change.value, "low": change.low, "high": change.high,
            "p": change.p, "p_holm": p_holm, "note": change.note,
        }  # fmt: skip
    return {
        "method": entry.method,
        "label": entry.label,
        "kind": entry.kind,
        "seeds": len(entry.runs),
        "metrics": estimates,
        "spread": _spread(metric(names[0]), ordered),
        "difference": shown,
        "cost": _mean_cost(entry.costs),
        "failed": entry.failed,
    }


def _spread(primary: Metric, runs: Sequence[Sequence[Prediction]]) -> float | None:
    """How far the seeds' scores lie apart: their standard deviation (n - 1), None for one run."""
    if len(runs) < 2:
        return None
    return float(np.std([primary.corpus(predictions) for predictions in runs], ddof=1))


def _mean_cost(costs: Sequence[Mapping[str, Any]]) -> report.Cost | None:
    """Each figure's mean over the runs; whole numbers stay whole."""
    if not costs:
        return None
    means: dict[str, Any] = {}
    for key in report.Cost.__annotations__:
        known = [cost[key] for cost in costs if cost.get(key) is not None]
        mean = fmean(known) if known else None
        means[key] = round(mean) if mean is not None and all(isinstance(value, int) for value in known) else mean
    return cast(report.Cost, means)


def _pair(a: str, b: str, primary: Metric, d: Difference, p_holm: float | None) -> report.Pair:
    verdict = "can't tell"
    if p_holm is not None and p_holm < 0.05:
        verdict = "a better" if (d.value > 0) == primary.higher_is_better else "b better"
    return cast(
        report.Pair,
        {
            "a": a, "b": b, "metric": primary.name, "value": d.value, "low": d.low, "high": d.high,
            "p_holm": p_holm, "verdict": verdict,
        },
    )  # fmt: skip


def _of_summaries(name: str) -> bool:
    """Whether a metric is one of texts whose names and numbers should be their source's."""
    return name.startswith(("rouge-", "names-", "numbers-", "speakers-"))


def _examples(
    primary: Metric, zeros: Mapping[str, MethodRuns], runs: Sequence[MethodRuns], *, summaries: bool
) -> list[report.Example]:
    """Each tuned method's first run beside its zero-shot, row by row; of `summaries` with their names and numbers."""
    found: list[report.Example] = []
    for entry in runs:
        zero = _own_start(entry, zeros)
        if entry.kind != "tuned" or not entry.runs or zero is None:
            continue
        before = {p.id: p for p in next(iter(zero.runs.values()))}
        for p in next(iter(entry.runs.values()))[:EXAMPLES]:
            if p.id in before:
                then = before[p.id]
                example: report.Example = {
                    "id": p.id,
                    "prompt": p.prompt,
                    "target": str(p.target),
                    "before": str(then.prediction),
                    "method": entry.label,
                    "after": str(p.prediction),
                    "before_score": _one(primary, then),
                    "after_score": _one(primary, p),
                }
                if p.tokens and p.gold_tags:
                    example["entities"] = {
                        when: [list(piece) for piece in marked_words(p.tokens, p.gold_tags, q.predicted_tags or ())]
                        for when, q in (("before", then), ("after", p))
                    }
                if summaries and p.prompt and not p.choices and p.tokens is None:
                    example["facts"] = {when: _facts(p, q) for when, q in (("before", then), ("after", p))}
                found.append(example)
    return found


def _facts(asked: Prediction, said: Prediction) -> dict[str, Any]:
    reading = read_output(asked.prompt, str(asked.target), str(said.prediction))
    return {"pieces": [list(piece) for piece in reading.pieces], "dropped": list(reading.dropped)}


def _one(primary: Metric, prediction: Prediction) -> float | None:
    """One row's score, None for a metric that only all rows together have (of entities, the row's own F1)."""
    if primary.name == "entity-f1":
        return row_f1(prediction)
    return None if primary.per_row is None else float(primary.per_row(prediction))


def verdicts(task: report.TaskData) -> list[str]:
    """What the table says, in sentences: who beats zero-shot, who beats the best cheap baseline."""
    name, rows = task["task"], [row for row in task["table"] if row["metrics"]]
    metric_name = task["metric"]
    tuned = [row for row in rows if row["kind"] == "tuned"]
    if not tuned:
        return []

    def value(row: report.Row) -> float:
        return (row["metrics"][metric_name]["value"] or 0.0) * (1 if task["higher_is_better"] else -1)

    # A new head has no zero-shot of its own.
    compared = {row["label"]: _clear(change, task) for row in tuned if (change := row["difference"])}
    better = [label for label, clear in compared.items() if clear]
    rest = [label for label, clear in compared.items() if not clear]
    said = []
    if compared:
        said.append(
            f"{name}: "
            + (f"{_listed(better)} clearly better than zero-shot in {metric_name}" if better else "")
            + ("; " if better and rest else "")
            + (f"for {_listed(rest)} the rows and seeds cannot tell" if rest else "")
            + "."
        )
    baselines = [row for row in rows if row["kind"] == "baseline"]
    if baselines:
        best = max(baselines, key=value)
        against = {pair["a"]: pair["verdict"] for pair in task["pairs"] if pair["b"] == best["label"]}
        above = [label for label, verdict in against.items() if verdict == "a better"]
        below = [label for label, verdict in against.items() if verdict == "b better"]
        text = f"{name}: the best cheap baseline is {best['label']}"
        if above:
            text += f"; clearly better than it: {_listed(above)}"
        if below:
            text += f"; clearly worse: {_listed(below)}"
        if not above and not below:
            text += "; the rows and seeds cannot tell the tuned methods from it"
        said.append(text + ".")
    seeds = min(row["seeds"] for row in tuned)
    if seeds < ENOUGH_SEEDS:
        right_or_wrong = metric_name in ("accuracy", "exact-match", "final-answer")  # what the note's numbers are about
        note = " " + power_note(seeds, task["test_rows"], 0.04) if right_or_wrong else ""
        said.append(f"{name}: {seeds} seed{'s' * (seeds > 1)} (5 are advised).{note}")
    return said


def _clear(change: report.Difference, task: report.TaskData) -> bool:
    p, value = change["p_holm"], change["value"] or 0.0
    return p is not None and p < 0.05 and (value > 0) == task["higher_is_better"]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
