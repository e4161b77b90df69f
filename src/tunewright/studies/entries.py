"""From the trials' folders to the rows of a report's tables."""

import json
import re
from pathlib import Path

from tunewright.evaluation.predictions import Prediction, of_task
from tunewright.reports.collect import MethodRuns
from tunewright.runs.folder import RunFolder
from tunewright.runs.results import ZERO_SHOT, read_baselines, read_curve
from tunewright.studies.grid import Trial, slug


def failure(folder: Path, trial: Trial) -> str | None:
    """What a failed trial says."""
    place = folder / trial.folder
    file = place.with_name(place.name + ".failed.json")
    if RunFolder(place).finished() or not file.is_file():
        return None
    return f"seed {trial.seed}: {json.loads(file.read_text(encoding='utf-8'))['error']}"


def baseline_entries(folder: Path, trials: list[Trial], notes: dict[str, None], task: str | None) -> list[MethodRuns]:
    """The cheap baselines with all draws; what could not be measured goes into `notes`. `task`: see below."""
    entries: dict[str, MethodRuns] = {}
    for seed in dict.fromkeys(trial.seed for trial in trials):
        found, missing = read_baselines(folder / "baselines" / slug(trials[0].task) / f"seed-{seed}")
        notes |= dict.fromkeys(missing)
        for label, predictions in found.items():
            if mine := _of(predictions, task):
                entries.setdefault(label, MethodRuns(label, label, "baseline")).runs[seed] = mine
    return list(entries.values())


def _of(predictions: list[Prediction], task: str | None) -> list[Prediction]:
    """One task's; those of a run of one task as they are."""
    return predictions if task is None else of_task(predictions, task)


def method_entries(folder: Path, trials: list[Trial], task: str | None, *, losses: bool) -> list[MethodRuns]:
    """Zero-shot once for each model and template, from any trial that asked it untuned; then each method.

    A method stands against the zero-shot of its own model and template. `task`: one of several that the trials tune
    together. `losses`: see `read_curve`.
    """
    starts = _starts(trials)
    zeros: dict[str, MethodRuns] = {}
    entries: dict[str, MethodRuns] = {}
    for trial in trials:
        place, start = RunFolder(folder / trial.folder), starts[_start(trial)]
        if place.finished() and trial.method != "head" and start not in zeros:
            found = {trial.seed: _of(place.predictions("before"), task)}
            zeros[start] = MethodRuns("none", start, "zero-shot", found)
        if trial.method == "none":
            continue
        entry = entries.setdefault(trial.label, MethodRuns(trial.method, trial.label, "tuned", start=start))
        if place.finished():
            entry.runs[trial.seed] = _of(place.predictions("after"), task)
            entry.costs.append(place.read("cost"))
            entry.curves.append(read_curve(place.path, trial.label, trial.seed, task, losses=losses))
        elif line := failure(folder, trial):
            entry.failed.append(line)
    return [*zeros.values(), *entries.values()]


def _start(trial: Trial) -> tuple[str, str]:
    """What the untuned model is asked with: the model, and a key of the templates (a head reads none)."""
    parts = trial.recipe.apart()
    template = "" if trial.method == "head" else repr([part.template for part in parts])
    return trial.recipe.model_name, template


def _starts(trials: list[Trial]) -> dict[tuple[str, str], str]:
    """A label for each start: `zero-shot`, with the model and the template where there are several of them."""
    asked = dict.fromkeys(_start(trial) for trial in trials if trial.method != "head")
    models = list(dict.fromkeys(model for model, _ in asked))
    labels: dict[tuple[str, str], str] = {}
    for model in models:
        mine = [start for start in asked if start[0] == model]
        for number, start in enumerate(mine, 1):
            label = ZERO_SHOT if len(models) == 1 else f"{ZERO_SHOT}, {_short(model)}"
            if len(mine) > 1:
                label += f", {_name(start[1]) or f'template {number}'}"
            labels[start] = label
    for trial in trials:  # a head is set against its model, however that was asked first
        if trial.method == "head":
            first = next((start for start in asked if start[0] == trial.recipe.model_name), None)
            labels[_start(trial)] = labels[first] if first else f"{ZERO_SHOT}, {_short(trial.recipe.model_name)}"
    return labels


def _short(model: str) -> str:
    """A folder's or hub id's last part."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def _name(key: str) -> str | None:
    """A template's name as a label; None for texts and lists."""
    match = re.fullmatch(r"\['([\w-]{1,30})'\]", key)
    return match[1] if match else "default template" if key == "[None]" else None
