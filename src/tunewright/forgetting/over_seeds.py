"""What methods forget over training seeds: the changes of a battery's tasks, paired by row and by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tunewright.evaluation.corpus_metrics import Floats
from tunewright.evaluation.differences import ENOUGH_SEEDS, Difference, difference, holm, mean_difference
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.texts import exponential
from tunewright.forgetting.changes import PERPLEXITY

SIDE = "attached"


@dataclass
class BatteryRuns:
    """A method's batteries by seed, each as battery.json and battery-rows.json have it, and its own task's gain.

    `gain_metric`: what `gain` is measured in; with several tasks tuned at once it is their mean.
    """

    label: str
    runs: dict[int, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    gain: Difference | None = None
    gain_metric: str | None = None


@dataclass(frozen=True)
class _Tables:
    """Scores [seeds, rows] of one task, of raw text the losses of its blocks."""

    before: Floats
    after: Floats

    def of(self, seeds: Sequence[int]) -> "_Tables":
        return _Tables(self.before[list(seeds)], self.after[list(seeds)])


def over_seeds(task: str, methods: Sequence[BatteryRuns]) -> dict[str, Any] | None:
    """One table of forgetting for the methods of a study on `task`, as plain values; None without a battery.

    Changes are after − before with what was tuned attached, with intervals over rows and seeds (`difference`); of raw
    text the factor of its perplexity. A method's mean is over the tasks that all methods were asked, that were not
    tuned on, and whose metric is a fraction of which more is better. Holm's correction: over all changes of tasks and
    texts; apart from these over the means and the differences between methods' means.
    """
    known = [method for method in methods if method.runs]
    if not known:
        return None
    columns = _columns(known)
    shared = _shared_ids(known)
    tables = {method.label: _tables(method, columns, shared) for method in known}
    inside = [
        name for name, column in columns.items()
        if not column["tuned"] and _fraction(column["metric"]) and all(name in mine for mine in tables.values())
    ]  # fmt: skip
    found = {
        label: {name: difference(one.after, one.before) for name, one in mine.items()}
        for label, mine in tables.items()
    }  # fmt: skip
    places = [(label, name) for label, mine in found.items() for name in mine if not columns[name]["tuned"]]
    adjusted = dict(zip(places, holm([found[label][name].p for label, name in places])))
    means = (
        {label: mean_difference([(mine[n].after, mine[n].before) for n in inside]) for label, mine in tables.items()}
        if inside
        else {}
    )
    pairs = _pairs(known, tables, inside)
    of_means = holm([*(one.p for one in means.values()), *(one.p for _, _, one in pairs)])
    first = next(iter(known[0].runs.values()))[0]
    return {
        "task": task,
        "battery": first["battery"],
        "split": first["split"],
        "columns": [{"task": name, **column} for name, column in columns.items()],
        "mean_tasks": inside,
        "methods": [
            {
                "label": method.label,
                "seeds": len(method.runs),
                "gain": None if method.gain is None else {**_json(method.gain), "metric": method.gain_metric},
                "mean": _mean_json(means.get(method.label), p_holm),
                "changes": {
                    name: _change(columns[name], one, adjusted.get((method.label, name)))
                    for name, one in found[method.label].items()
                },
            }
            for method, p_holm in zip(known, of_means if means else [None] * len(known))
        ],
        "pairs": [
            {"a": a, "b": b, **_json(one), "p_holm": p, "verdict": _pair_verdict(one, p)}
            for (a, b, one), p in zip(pairs, of_means[len(means) :])
        ],
        "missing": _missing(known),
        "note": _note(known),
    }  # fmt: skip


def _columns(methods: Sequence[BatteryRuns]) -> dict[str, dict[str, Any]]:
    """Each task of the batteries: its cluster, metric, rows, whether it was tuned on, its score before."""
    found: dict[str, dict[str, Any]] = {}
    for method in methods:
        for content, _ in method.runs.values():
            for one in content["sides"][SIDE]["tasks"]:
                column = {key: one[key] for key in ("cluster", "metric", "rows", "tuned")}
                found.setdefault(one["task"], {**column, "before": one["before"]})
                if found[one["task"]]["before"] != one["before"]:  # of several models or ways of asking
                    found[one["task"]]["before"] = None
    return found


def _shared_ids(methods: Sequence[BatteryRuns]) -> dict[str, list[str]]:
    """The rows of each task that every run was asked, in a fixed order; of a text the numbers of its blocks."""
    found: dict[str, list[str]] = {}
    for method in methods:
        for _, rows in method.runs.values():
            for name, one in rows.items():
                ids = _ids(one)
                found[name] = [i for i in found.get(name, ids) if i in set(ids)]
    return found


def _ids(rows: Mapping[str, Any]) -> list[str]:
    return list(rows["ids"]) if "ids" in rows else [str(i) for i in range(len(rows["before"]))]


def _tables(method: BatteryRuns, columns: Mapping[str, Any], shared: Mapping[str, Sequence[str]]) -> dict[str, _Tables]:
    """The method's tables by task, where all its runs were asked it and rows are left."""
    found = {}
    for name in columns:
        runs = [rows.get(name) for _, (_, rows) in sorted(method.runs.items())]
        if any(one is None for one in runs) or not shared[name]:
            continue
        sides = []
        for side in ("before", SIDE):
            by_id = [dict(zip(_ids(one), one[side])) for one in runs if one is not None]
            sides.append(np.array([[one[i] for i in shared[name]] for one in by_id], dtype=np.float64))  # [S, R]
        found[name] = _Tables(*sides)
    return found


def _fraction(name: str) -> bool:
    return name != PERPLEXITY and metric(name).unit == "fraction" and metric(name).higher_is_better


def _pairs(
    methods: Sequence[BatteryRuns], tables: Mapping[str, Mapping[str, _Tables]], inside: Sequence[str]
) -> list[tuple[str, str, Difference]]:
    """How far two methods' mean changes lie apart, over the seeds that both have."""
    found = []
    for i, a in enumerate(methods if inside else ()):
        for b in methods[i + 1 :]:
            both = sorted(a.runs.keys() & b.runs.keys())
            if not both:
                continue
            mine, other = (
                [tables[one.label][name].of([sorted(one.runs).index(seed) for seed in both]) for name in inside]
                for one in (a, b)
            )
            changed = [(x.after - x.before, y.after - y.before) for x, y in zip(mine, other)]
            found.append((a.label, b.label, mean_difference(changed)))
    return found


def _json(one: Difference) -> dict[str, Any]:
    return {"value": one.value, "low": one.low, "high": one.high, "p": one.p}


def _mean_json(one: Difference | None, p_holm: float | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {**_json(one), "p_holm": p_holm, "verdict": _verdict(one.value, p_holm)}


def _change(column: Mapping[str, Any], one: Difference, p_holm: float | None) -> dict[str, Any]:
    text = column["metric"] == PERPLEXITY
    better = -one.value if text or not metric(column["metric"]).higher_is_better else one.value
    shown = exponential(Interval(one.value, one.low, one.high)).to_json() if text else _json(one)
    p = one.p if column["tuned"] else p_holm
    return {**shown, "p": one.p, "p_holm": p_holm, "verdict": _verdict(better, p)}


def _verdict(better: float, p: float | None) -> str:
    if p is None or p >= 0.05:
        return "can't tell"
    return "gained" if better > 0 else "lost"


def _pair_verdict(one: Difference, p: float | None) -> str:
    if p is None or p >= 0.05:
        return "can't tell"
    return "a forgets less" if one.value > 0 else "b forgets less"


def _missing(methods: Sequence[BatteryRuns]) -> list[dict[str, str]]:
    """What some run could not be asked, with the reason, each once."""
    found: dict[tuple[str, str], None] = {}
    for method in methods:
        for content, _ in method.runs.values():
            found |= dict.fromkeys((one["task"], one["why"]) for one in content["missing"])
    return [{"task": task, "why": why} for task, why in found]


def _note(methods: Sequence[BatteryRuns]) -> str:
    seeds = min(len(method.runs) for method in methods)
    if seeds == 1:
        return "One run of a method: intervals are about other rows, not about other training runs."
    less = f" {seeds} seeds (5 are advised): how far runs spread is known roughly." if seeds < ENOUGH_SEEDS else ""
    return f"Intervals are over rows and training runs, paired by row and by seed.{less}"
