"""The report of `tunewright sensitivity`: one HTML file that opens offline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.files import write_text
from tunewright.reports import formats
from tunewright.reports.build import environment, finite, plotly
from tunewright.reports.sensitivity_figure import spread_figure


def write_sensitivity_report(path: Path, value: Mapping[str, Any]) -> None:
    """Write the report of `value` (the content of sensitivity.json) to `path` atomically.

    Raises MachineError when the disk refuses.
    """
    known = finite(value)
    metric = known["metric"]
    others = list(dict.fromkeys(name for c in known["cells"] for name in c["test"]["metrics"] if name != metric))
    cells = sorted(known["cells"], key=lambda c: -_value(c["test"], metric, known["higher_is_better"]))
    html = (
        environment()
        .get_template("sensitivity.html.j2")
        .render(
            value=known,
            title=f"Sensitivity to the prompt: {known['task']} with {known['model']}",
            verdict=[group_sentence(metric, group) for group in known["groups"]]
            + soft_sentences(metric, known["soft"]),
            metric=formats.metric_name(metric),
            others=[formats.metric_name(name) for name in others],
            figure=spread_figure(known),
            groups=[_group(metric, g) for g in known["groups"]] + _soft(metric, known["soft"]),
            effects=[effect_sentence(metric, effect) for effect in known["calibration"]],
            cells=[_cell(metric, others, c, known["templates"][c["template"]]) for c in cells],
            plotly=plotly(),
            version=__version__,
        )
    )
    write_text(path, html)


def picked_of(place: Mapping[str, Any]) -> str:
    """`cloze`, `cloze (order 2)`."""
    return place["template"] + (f" (order {place['order']})" if place["order"] else "")


def group_sentence(metric: str, group: Mapping[str, Any]) -> str:
    """What one group says, for people."""
    low, high, mean, regret = (formats.metric_value(metric, group[key]) for key in ("min", "max", "mean", "regret"))
    best = group["picked"]
    return (
        f"{group['label']}: {formats.metric_name(metric)} lies between {low} and {high} (mean {mean}) over "
        f"{group['cells']} prompts; validation picks {picked_of(best)} with "
        f"{formats.estimate_text(metric, best['test']) if best['test'] else formats.NOTHING}, {regret} from the best "
        "by test."
    )


def soft_sentences(metric: str, soft: Mapping[str, Any] | None) -> list[str]:
    """The same for soft prompts, if there are any."""
    if soft is None:
        return []
    low, high, mean = (formats.metric_value(metric, soft[key]) for key in ("min", "max", "mean"))
    return [f"{soft['label']}: between {low} and {high} (mean {mean}) over {seeds_of(soft)}."]


def seeds_of(soft: Mapping[str, Any]) -> str:
    """How many seeds a soft prompt has scores of, in words."""
    count = len(soft["seeds"])
    return f"{count} seed" + "s" * (count != 1)


def effect_sentence(metric: str, effect: Mapping[str, Any]) -> str:
    """What one calibration changes, for people."""
    change = formats.estimate_text(metric, effect, signed=True)
    return (
        f"{effect['label']} − {effect['against']}: {change}, {formats.p_value(effect['p']) or 'p unknown'}; better for "
        f"{effect['better_for']}, worse for {effect['worse_for']} of {effect['templates']} templates"
    )


def _group(metric: str, group: Mapping[str, Any]) -> dict[str, str]:
    best, top = group["picked"], group["best_by_test"]
    return {
        "label": group["label"],
        "count": str(group["cells"]),
        **{key: formats.metric_value(metric, group[key]) for key in ("mean", "std", "min", "max", "regret")},
        "interval": formats.interval(metric, group["mean_interval"]) if group["mean_interval"] else "",
        "picked": picked_of(best),
        "picked_score": _shown(metric, best["test"]),
        "best": picked_of(top),
        "best_score": _shown(metric, top["test"]),
    }


def _soft(metric: str, soft: Mapping[str, Any] | None) -> list[dict[str, str]]:
    if soft is None:
        return []
    numbers = {key: formats.metric_value(metric, soft[key]) for key in ("mean", "std", "min", "max")}
    nothing = dict.fromkeys(("best", "picked", "regret"), formats.NOTHING)
    empty = dict.fromkeys(("interval", "picked_score", "best_score"), "")
    return [{"label": soft["label"], "count": seeds_of(soft), **numbers, **nothing, **empty}]


def _cell(metric: str, others: list[str], cell: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    test, validation = (cell[split]["metrics"].get(metric) for split in ("test", "validation"))
    words = template.get("label_words") or template.get("answer_choices")
    if isinstance(words, dict):
        words = "; ".join(f"{k}: {', '.join(v)}" for k, v in words.items())
    if isinstance(words, list):
        words = ", ".join(words)
    extra = [cell["test"]["metrics"].get(name) for name in others]
    return {
        "label": picked_of(cell),
        "group": cell["group"],
        "test": formats.metric_value(metric, test and test["value"]),
        "interval": formats.interval(metric, test) if test else "",
        "test_sort": _sort(test),
        "validation": formats.metric_value(metric, validation and validation["value"]),
        "validation_sort": _sort(validation),
        "others": [
            {"text": formats.metric_value(name, one and one["value"]), "sort": _sort(one)}
            for name, one in zip(others, extra)
        ],
        "text": template["jinja"],
        "words": f"answers: {words}" if words else "",
    }


def _value(split: Mapping[str, Any], metric: str, higher: bool) -> float:
    one = split["metrics"].get(metric)
    return float("-inf") if one is None else one["value"] if higher else -one["value"]


def _sort(one: Mapping[str, Any] | None) -> str:
    return "" if one is None or one["value"] is None else repr(one["value"])


def _shown(metric: str, one: Mapping[str, Any] | None) -> str:
    return formats.estimate_text(metric, one) if one else formats.NOTHING
