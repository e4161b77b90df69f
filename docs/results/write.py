"""Write a study's results as a page: `python docs/results/write.py STUDY-FOLDER PAGE.md`. Nothing is computed here."""

import json
import sys
from pathlib import Path
from typing import Any

from tunewright.reports import formats


def shown(metric: str, estimate: dict[str, Any]) -> str:
    """A value with its interval, as the report shows it."""
    return formats.estimate_text(metric, estimate)


def page(value: dict[str, Any]) -> str:
    """The Markdown of one results.json."""
    lines = [f"# {value['title']}", "", f"Made {value['made']} by", "", f"    {value['command']}", ""]
    lines += [f"- {key}: {text}" for key, text in value["setup"]]
    lines += ["", *(f"- {sentence}" for sentence in value["verdict"])]
    for task in value["tasks"]:
        metrics = list(next(row["metrics"] for row in task["table"] if row["metrics"]))
        lines += ["", f"## {task['task']}: {task['train_rows']} training rows, {task['test_rows']} test rows", ""]
        lines += ["| method | seeds | " + " | ".join(metrics) + " | trained | to ship | peak memory | training |"]
        lines += ["|---|---|" + "---|" * (len(metrics) + 4)]
        for row in task["table"]:
            cost = row["cost"] or {}
            cells = [row["label"], str(row["seeds"])]
            cells += [shown(metric, row["metrics"][metric]) if metric in row["metrics"] else "–" for metric in metrics]
            cells += [
                formats.count(cost.get("trained_parameters")),
                formats.size(cost.get("artifact_bytes")),
                formats.size(cost.get("peak_memory_bytes")),
                formats.seconds(cost.get("train_seconds")),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    notes = value["notes"]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)]) + "\n"


if __name__ == "__main__":
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.write_text(page(json.loads((folder / "results.json").read_text(encoding="utf-8"))), encoding="utf-8")
