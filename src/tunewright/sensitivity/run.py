"""`tunewright sensitivity`: from its file to a folder with all cells, their summary and a report."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.console import say
from tunewright.evaluation.metrics import metric
from tunewright.files import write_json
from tunewright.reports.sensitivity import write_sensitivity_report
from tunewright.runs.environment import environment
from tunewright.runs.folder import RunFolder
from tunewright.runs.results import setup_lines
from tunewright.search.journal import Journal
from tunewright.sensitivity.cells import score_cells, ways
from tunewright.sensitivity.plan import Plan, make_plan
from tunewright.sensitivity.recipe import Sensitivity
from tunewright.sensitivity.soft import soft_prompts
from tunewright.sensitivity.summary import Scored, effects, group_summary, row_table, scored
from tunewright.training.loop import Interrupted

NOTES = (
    "Each template is scored on the same rows. What is picked is picked on validation rows; the best by test is "
    "hindsight, which nobody has, and its score is flattered.",
)


@dataclass(frozen=True)
class Compared:
    """A finished comparison; `value` is the content of sensitivity.json."""

    folder: Path
    value: dict[str, Any]

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / "report.html"


def compare_templates(
    wanted: Sensitivity,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    backbone: Backbone | None = None,
    command: str = "",
) -> Compared:
    """Score every template in every way on the same rows, and soft prompts if the file asks for them.

    Writes cells.jsonl (as they come), sensitivity.json and report.html. Raises InputError, MachineError, or
    Interrupted (what was scored is kept).
    """
    plan = make_plan(wanted, backbone)
    RunFolder(folder).claim(wanted, resume=resume, overwrite=overwrite)
    task = plan.prepared.task
    for note in task.notes:
        say(f"{task.name}: {note}")
    for name, reason in plan.left_out:
        say(f"left out: {name}: {reason}")
    for note in plan.notes:
        say(note)
    if not (folder / "environment.json").is_file():
        write_json(folder / "environment.json", environment(task))
    journal = Journal(folder / "cells.jsonl")
    try:
        cells = score_cells(plan, journal)
        soft = soft_prompts(plan, folder)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {len(journal.lines)} scores are kept, --resume goes on: {folder}") from None
    value = results(plan, scored(cells, plan.rows, task.target, plan.metrics), soft)
    machine = RunFolder(folder).read("environment")
    value["setup"] = [["rows compared", f"{value['rows']['test']} test, {value['rows']['validation']} validation"]]
    asked = plan.prepared.recipe.model_copy(update={"template": ", ".join(one.name for one in plan.templates)})
    value["setup"] += [line for line in setup_lines(asked, machine) if line[0] != "choices"]
    value |= {"made": datetime.now(UTC).isoformat(timespec="seconds"), "command": command}
    write_json(folder / "sensitivity.json", value)
    write_sensitivity_report(folder / "report.html", value)
    return Compared(folder, value)


def results(plan: Plan, found: list[Scored], soft: dict[str, Any] | None) -> dict[str, Any]:
    """The content of sensitivity.json, without where and how it was made."""
    task, measure = plan.prepared.task, metric(plan.metrics[0])
    rows = plan.rows["test"]
    groups = []
    for way in ways(plan):
        mine = [one for one in found if one.cell.way == way]
        table = row_table([one.cell for one in mine], rows, task.target, measure)
        groups.append(group_summary(way, mine, table, measure))
    blocks = {one.name: one.block().model_dump(exclude_defaults=True) for one in plan.templates}
    return {
        "model": plan.prepared.recipe.model_name,
        "task": task.name,
        "metric": measure.name,
        "higher_is_better": measure.higher_is_better,
        "rows": {split: len(mine) for split, mine in plan.rows.items()},
        "groups": groups,
        "calibration": effects([one.cell for one in found], rows, task.target, measure),
        "soft": soft,
        "templates": blocks,
        "left_out": [{"template": name, "reason": reason} for name, reason in plan.left_out],
        "notes": [*NOTES, *plan.notes, *task.notes],
        "cells": [_line(one) for one in found],
    }


def _line(one: Scored) -> dict[str, Any]:
    values: dict[str, Any] = {
        split: {"n": one.n[split], "metrics": {name: v.to_json() for name, v in mine.items()}}
        for split, mine in one.metrics.items()
    }
    return {"template": one.cell.template, "order": one.cell.order, "group": one.cell.way.label, **values}
