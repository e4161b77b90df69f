"""One run: from a recipe to its folder."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from tunewright.backbones.attention import attention_in_use
from tunewright.backbones.base import Backbone
from tunewright.backbones.vectors import SentenceVectors
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.predictions import Prediction
from tunewright.files import write_folder, write_json
from tunewright.methods.soft.soft import SoftMethod
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.reports import write_report
from tunewright.runs.at_endpoint import AtEndpoint, Ready, reach
from tunewright.runs.baselines import run_baselines
from tunewright.runs.battery import OpenBattery, battery_of, read_battery_json, write_battery
from tunewright.runs.environment import data_of_task, environment, peak_memory_bytes, reset_peak_memory
from tunewright.runs.first_look import asking_purpose, first_look
from tunewright.runs.folder import RunFolder
from tunewright.runs.inside import view_of
from tunewright.runs.kept import write_kept
from tunewright.runs.memory import check_memory
from tunewright.runs.planning import tell_plan
from tunewright.runs.prepare import Prepared, prepare
from tunewright.runs.remedies import open_remedies
from tunewright.runs.results import read_baselines, run_report, write_baselines
from tunewright.runs.scores import TaskScores, ask, asking_for, metric_names, score_tasks, scores_json, tell
from tunewright.runs.self_training import check_self_training, round_notes, tune_in_rounds
from tunewright.runs.tuning import tune
from tunewright.training.batches import Batches
from tunewright.training.loop import Trained


@dataclass
class RunResult:
    """What a finished run says; the same stands in its folder. Scores are by the task's name."""

    folder: Path
    prepared: Ready
    before: list[Prediction]
    after: list[Prediction]
    before_scores: dict[str, TaskScores]
    after_scores: dict[str, TaskScores]
    cost: dict[str, Any]
    baseline_scores: dict[str, dict[str, TaskScores]]  # by the baseline's label

    @property
    def before_metrics(self) -> dict[str, Interval]:
        """Of the only task (of several: the first)."""
        return self.before_scores[self.prepared.task.name].metrics

    @property
    def after_metrics(self) -> dict[str, Interval]:
        """Of the only task (of several: the first)."""
        return self.after_scores[self.prepared.task.name].metrics


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
    # First: what is wrong with the recipe is said before a folder is made.
    prepared = reach(recipe) if isinstance(recipe.model, EndpointBlock) else prepare(recipe, backbone)
    for part in prepared.parts:
        metric_names(part)
    if isinstance(prepared, Prepared):
        first_look(prepared)
        check_self_training(prepared)
        check_memory(prepared)
    else:
        tell_plan(prepared)
    if isinstance(prepared, Prepared):
        prepared.remedies = open_remedies(prepared)
    elif recipe.remedies is not None:
        raise InputError("remedies: they want a model that is tuned here, not one behind an API")
    battery = battery_of(prepared)
    RunFolder(folder).claim(recipe, resume=resume, overwrite=overwrite)
    return carry_out(prepared, folder, resume=resume, before=before, alone=alone, battery=battery)


def carry_out(
    prepared: Ready,
    folder: Path,
    *,
    resume: bool = False,
    before: list[Prediction] | None = None,
    alone: bool = True,
    batches: Batches | None = None,
    battery: OpenBattery | None = None,
) -> RunResult:
    """The same from a prepared recipe on, in a folder that was claimed; `batches` as `tune` takes them."""
    place, recipe = RunFolder(folder), prepared.recipe
    for part in prepared.parts:
        for note in part.task.notes:
            say(f"{part.task.name}: {note}")
    if not (folder / "environment.json").is_file():
        mixture = prepared.mixture if isinstance(prepared, Prepared) else None
        members = {member.task.name: member.task for member in mixture.train.members} if mixture is not None else {}
        for note in mixture.notes if mixture is not None else ():
            say(f"mixture: {note}")
        made = environment(*(part.task for part in prepared.parts))
        if isinstance(prepared, Prepared):
            made["attention"] = attention_in_use(prepared.backbone)
        if members:
            made["mixture"] = [data_of_task(task) for task in members.values()]
        write_json(folder / "environment.json", made)
    split, several = recipe.evaluation.split, bool(prepared.several)

    if place.finished():
        say(f"{folder}: finished already")
        if alone and not (folder / "report.html").is_file():  # stopped in its last seconds
            _report(place, prepared)
        return _result(place, prepared, place.predictions("before"), place.predictions("after"))
    if (folder / "before.json").is_file():
        before = place.predictions("before")
    elif before is None:
        before = _untuned(prepared)
    before_scores = score_tasks(prepared, before)
    place.write_predictions(before, before)
    write_json(folder / "before.json", scores_json(before_scores, split, several=several))
    known = battery.measure(attached=False, title="battery, before") if battery is not None else {}

    if isinstance(prepared, Prepared):
        after, cost = _tuned(prepared, place, before, resume=resume, batches=batches)
    else:
        after = ask(prepared, "after") if prepared.tuned else before
        write_folder(place.tuned, lambda inside: write_kept(inside, prepared))
        cost = _cost_of_asking(prepared, place)
    if battery is not None:
        write_battery(folder, battery.after(known))
    after_scores = score_tasks(prepared, after)
    place.write_predictions(before, after)
    write_json(folder / "cost.json", cost)
    write_json(folder / "after.json", scores_json(after_scores, split, several=several))
    if alone:
        _report(place, prepared)
    return _result(place, prepared, before, after)


def _untuned(prepared: Ready) -> list[Prediction]:
    if not isinstance(prepared, Prepared):
        return ask(prepared, "before" if prepared.tuned else "asking", attached=False)
    with prepared.tuner.tunable.detached():
        return ask(prepared, "before", attached=False)


def _tuned(
    prepared: Prepared, place: RunFolder, before: list[Prediction], *, resume: bool, batches: Batches | None
) -> tuple[list[Prediction], dict[str, Any]]:
    """Tune, keep what is tuned, ask again; the answers and the content of cost.json."""
    folder, recipe = place.path, prepared.recipe
    reset_peak_memory()
    trained, after = None, before
    if prepared.method.defaults_for(prepared.backbone.family) is not None:
        on = recipe.mixture or ", ".join(part.task.name for part in prepared.parts)
        title = f"{recipe.method['name']} on {on}"
        if recipe.self_training is not None:
            trained, encoders = tune_in_rounds(prepared, folder, resume=resume, name=title)
        else:
            trained, encoders = tune(prepared, folder, resume=resume, name=title, batches=batches)
        for part, encoder in zip(prepared.parts, encoders):
            tell(encoder, f"training, {part.task.name}" if prepared.several else "training")
    peak = peak_memory_bytes()
    for part in prepared.parts:
        asking_for(part)  # the weights of an ensemble of templates are kept with what was tuned
    write_folder(place.tuned, lambda inside: write_kept(inside, prepared))
    if trained is not None or prepared.tuner.tunable.already_tuned:
        after = ask(prepared, "after")
    return after, _cost(prepared, place, trained, peak)


def _report(place: RunFolder, prepared: Ready) -> None:
    """Measure the cheap baselines and write report.html."""
    folder = place.path
    if prepared.recipe.evaluation.baselines and not (folder / "baselines.json").is_file():
        write_baselines(folder, *run_baselines(prepared.parts, SentenceVectors(), several=bool(prepared.several)))
    metrics = {part.task.name: metric_names(part) for part in prepared.parts}
    data = run_report(place, metrics, f"tunewright tune {folder / 'recipe.yaml'}")
    data["notes"] += round_notes(folder)
    if isinstance(prepared, Prepared) and isinstance(prepared.method, SoftMethod) and prepared.layout.rows:
        data["prompts"] = [view_of(prepared, prepared.recipe.method["name"])]
    if (known := read_battery_json(folder)) is not None:
        data["forgetting"] = known
    write_report(folder / "report.html", data)


def _result(place: RunFolder, prepared: Ready, before: list[Prediction], after: list[Prediction]) -> RunResult:
    cheap, _ = read_baselines(place.path)
    return RunResult(
        folder=place.path,
        prepared=prepared,
        before=before,
        after=after,
        before_scores=score_tasks(prepared, before),
        after_scores=score_tasks(prepared, after),
        cost=place.read("cost"),
        baseline_scores={label: score_tasks(prepared, predictions, some=True) for label, predictions in cheap.items()},
    )


def _cost(prepared: Prepared, place: RunFolder, trained: Trained | None, peak: int) -> dict[str, Any]:
    """The content of cost.json; of several tasks, the most tokens that one of them adds."""
    tuner = prepared.tuner
    parameters = {id(p): p.numel() for p in tuner.parameters()}
    added = max(map(_added, prepared.parts)) + tuner.tunable.prefix_length
    return {
        "trained_parameters": sum(p.numel() for p in tuner.tunable.trained().values()) if trained else 0,
        "total_parameters": sum(parameters.values()),
        "artifact_bytes": sum(f.stat().st_size for f in place.tuned.rglob("*") if f.is_file()),
        "peak_memory_bytes": peak,
        "train_seconds": trained.seconds + trained.search_seconds if trained else 0.0,  # a search is part of the price
        "examples_per_second": trained.examples / trained.seconds if trained and trained.seconds else None,
        "prompt_tokens_added": added,
    }


def _added(part: Prepared) -> int:
    """The tokens that the method adds to a row: its slots, or the mean of what in-context examples take."""
    if part.demonstrator is None:
        return _slots_in_a_row(part)
    rows, (purpose, room) = part.asked_rows(), asking_purpose(part)
    lengths = []  # [with, without][row]
    for attached in (True, False):
        found = part.encoder(rows, attached=attached).examples(range(len(rows)), 0, purpose, room)
        lengths.append([len(example.views[0].ids) for example in found if example is not None])
    return round(fmean(more - less for more, less in zip(*lengths))) if lengths[0] else 0


def _cost_of_asking(prepared: AtEndpoint, place: RunFolder) -> dict[str, Any]:
    """cost.json of a model behind an API: what only its keeper knows is null; `asked` is what `Endpoint.used` gives."""
    return {
        "trained_parameters": 0,
        "total_parameters": None,
        "artifact_bytes": sum(f.stat().st_size for f in place.tuned.rglob("*") if f.is_file()),
        "peak_memory_bytes": None,
        "train_seconds": 0.0,
        "examples_per_second": None,
        "prompt_tokens_added": None if prepared.tuned else 0,  # examples, in tokens of its own
        "asked": prepared.tuner.used(),
    }


def _slots_in_a_row(part: Prepared) -> int:
    """The soft slots of the first asked row (0 where its template skips it)."""
    rows = part.asked_rows().take(range(1))
    first = part.encoder(rows).examples([0], 0, "pool")[0]
    return sum(row >= 0 for view in first.views for row in view.soft) if first else 0
