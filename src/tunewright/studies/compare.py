"""compare: all runs of a study, one after the other, and the report that sets them side by side."""

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from tunewright.reports.collect import MethodRuns, gains, task_data, verdicts
from tunewright.reports.forgetting_study import study_sentences
from tunewright.runs.baselines import run_baselines
from tunewright.runs.folder import RunFolder
from tunewright.runs.prepare import open_tasks
from tunewright.runs.results import SEVERAL, data_of, setup_lines, validation_name, write_baselines
from tunewright.runs.run import run
from tunewright.runs.self_training import rounds_in_short
from tunewright.studies.entries import baseline_entries, failure, method_entries
from tunewright.studies.forgetting import study_forgetting
from tunewright.studies.grid import Trial, slug, trials_of
from tunewright.studies.sentences import together
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
    forgetting: list[dict[str, Any]] = field(default_factory=list)  # a table a task, where a battery was measured


def compare(
    path: Path,
    *,
    overrides: list[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    output: Path | None = None,
) -> StudyResult:
    """Run a study's file; finished trials are kept, a failed one is told and does not end the study.

    Writes results.json, results.csv and report.html into the study's folder, anew after each trial.
    Raises InputError for a study that is wrong, or where the folder holds another one.
    """
    study = load_study(path, overrides)
    folder = output or Path(study.output or Path("studies") / path.stem)
    trials = trials_of(study, str(path))
    _claim(folder, study, resume=resume, overwrite=overwrite)
    vectors = SentenceVectors()
    started = time.perf_counter()
    command = f"tunewright compare {path}" + "".join(f" --set {text}" for text in overrides or [])
    for number, trial in enumerate(trials, 1):
        say(f"[{number}/{len(trials)}] {trial.label} on {trial.task}, seed {trial.seed}")
        _run_trial(folder, trial, trials)
        _run_baselines(folder, trial, vectors)
        write_results(folder, study, trials, command)
    say(f"{len(trials)} trials, {time.perf_counter() - started:.0f} s")
    return write_results(folder, study, trials, command)


def _claim(folder: Path, study: Study, *, resume: bool, overwrite: bool) -> None:
    kept = folder / "study.json"
    content = study.model_dump(mode="json", exclude={"output", "title"})
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
    what = [recipe.task, recipe.tasks, recipe.template]
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
    if not trial.recipe.evaluation.baselines or (place / "baselines.json").is_file():
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
    forgetting: list[dict[str, Any]] = []
    for name in dict.fromkeys(trial.task for trial in trials):
        mine = [trial for trial in trials if trial.task == name]
        done = [trial for trial in mine if RunFolder(folder / trial.folder).finished()]
        failed += [f"{trial.label} on {name}: {line}" for trial in mine if (line := failure(folder, trial))]
        if not done:
            continue
        first = RunFolder(folder / done[0].folder)
        environment, after = first.read("environment"), first.read("after")
        for trial in done:
            lines = setup_lines(trial.recipe, RunFolder(folder / trial.folder).read("environment"))
            setup += [line for line in lines if line not in setup]
        if len(data_of(environment)) > 1 and done[0].recipe.mixture is None:
            notes[f"{name}: {SEVERAL}"] = None
        measured: list[tuple[str, list[MethodRuns]]] = []
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
            measured.append((metrics[0], entries))
            table = task_data(shown, metrics, entries, data["rows"]["train"], kind)
            if mine[0].shots is not None:
                cell, size = mine[0].shots
                table["shots_of"] = [cell if task is None else f"{task} ({cell})", size]
            tasks.append(table)
        if (forgot := study_forgetting(folder, name, mine, gains(measured))) is not None:
            forgetting.append(forgot)
    seeds = sorted({trial.seed for trial in trials})
    sizes = dict.fromkeys((trial.shots[0], trial.task) for trial in trials if trial.shots)
    value: report.ReportData = {
        "title": study.title or "Comparison",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "setup": [*setup, ["seeds", ", ".join(map(str, seeds))]],
        "notes": [*together(notes, sizes), *(f"failed: {line}" for line in failed)],
        "tasks": tasks,
        "verdict": [
            *together((sentence for task in tasks for sentence in verdicts(task)), sizes),
            *(sentence for one in forgetting for sentence in study_sentences(one)),
        ],
    }
    if forgetting:
        value["forgetting_tables"] = forgetting
    write_json(folder / "results.json", {**value, "tasks": [_without_texts(task) for task in tasks]})
    write_text(folder / "results.csv", _csv(tasks))
    write_report(folder / "report.html", value)
    tables = [{"task": task["task"], "metric": task["metric"], "rows": task["table"]} for task in tasks]
    return StudyResult(folder, folder / "report.html", tables, value["verdict"], failed, forgetting)


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
