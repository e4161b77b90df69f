"""How far scores lie apart: mean, spread, what validation picks, what that costs against the best by test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunewright.evaluation.corpus_metrics import Floats
from tunewright.evaluation.differences import difference, mean_interval
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import Metric, metric
from tunewright.evaluation.predictions import Prediction
from tunewright.sensitivity.cells import Cell, Way, predictions_of
from tunewright.sensitivity.recipe import SPLITS, Split
from tunewright.tasks.task import Rows


@dataclass(frozen=True)
class Scored:
    """A cell with its metrics, by split; the first metric is the one compared."""

    cell: Cell
    metrics: Mapping[Split, Mapping[str, Interval]]
    n: Mapping[Split, int]

    def value(self, split: Split) -> float:
        """The compared metric; below all others where the template skips all rows."""
        return next((one.value for one in self.metrics[split].values()), float("-inf"))


def scored(cells: Sequence[Cell], rows: Mapping[Split, Rows], target: str, metrics: Sequence[str]) -> list[Scored]:
    """The cells' metrics with intervals over rows."""
    found = []
    for cell in cells:
        said = {split: predictions_of(cell, split, rows[split], target) for split in SPLITS}
        values = {s: {name: metric(name).interval(said[s]) for name in metrics} if said[s] else {} for s in SPLITS}
        found.append(Scored(cell, values, {split: len(said[split]) for split in SPLITS}))
    return found


def picked(group: Sequence[Scored], measure: Metric) -> Scored:
    """The best on validation: of equal scores the one that finds the right answers likelier, then the first.

    Test rows have no part in it.
    """
    sign = 1 if measure.higher_is_better else -1
    return max(group, key=lambda one: (sign * one.value("validation"), one.cell.likelihood))


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (n − 1), least and greatest."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "min": min(values), "max": max(values)}


def group_summary(way: Way, group: Sequence[Scored], table: Floats, measure: Metric) -> dict[str, Any]:
    """One group's line. `table` [cells, rows] are its scores on the test rows that no template of it skips.

    The mean's interval is over those rows and over templates, taken as drawn from more of their kind.
    """
    best = picked(group, measure)
    sign = 1 if measure.higher_is_better else -1
    hindsight = max(group, key=lambda one: sign * one.value("test"))
    interval = mean_interval(table, measure.bounds) if table.size else None
    return {
        "label": way.label,
        **way._asdict(),
        "cells": len(group),
        **spread([one.value("test") for one in group]),
        "mean_interval": interval.to_json() if interval else None,
        "picked": _place(best),
        "best_by_test": _place(hindsight),
        "regret": sign * (hindsight.value("test") - best.value("test")),
    }


def _place(one: Scored) -> dict[str, Any]:
    splits: dict[str, Any] = {split: next((v.to_json() for v in one.metrics[split].values()), None) for split in SPLITS}
    return {"template": one.cell.template, "order": one.cell.order, **splits}


def row_table(cells: Sequence[Cell], rows: Rows, target: str, measure: Metric) -> Floats:
    """Scores [cells, rows] on the test rows that all of these cells answer."""
    shared = [i for i in range(len(rows)) if all(cell.answers["test"][i] is not None for cell in cells)]
    golds = rows.columns[target]
    if not shared:
        return np.zeros((len(cells), 0))
    said = [[Prediction(rows.ids[i], str(c.answers["test"][i]), str(golds[i])) for i in shared] for c in cells]
    return np.stack([measure.row_scores(mine) for mine in said])


def effects(cells: Sequence[Cell], rows: Rows, target: str, measure: Metric) -> list[dict[str, Any]]:
    """What each calibration changes: calibrated minus plain, paired by template and by row.

    The interval is that of `variance.py` with templates in the place of runs: templates and rows are both taken as
    drawn. Orders of a template's examples are averaged first, for they are no templates of their own.
    """
    by_way: dict[Way, list[Cell]] = {}
    for cell in cells:
        by_way.setdefault(cell.way, []).append(cell)
    found = []
    for way, mine in by_way.items():
        plain = by_way.get(way._replace(calibration="none"))
        if way.calibration == "none" or plain is None:
            continue
        table = row_table([*mine, *plain], rows, target, measure)  # [2 · cells, rows]
        if not table.size:
            continue
        changed, before = (_by_template(part, half) for part, half in zip((mine, plain), np.split(table, 2)))
        one = difference(changed, before)
        better = (changed.mean(1) - before.mean(1)) * (1 if measure.higher_is_better else -1)
        found.append(
            {
                "label": way.label, "against": plain[0].way.label, "value": one.value, "low": one.low,
                "high": one.high, "p": one.p, "templates": len(changed), "rows": one.rows,
                "better_for": int((better > 0).sum()), "worse_for": int((better < 0).sum()),
            }
        )  # fmt: skip
    return found


def _by_template(cells: Sequence[Cell], table: Floats) -> Floats:
    """[cells, rows] → [templates, rows], the mean over the orders of each."""
    names = list(dict.fromkeys(cell.template for cell in cells))
    return np.stack([table[[i for i, c in enumerate(cells) if c.template == name]].mean(0) for name in names])
