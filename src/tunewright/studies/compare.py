"""compare: all runs of a study, one after the other, and the report that sets them side by side."""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunewright.backbones.vectors import SentenceVectors
from tunewright.console import say
from tunewright.errors import InputError, TunewrightError
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.predictions import Prediction
from tunewright.files import write_json, write_text
from tunewright.recipe import Recipe, Study, load_study
from tunewright.reports import data as report
from tunewright.reports import write_report
from tunewright.reports.collect import task_data, verdicts
from tunewright.reports.held_out import held_out_means, held_out_sentences, held_out_task
from tunewright.runs.baselines import run_baselines
from tunewright.runs.folder import RunFolder
from tunewright.runs.held_out import left_out_notes, read_held_out, with_asked
from tunewright.runs.prepare import open_tasks
from tunewright.runs.results import SEVERAL, data_of, setup_lines, validation_name, write_baselines
from tunewright.runs.run import run
from tunewright.runs.self_training import rounds_in_short
from tunewright.studies.entries import baseline_entries, failure, method_entries
from tunewright.studies.grid import Trial, slug, trials_of
from tunewright.task_block import TemplateFileBlock
from tunewright.tasks.open import resolve
from tunewright.training.loop import Interrupted


@dataclass
class StudyResult:
    """A finished study. `tables` hold a mapping a task: {"task", "metric", "rows": the report's rows}."""

    folder: Path
    report: Path
    tables: list[dict[str, Any]]
    verdict: list[str]
    failed: list[str] = field(default_factory=list)


def compare(
    path: Path,
    *,
    overrides: list[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    output: Path | None = None,
    part: tuple[int, int] = (1, 1),
) -> StudyResult:
    """Run a study's file; finished trials are kept, a failed one is told and does not end the study.

    `part` (i, n): only trials i, i + n, i + 2n …; several parts may run at the same time in one folder.
    Writes results.json, results.csv and report.html into the study's folder, anew after each trial.
    Raises InputError for a study that is wrong, or where the folder holds another one.
    """
    study = load_study(path, overrides)
    folder = output or Path(study.output or Path("studies") / path.stem)
    trials = _written_out(trials_of(study, str(path)))
    _claim(folder, study, resume=resume, overwrite=overwrite)
    vectors = SentenceVectors()
    started = time.perf_counter()
    command = f"tunewright compare {path}" + "".join(f" --set {text}" for text in overrides or [])
    for number, trial in enumerate(trials, 1):
        if (number - part[0]) % part[1]:
            continue
        say(f"[{number}/{len(trials)}] {trial.label} on {trial.task}, seed {trial.seed}")
        _run_trial(folder, trial, trials)
        _run_baselines(folder, trial, vectors)
        write_results(folder, study, trials, command)
    say(f"{len(trials)} trials, {time.perf_counter() - started:.0f} s")
    return write_results(folder, study, trials, command)


def _claim(folder: Path, study: Study, *, resume: bool, overwrite: bool) -> None:
    kept = folder / "study.json"
    content = study.model_dump(mode="json", exclude={"output", "title", *(() if study.leave_out else ("leave_out",))})
    if folder.exists() and any(folder.iterdir()):
        if not kept.is_file():
            raise InputError(f"{folder}: not a study's folder (no study.json); choose another output")
        if overwrite:
            shutil.rmtree(folder)
        elif not resume:
            raise InputError(f"{folder}: already there; --resume goes on with it, --overwrite starts afresh")
        elif json.loads(kept.read_text(encoding="utf-8")) != content:
            raise InputError(f"{folder}: holds another study; choose another output or --overwrite")
    write_json(kept, content)


def _written_out(trials: list[Trial]) -> list[Trial]:
    """The trials with the tasks of their held-out clusters named; one that cannot be says so when it is run."""
    known: dict[str, Recipe] = {}
    found = []
    for trial in trials:
        key = repr((trial.recipe.mixture, trial.recipe.held_out, trial.recipe.evaluation))
        if key not in known:
            try:
                known[key] = with_asked(trial.recipe)
            except TunewrightError:
                known[key] = trial.recipe
        found.append(replace(trial, recipe=trial.recipe.model_copy(update={"held_out": known[key].held_out})))
    return found


def _run_trial(folder: Path, trial: Trial, trials: list[Trial]) -> None:
    place = folder / trial.folder
    failure = place.with_name(place.name + ".failed.json")
    if RunFolder(place).finished():
        return
    failure.unlink(missing_ok=True)
    try:
        run(trial.recipe, place, resume=True, before=_known_before(folder, trial, trials), alone=False)
    except Interrupted:
        raise
    except TunewrightError as error:
        say(f"failed: {error}")
        write_json(failure, {"error": str(error)})
    except (RuntimeError, ValueError, MemoryError, OSError) as error:
        say(f"failed: {type(error).__name__}: {error}")
        write_json(failure, {"error": f"{type(error).__name__}: {error}"})


def _asked_alike(trial: Trial) -> str:
    """What the untuned model's answers depend on: equal texts, equal answers."""
    recipe = trial.recipe
    what = [recipe.task, recipe.tasks, recipe.template, recipe.asked]
    keys = [recipe.model, *what, recipe.training.max_tokens, recipe.training.precision]
    head = trial.method == "head"
    of_rows = head or recipe.evaluation.ensemble == "weighted"  # training's mean, validation's weights: of each size
    seed = trial.seed if of_rows or _drawn(recipe) else None
    shots = recipe.shots if of_rows else None
    return repr([*keys, recipe.evaluation, trial.label if head else None, seed, shots])


def _drawn(recipe: Recipe) -> bool:
    """Whether the run's seed may decide what is asked: a row draws one of several templates, or `choice` draws words.

    Templates in a file are taken to be several.
    """
    for part in recipe.apart():
        wanted = part.template
        if isinstance(wanted, list | TemplateFileBlock) or str(wanted).endswith((".yaml", ".yml")):
            return True
        if re.search(r"\|\s*choice\b", f"{wanted} {resolve(part.one_task).templates}"):
            return True
    return False


def _known_before(folder: Path, trial: Trial, trials: list[Trial]) -> list[Prediction] | None:
    """The untuned model's predictions, where another trial has asked it just the same."""
    for other in trials:
        if other is not trial and _asked_alike(other) == _asked_alike(trial):
            place = RunFolder(folder / other.folder)
            if place.finished():
                return place.predictions("before")
    return None


def _run_baselines(folder: Path, trial: Trial, vectors: SentenceVectors) -> None:
    """The cheap baselines on this task and draw, once."""
    place = folder / "baselines" / slug(trial.task) / f"seed-{trial.seed}"
    if not trial.recipe.evaluation.baselines or not trial.recipe.apart() or (place / "baselines.json").is_file():
        return
    try:
        opened = open_tasks(trial.recipe)
        write_baselines(place, *run_baselines(opened, vectors, several=trial.recipe.several))
    except TunewrightError as error:
        say(f"baselines on {trial.task}: {error}")


def write_results(folder: Path, study: Study, trials: list[Trial], command: str) -> StudyResult:
    """results.json, results.csv and report.html from what the trials' folders hold so far."""
    tasks: list[report.TaskData] = []
    notes: dict[str, None] = {}
    setup: list[list[str]] = []
    failed: list[str] = []
    for name in dict.fromkeys(trial.task for trial in trials):
        mine = [trial for trial in trials if trial.task == name]
        done = [trial for trial in mine if RunFolder(folder / trial.folder).finished()]
        failed += [f"{trial.label} on {name}: {line}" for trial in mine if (line := failure(folder, trial))]
        if not done:
            continue
        first = RunFolder(folder / done[0].folder)
        environment, after = first.read("environment"), first.read("after")
        setup += [line for line in setup_lines(first.recipe(), environment) if line not in setup]
        held_out = read_held_out(first.path)
        notes |= dict.fromkeys(f"{name}: {note}" for note in left_out_notes(held_out))
        if len(data_of(environment)) > 1 and done[0].recipe.mixture is None:
            notes[f"{name}: {SEVERAL}"] = None
        for data in data_of(environment):  # one, or those of a cell of several tasks
            task = data["task"] if done[0].recipe.several else None
            shown = name if task is None else f"{task} ({name})"
            metrics = list(done[0].recipe.evaluation.metrics or (after["tasks"][task] if task else after)["metrics"])
            kind = validation_name([folder / trial.folder for trial in done], metrics, task)
            entries = baseline_entries(folder, mine, notes, task)
            entries += method_entries(folder, mine, task, losses=kind == "loss")
            notes |= dict.fromkeys(f"{shown}: {note}" for note in data["notes"])
            for trial in done:
                if line := rounds_in_short(folder / trial.folder):
                    notes[f"{trial.label} on {shown}, seed {trial.seed}: {line}"] = None
            table = task_data(shown, metrics, entries, data["rows"]["train"], kind)
            cell = name if done[0].left_out is None else f"{done[0].left_out}, each cluster left out in turn"
            kept_out = held_out_task(held_out, task, cell, metrics, entries) if held_out and task else None
            if kept_out is not None:
                table["held_out"] = kept_out
            if mine[0].shots is not None:
                cell, size = mine[0].shots
                table["shots_of"] = [cell if task is None else f"{task} ({cell})", size]
            tasks.append(table)
    seeds = sorted({trial.seed for trial in trials})
    value: report.ReportData = {
        "title": study.title or "Comparison",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "setup": [*setup, ["seeds", ", ".join(map(str, seeds))]],
        "notes": [*notes, *(f"failed: {line}" for line in failed)],
        "tasks": tasks,
        "verdict": [sentence for task in tasks for sentence in verdicts(task)],
    }
    if means := held_out_means(tasks):
        value |= {"held_out": means, "verdict": [*held_out_sentences(means), *value["verdict"]]}
    write_json(folder / "results.json", {**value, "tasks": [_without_texts(task) for task in tasks]})
    write_text(folder / "results.csv", _csv(tasks))
    write_report(folder / "report.html", value)
    tables = [{"task": task["task"], "metric": task["metric"], "rows": task["table"]} for task in tasks]
    return StudyResult(folder, folder / "report.html", tables, value["verdict"], failed)


def _without_texts(task: report.TaskData) -> Mapping[str, Any]:
    """A task's data without the examples' texts, which stand in the trials' predictions."""
    return {key: value for key, value in task.items() if key != "examples"}


def _csv(tasks: list[report.TaskData]) -> str:
    """One line a task, method and metric."""
    out = io.StringIO()
    costs = list(report.Cost.__annotations__)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["task", "method", "kind", "seeds", "metric", "higher_is_better", "value", "low", "high", *costs])
    for task in tasks:
        for row in task["table"]:
            for name, estimate in row["metrics"].items():
                cost: Mapping[str, Any] = row["cost"] or {}
                writer.writerow(
                    [
                        task["task"], row["label"], row["kind"], row["seeds"], name, metric(name).higher_is_better,
                        estimate["value"], estimate["low"], estimate["high"], *(cost.get(key) for key in costs),
                    ]
                )  # fmt: skip
    return out.getvalue()
