"""One run: from a recipe to its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.backbones.base import Backbone
from tunewright.console import say
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import metric, score
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asking, predict
from tunewright.files import write_folder, write_json
from tunewright.recipe import Recipe
from tunewright.reports import write_report
from tunewright.runs.baselines import SentenceVectors, cheap_baselines
from tunewright.runs.environment import environment, peak_memory_bytes, reset_peak_memory
from tunewright.runs.first_look import first_look
from tunewright.runs.folder import RunFolder
from tunewright.runs.kept import write_kept
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.results import read_baselines, run_report, write_baselines
from tunewright.runs.tuning import tune
from tunewright.tasks.task import Rows
from tunewright.training.loop import Trained
from tunewright.training.rows import RowEncoder


@dataclass
class RunResult:
    """What a finished run says; the same stands in its folder."""

    folder: Path
    prepared: Prepared
    before: list[Prediction]
    after: list[Prediction]
    before_metrics: dict[str, Interval]
    after_metrics: dict[str, Interval]
    cost: dict[str, Any]
    baselines: dict[str, dict[str, Interval]]


def asking_of(recipe: Recipe) -> Asking:
    """How the recipe wants the model asked."""
    e = recipe.evaluation
    return Asking(e.batch_tokens, e.normalisation, e.max_new_tokens)


def metric_names(prepared: Prepared) -> list[str]:
    """The run's metrics. Raises InputError for one that is not known."""
    names = list(prepared.recipe.evaluation.metrics or prepared.task.metrics)
    for name in names:
        metric(name)
    return names


def run(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    before: list[Prediction] | None = None,
    backbone: Backbone | None = None,
    alone: bool = True,
) -> RunResult:
    """Measure, tune, measure again; everything into `folder`.

    `before`: predictions of the untuned model on the same rows, where a study has them already. `backbone`: an
    untouched backbone, where the caller has loaded it. `alone`: measure the cheap baselines too and write a report
    (a study does both for all its trials). Raises InputError, MachineError, or Interrupted after saving.
    """
    place = RunFolder(folder)
    prepared = prepare(recipe, backbone)  # first: what is wrong with the recipe is said before a folder is made
    names = metric_names(prepared)
    first_look(prepared)
    place.claim(recipe, resume=resume, overwrite=overwrite)
    for note in prepared.task.notes:
        say(f"{prepared.task.name}: {note}")
    if not (folder / "environment.json").is_file():
        write_json(folder / "environment.json", environment(prepared.task))
    rows = prepared.asked_rows()
    asking = asking_of(recipe)
    split = recipe.evaluation.split

    if place.finished():
        say(f"{folder}: finished already")
        if alone and not (folder / "report.html").is_file():  # stopped in its last seconds
            _report(place, prepared, rows, names)
        return _result(place, prepared, place.predictions("before"), place.predictions("after"), names)
    if (folder / "before.json").is_file():
        before = place.predictions("before")
    elif before is None:
        plain = prepared.encoder(rows, attached=False)
        before = predict(prepared.tuner, plain, prepared.task, asking, "before")
        _tell(plain, "before")
    before_metrics = score(before, names)
    place.write_predictions(before, before)
    place.write_scores("before", prepared.task.name, split, len(before), before_metrics)

    reset_peak_memory()
    trained, after = None, before
    if prepared.method.defaults_for(prepared.backbone.family) is not None:
        title = f"{recipe.method['name']} on {prepared.task.name}"
        trained, encoder = tune(prepared, folder, resume=resume, name=title)
        _tell(encoder, "training")
    peak = peak_memory_bytes()
    write_folder(place.tuned, lambda inside: write_kept(inside, prepared))
    if trained is not None:
        attached = prepared.encoder(rows)
        after = predict(prepared.tuner, attached, prepared.task, asking, "after")
        _tell(attached, "after")
    after_metrics = score(after, names)
    cost = _cost(prepared, place, trained, peak, rows)
    place.write_predictions(before, after)
    write_json(folder / "cost.json", cost)
    place.write_scores("after", prepared.task.name, split, len(after), after_metrics)
    if alone:
        _report(place, prepared, rows, names)
    return _result(place, prepared, before, after, names)


def _report(place: RunFolder, prepared: Prepared, rows: Rows, names: list[str]) -> None:
    """Measure the cheap baselines and write report.html."""
    task, folder = prepared.task, place.path
    if prepared.recipe.evaluation.baselines and not (folder / "baselines.json").is_file():
        found, missing = cheap_baselines(task, task.split("train"), rows, fields_shown(prepared), SentenceVectors())
        write_baselines(folder, found, missing)
    write_report(folder / "report.html", run_report(place, names, f"tunewright tune {folder / 'recipe.yaml'}"))


def fields_shown(prepared: Prepared) -> list[str]:
    """The fields that the run's templates show the model, in the task's order."""
    used = set().union(*(template.fields_used() for template in prepared.templates))
    return [name for name in prepared.task.fields if name in used]


def _result(
    place: RunFolder, prepared: Prepared, before: list[Prediction], after: list[Prediction], names: list[str]
) -> RunResult:
    cheap, _ = read_baselines(place.path)
    return RunResult(
        folder=place.path,
        prepared=prepared,
        before=before,
        after=after,
        before_metrics=score(before, names),
        after_metrics=score(after, names),
        cost=place.read("cost"),
        baselines={label: score(predictions, names) for label, predictions in cheap.items()},
    )


def _tell(encoder: RowEncoder, what: str) -> None:
    said = {
        "skipped": "rows were empty and skipped",
        "shortened": "rows were cut to training.max_tokens",
        "no number": "answers held no number and count as 0",
    }
    for key, text in said.items():
        if encoder.counts[key]:
            say(f"{what}: {encoder.counts[key]} of {len(encoder.rows)} {text}")


def _cost(prepared: Prepared, place: RunFolder, trained: Trained | None, peak: int, rows: Rows) -> dict[str, Any]:
    """The content of cost.json."""
    tuner = prepared.tuner
    parameters = {id(p): p.numel() for p in tuner.parameters()}
    first = next((e for e in prepared.encoder(rows.take(range(1))).examples([0], 0, "pool") if e), None)
    added = sum(row >= 0 for view in first.views for row in view.soft) if first else 0
    return {
        "trained_parameters": sum(p.numel() for p in tuner.tunable.trained().values()) if trained else 0,
        "total_parameters": sum(parameters.values()),
        "artifact_bytes": sum(f.stat().st_size for f in place.tuned.rglob("*") if f.is_file()),
        "peak_memory_bytes": peak,
        "train_seconds": trained.seconds + trained.search_seconds if trained else 0.0,  # a search is part of the price
        "examples_per_second": trained.examples / trained.seconds if trained and trained.seconds else None,
        "prompt_tokens_added": added,
    }
