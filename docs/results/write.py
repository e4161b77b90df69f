"""Write a study's results as a page: `python docs/results/write.py STUDY-FOLDER PAGE.md`. Nothing is computed here."""

import json
import sys
from pathlib import Path
from typing import Any

from tunewright.reports import formats

MOST_PAIRS = 45  # of ten methods; more are no table to read


def shown(metric: str, estimate: dict[str, Any] | None, *, signed: bool = False) -> str:
    """A value with its interval, as the report shows it."""
    return formats.estimate_text(metric, estimate, signed) if estimate else formats.NOTHING


def table(task: dict[str, Any]) -> list[str]:
    """Quality, gain over zero-shot, spread over seeds and cost, a line a method."""
    primary = task["metric"]
    metrics = list(next(row["metrics"] for row in task["table"] if row["metrics"]))
    head = ["method", "seeds", *metrics, "against zero-shot", "spread over seeds",
            "trained", "to ship", "peak memory", "training"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in task["table"]:
        cost = row["cost"] or {}
        cells = [row["label"], str(row["seeds"])]
        cells += [shown(metric, row["metrics"].get(metric)) for metric in metrics]
        cells += [
            shown(primary, row["difference"], signed=True),
            formats.metric_value(primary, row.get("spread")),
            formats.count(cost.get("trained_parameters")),
            formats.size(cost.get("artifact_bytes")),
            formats.size(cost.get("peak_memory_bytes")),
            formats.seconds(cost.get("train_seconds")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def against(task: dict[str, Any]) -> list[str]:
    """Tuned methods against each other, paired by row and seed; of many pairs those that can be told apart."""
    tuned = {row["label"] for row in task["table"] if row["kind"] == "tuned"}
    words = {"a better": "the first is better", "b better": "the second is better"}
    pairs = [pair for pair in task["pairs"] if pair["b"] in tuned]
    if not pairs:
        return []
    shown_pairs = pairs if len(pairs) <= MOST_PAIRS else [pair for pair in pairs if pair["verdict"] in words]
    lines = ["", f"First minus second in {task['metric']} (p adjusted by Holm over all comparisons of the task):", ""]
    if len(pairs) > MOST_PAIRS:
        lines[1] = f"Of {len(pairs)} pairs {len(shown_pairs)} can be told apart. {lines[1]}"
    if shown_pairs:
        lines += ["| first | second | difference | | verdict |", "|---|---|---|---|---|"]
    return lines + [
        f"| {pair['a']} | {pair['b']} | {shown(pair['metric'], pair, signed=True)} | "
        f"{formats.p_value(pair['p_holm'])} | {words.get(pair['verdict'], 'can not be told')} |"
        for pair in shown_pairs
    ]


def page(value: dict[str, Any]) -> str:
    """The Markdown of one results.json."""
    lines = [f"# {value['title']}", "", f"Made {value['made']} by", "", f"    {value['command']}", ""]
    lines += [f"- {key}: {text}" for key, text in value["setup"]]
    lines += ["", *(f"- {sentence}" for sentence in value["verdict"])]
    for task in value["tasks"]:
        lines += ["", f"## {task['task']}: {task['train_rows']} training rows, {task['test_rows']} test rows", ""]
        lines += [*table(task), *against(task)]
    notes = value["notes"]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.write_text(page(json.loads((folder / "results.json").read_text(encoding="utf-8"))), encoding="utf-8")
