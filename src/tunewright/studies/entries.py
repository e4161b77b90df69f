"""From the trials' folders to the rows of a report's tables."""

import json
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
    """Zero-shot once, from any trial that asked the untuned model; then each method with all its seeds.

    `task`: one of several that the trials tune together. `losses`: see `read_curve`.
    """
    zero = MethodRuns("none", ZERO_SHOT, "zero-shot")
    entries: dict[str, MethodRuns] = {}
    for trial in trials:
        place = RunFolder(folder / trial.folder)
        if place.finished() and trial.method != "head" and not zero.runs:
            zero.runs[trial.seed] = _of(place.predictions("before"), task)
        if trial.method == "none":
            continue
        entry = entries.setdefault(trial.label, MethodRuns(trial.method, trial.label, "tuned"))
        if place.finished():
            entry.runs[trial.seed] = _of(place.predictions("after"), task)
            entry.costs.append(place.read("cost"))
            entry.curves.append(read_curve(place.path, trial.label, trial.seed, task, losses=losses))
        elif line := failure(folder, trial):
            entry.failed.append(line)
    return [*([zero] if zero.runs else []), *entries.values()]
