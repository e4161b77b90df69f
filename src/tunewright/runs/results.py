"""What a run's folder says, read into the form that reports are made of."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.evaluation.predictions import Prediction, of_task
from tunewright.files import read_json, write_json
from tunewright.recipe import Recipe
from tunewright.reports import data as report
from tunewright.reports.collect import MethodRuns, task_data, verdicts
from tunewright.reports.held_out import held_out_means, held_out_sentences, held_out_task
from tunewright.reports.macro import macro_sentences
from tunewright.runs.folder import RunFolder
from tunewright.runs.held_out import left_out_notes, read_held_out
from tunewright.runs.mixture import FILE as MIXTURE

ZERO_SHOT = "zero-shot"
SEVERAL = (
    "one run tunes all these tasks; its costs are those of the whole run, and its loss is that of batches that mix them"
)


def read_curve(folder: Path, label: str, seed: int, task: str | None = None, *, losses: bool = False) -> report.Curve:
    """The learning curve in metrics.jsonl. Validation's first number is an accuracy (or an F1), or minus a loss.

    `task`: one of several, whose own validation is read; the loss is that of the mixed batches. `losses`: validation
    is the loss even where there is an accuracy.
    """
    curve: report.Curve = {
        "label": label, "seed": seed, "steps": [], "loss": [], "validation_steps": [], "validation": []
    }  # fmt: skip
    for entry in _log(folder):
        if "loss" in entry:
            curve["steps"].append(entry["step"])
            curve["loss"].append(entry["loss"])
        else:
            look = _look(entry, task)
            curve["validation_steps"].append(entry["step"])
            curve["validation"].append(look[0] if len(look) > 1 and not losses else -look[-1])
    return curve


def validation_name(folders: Sequence[Path], metrics: Sequence[str], task: str | None = None) -> str | None:
    """What the curves of these runs say of validation; None where no run has looked at it.

    `loss` where a run had no labels to choose from (the others show their loss beside it then), else `accuracy`, or
    `entity-f1` of words that are labelled.
    """
    looks = [look for folder in folders if (look := _first_look(folder, task))]
    if not looks:
        return None
    return "loss" if any(len(look) == 1 for look in looks) else "entity-f1" if "entity-f1" in metrics else "accuracy"


def _first_look(folder: Path, task: str | None) -> list[float]:
    return next((_look(entry, task) for entry in _log(folder) if "validation" in entry), [])


def _log(folder: Path) -> list[dict[str, Any]]:
    file = folder / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _look(entry: dict[str, Any], task: str | None) -> list[float]:
    look: list[float] = entry["validation"] if task is None or "tasks" not in entry else entry["tasks"][task]
    return look


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


def data_of(environment: dict[str, Any]) -> list[dict[str, Any]]:
    """What environment.json says of the data: an entry a task."""
    found: list[dict[str, Any]] = environment["data"].get("tasks", [environment["data"]])
    return found


def setup_lines(recipe: Recipe, environment: dict[str, Any]) -> list[list[str]]:
    """Model, rows, seeds, hardware and versions, as the report shows them."""
    hardware, versions = environment["hardware"], environment["versions"]
    lines = [["model", recipe.model_name]]
    for part, data in zip(recipe.apart(), data_of(environment)):
        rows = ", ".join(f"{name} {count}" for name, count in data["rows"].items())
        shots = "" if part.shots is None else f"; shots: {part.shots} a class (in all, where there are no classes)"
        template = f"; template: {part.template or 'the default'}"
        lines.append([data["task"], f"version {data['version']}; rows: {rows}{shots}{template}"])
    if recipe.rates is not None:
        lines.append(["rates", ", ".join(f"{rate:g}" for rate in recipe.rates)])
    ways = {key: getattr(recipe.evaluation, key) for key in ("normalisation", "calibration", "ensemble")}
    if said := [f"{key} {value}" for key, value in ways.items() if value != "none"]:
        lines.append(["choices", ", ".join(said)])
    return [
        *lines,
        ["hardware", f"{hardware['name']} ({hardware['device']}, {hardware['threads']} threads)"],
        ["versions", f"tunewright {environment['tunewright']}, "
         + ", ".join(f"{name} {version}" for name, version in versions.items() if version)],
    ]  # fmt: skip


def run_report(place: RunFolder, metrics: dict[str, list[str]], command: str) -> report.ReportData:
    """The report of a single run: zero-shot, the method and the cheap baselines, one seed; a section a task.

    `metrics` are each task's.
    """
    recipe, environment = place.recipe(), place.read("environment")
    data, (cheap, missing) = data_of(environment), read_baselines(place.path)
    before, after = place.predictions("before"), place.predictions("after")
    several, held_out = recipe.several, read_held_out(place.path)
    tasks: list[report.TaskData] = []
    for number, one in enumerate(data):
        name = one["task"]
        entries, curves = _entries(place, recipe, name, of_task(before, name), of_task(after, name), cheap)
        if number:  # the loss is that of batches that mix all tasks: shown once
            for curve in curves:
                curve["steps"], curve["loss"] = [], []
        kind = validation_name([place.path] if curves else [], metrics[name], name if several else None)
        tasks.append(task_data(name, metrics[name], entries, one["rows"]["train"], kind))
        if held_out is not None and (mine := held_out_task(held_out, name, "", metrics[name], entries)) is not None:
            tasks[-1]["held_out"] = mine
    names = recipe.mixture_name or ", ".join(one["task"] for one in data)
    several_notes = [SEVERAL] if len(data) > 1 and recipe.mixture is None else drawn_notes(place)
    notes = [f"{one['task']}: {note}" if several else note for one in data for note in one["notes"]]
    means = held_out_means(tasks)
    together = held_out_sentences(means) if means else macro_sentences(tasks)
    value: report.ReportData = {
        "title": f"{recipe.method['name']} on {names}",
        "made": environment["made"],
        "command": command,
        "setup": setup_lines(recipe, environment),
        "notes": [*several_notes, *left_out_notes(held_out), *notes, *missing],
        "tasks": tasks,
        "verdict": [*together, *(sentence for task in tasks for sentence in verdicts(task))],
    }
    if means:
        value["held_out"] = means
    return value


def drawn_notes(place: RunFolder) -> list[str]:
    """What a mixture gave beside what was asked of it, in words; empty without a mixture."""
    if not (place.path / MIXTURE).is_file():
        return []
    content = read_json(place.path / MIXTURE)

    def said(part: str) -> str:
        return ", ".join(
            f"{name} {100 * one['drawn']:.1f} % ({100 * one['asked']:.1f} %)" for name, one in content[part].items()
        )

    return [
        f"Tuned on a mixture; the tasks here are those it was asked. What was drawn in {content['examples']} examples, "
        f"and in parentheses what the mixture's file asks for: {said('tasks')}.",
        f"Wordings: {said('kinds')}. Forms: {said('forms')}.",
        *content["notes"],
    ]


def _entries(
    place: RunFolder,
    recipe: Recipe,
    task: str,
    before: list[Prediction],
    after: list[Prediction],
    cheap: dict[str, list[Prediction]],
) -> tuple[list[MethodRuns], list[report.Curve]]:
    """The rows of one task's table, and the method's learning curve."""
    name, seed = recipe.method["name"], recipe.training.seed
    entries = [
        MethodRuns(label, label, "baseline", {seed: mine})
        for label, predictions in cheap.items()
        if (mine := of_task(predictions, task))
    ]
    if before:
        label = ZERO_SHOT if name != "head" else "head before tuning"
        entries.append(MethodRuns("none", label, "zero-shot", {seed: before}))
    curves: list[report.Curve] = []
    if name != "none":
        curves = [read_curve(place.path, name, seed, task if recipe.several else None)]
        entries.append(MethodRuns(name, name, "tuned", {seed: after}, [place.read("cost")], curves))
    return entries, curves
