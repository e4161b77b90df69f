"""What a run's folder says, read into the form that reports are made of."""

import json
from pathlib import Path
from typing import Any

from tunewright.evaluation.predictions import Prediction
from tunewright.files import read_json, write_json
from tunewright.recipe import Recipe
from tunewright.reports import data as report
from tunewright.reports.collect import MethodRuns, task_data, verdicts
from tunewright.runs.folder import RunFolder

ZERO_SHOT = "zero-shot"


def read_curve(folder: Path, label: str, seed: int) -> report.Curve:
    """The learning curve in metrics.jsonl. Validation's first number is an accuracy, or minus a loss."""
    curve: report.Curve = {
        "label": label, "seed": seed, "steps": [], "loss": [], "validation_steps": [], "validation": []
    }  # fmt: skip
    file = folder / "metrics.jsonl"
    if not file.is_file():
        return curve
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "loss" in entry:
            curve["steps"].append(entry["step"])
            curve["loss"].append(entry["loss"])
        else:
            look = entry["validation"]
            curve["validation_steps"].append(entry["step"])
            curve["validation"].append(look[0] if len(look) > 1 else -look[0])
    return curve


def validation_name(curves: list[report.Curve], folder: Path) -> str | None:
    """`loss` where validation had no labels to choose from, `accuracy` where it had."""
    file = folder / "metrics.jsonl"
    if not curves or not file.is_file():
        return None
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "validation" in entry:
            return "accuracy" if len(entry["validation"]) > 1 else "loss"
    return None


def write_baselines(folder: Path, found: dict[str, list[Prediction]], missing: list[str]) -> None:
    """`baselines.json`: each cheap baseline's predictions, and what could not be measured."""
    values = {label: [p.to_json() for p in predictions] for label, predictions in found.items()}
    write_json(folder / "baselines.json", {"predictions": values, "missing": missing})


def read_baselines(folder: Path) -> tuple[dict[str, list[Prediction]], list[str]]:
    """The inverse; nothing where the file is not there."""
    file = folder / "baselines.json"
    if not file.is_file():
        return {}, []
    value = read_json(file)
    found = {label: [Prediction.from_json(line) for line in lines] for label, lines in value["predictions"].items()}
    return found, value["missing"]


def setup_lines(recipe: Recipe, environment: dict[str, Any]) -> list[list[str]]:
    """Model, rows, seeds, hardware and versions, as the report shows them."""
    hardware, versions = environment["hardware"], environment["versions"]
    data = environment["data"]
    rows = ", ".join(f"{name} {count}" for name, count in data["rows"].items())
    shots = "" if recipe.shots is None else f"; shots: {recipe.shots} a class (in all, where there are no classes)"
    template = f"; template: {recipe.template or 'the default'}"
    return [
        ["model", recipe.model],
        [data["task"], f"version {data['version']}; rows: {rows}{shots}{template}"],
        ["hardware", f"{hardware['name']} ({hardware['device']}, {hardware['threads']} threads)"],
        ["versions", f"tunewright {environment['tunewright']}, "
         + ", ".join(f"{name} {version}" for name, version in versions.items() if version)],
    ]  # fmt: skip


def run_report(place: RunFolder, metrics: list[str], command: str) -> report.ReportData:
    """The report of a single run: zero-shot, the method and the cheap baselines, one seed."""
    recipe, environment = place.recipe(), place.read("environment")
    name, seed = recipe.method["name"], recipe.training.seed
    found, missing = read_baselines(place.path)
    entries = [MethodRuns(label, label, "baseline", {seed: predictions}) for label, predictions in found.items()]
    before = place.predictions("before")
    if before:
        label = ZERO_SHOT if name != "head" else "head before tuning"
        entries.append(MethodRuns("none", label, "zero-shot", {seed: before}))
    curves: list[report.Curve] = []
    if name != "none":
        curves = [read_curve(place.path, name, seed)]
        after = place.predictions("after")
        entries.append(MethodRuns(name, name, "tuned", {seed: after}, [place.read("cost")], curves))
    train_rows = environment["data"]["rows"]["train"]
    task = task_data(environment["data"]["task"], metrics, entries, train_rows, validation_name(curves, place.path))
    return {
        "title": f"{name} on {task['task']}",
        "made": environment["made"],
        "command": command,
        "setup": setup_lines(recipe, environment),
        "notes": [*environment["data"]["notes"], *missing],
        "tasks": [task],
        "verdict": verdicts(task),
    }
