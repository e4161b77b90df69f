"""Write finished comparisons as a page: `python docs/results/sensitivity.py PAGE.md FOLDER…`. Nothing is computed."""

import json
import sys
from pathlib import Path
from typing import Any

from tunewright.reports import formats
from tunewright.reports.sensitivity import effect_sentence, picked_of, seeds_of


def table(value: dict[str, Any]) -> list[str]:
    """A line a group, soft prompts last."""
    metric = value["metric"]
    head = ["asked", "prompts", "mean", "std", "min", "max", "picked on validation", "best by test", "regret"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for group in value["groups"]:
        best, top, interval = group["picked"], group["best_by_test"], group["mean_interval"]
        numbers = [formats.metric_value(metric, group[key]) for key in ("mean", "std", "min", "max")]
        if interval:
            numbers[0] += f" {formats.interval(metric, interval)}"
        cells = [
            group["label"],
            str(group["cells"]),
            *numbers,
            *(f"{picked_of(p)}: {shown(metric, p)}" for p in (best, top)),
        ]
        lines.append("| " + " | ".join([*cells, formats.metric_value(metric, group["regret"])]) + " |")
    if soft := value["soft"]:
        numbers = [formats.metric_value(metric, soft[key]) for key in ("mean", "std", "min", "max")]
        lines.append("| " + " | ".join([soft["label"], seeds_of(soft), *numbers, "–", "–", "–"]) + " |")
    return lines


def shown(metric: str, place: dict[str, Any]) -> str:
    """A picked template's test score with its interval."""
    return formats.estimate_text(metric, place["test"]) if place["test"] else formats.NOTHING


def section(value: dict[str, Any]) -> list[str]:
    """One comparison."""
    rows = value["rows"]
    lines = [f"## {value['task']}, {value['model']}", "", f"Made {value['made']} by", "", f"    {value['command']}", ""]
    lines += [f"- {key}: {text}" for key, text in value["setup"]]
    lines += [f"- left out: {one['template']}: {one['reason']}" for one in value["left_out"]]
    lines += ["", f"{value['metric']} of {len(value['templates'])} templates on {rows['test']} test rows; "
              f"{rows['validation']} validation rows pick:", "", *table(value), ""]  # fmt: skip
    return [*lines, *(f"- {effect_sentence(value['metric'], effect)}" for effect in value["calibration"]), ""]


def page(values: list[dict[str, Any]]) -> str:
    """The Markdown of all comparisons."""
    notes = dict.fromkeys(note for value in values for note in value["notes"])
    lines = ["# Sensitivity to the prompt", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines + [line for value in values for line in section(value)])


if __name__ == "__main__":
    out, *folders = map(Path, sys.argv[1:])
    values = [json.loads((folder / "sensitivity.json").read_text(encoding="utf-8")) for folder in folders]
    out.write_text(page(values), encoding="utf-8")
