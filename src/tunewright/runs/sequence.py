"""A sequence: one task tuned after the other, each stage going on from the weights of the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tunewright.console import say
from tunewright.errors import InputError
from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.scoring import Asked, predict_all
from tunewright.files import read_json, write_file, write_folder, write_json
from tunewright.forgetting.battery import Item
from tunewright.forgetting.sequence import sequence_json
from tunewright.methods.base import copy_into, load_safetensors
from tunewright.methods.registry import make_method
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.reports import write_report
from tunewright.runs.battery import subject_in
from tunewright.runs.environment import environment
from tunewright.runs.first_look import first_look
from tunewright.runs.folder import RunFolder
from tunewright.runs.kept import write_kept
from tunewright.runs.memory import check_memory
from tunewright.runs.prepare import Opened, Prepared, asked_rows, open_tasks, prepare
from tunewright.runs.remedies import open_remedies
from tunewright.runs.results import setup_lines
from tunewright.runs.scores import asking_of
from tunewright.runs.tuning import tune

FILE = "sequence.json"
_CARRIED, _ROW, _UNTUNED = "carried.safetensors", "row.json", "untuned.json"


@dataclass(frozen=True)
class SequenceResult:
    """A finished sequence: its folder, and what sequence.json holds."""

    folder: Path
    content: dict[str, Any]


@dataclass(frozen=True)
class _Stage:
    """One task of the sequence. `number` begins at 1."""

    number: int
    recipe: Recipe
    task: Opened
    item: Item
    metric: str
    folder: Path

    @property
    def name(self) -> str:
        return self.task.task.name


def run_sequence(recipe: Recipe, folder: Path, *, resume: bool = False, overwrite: bool = False) -> SequenceResult:
    """Tune the tasks of `recipe.sequence` one after the other; after each stage measure all of them.

    `stages/N-TASK/` holds each stage's `tuned/`, log and `row.json` (written last: the stage is done). A stopped
    sequence goes on, with `resume`, in the stage where it stopped. Raises InputError for what cannot go on from stage
    to stage, or Interrupted after saving.
    """
    stages = _stages(recipe, folder)
    prepared: Prepared | None = _first(stages)
    RunFolder(folder).claim(recipe, resume=resume, overwrite=overwrite)
    if not (folder / "environment.json").is_file():
        write_json(folder / "environment.json", environment(*(stage.task.task for stage in stages)))
    items = [stage.item for stage in stages]
    if not (folder / _UNTUNED).is_file():
        assert prepared is not None
        write_json(folder / _UNTUNED, _measured(prepared, items, "untuned", attached=False))
    carried: Mapping[str, Tensor] = {}
    for stage in stages:
        if (stage.folder / _ROW).is_file():
            say(f"stage {stage.number}, {stage.name}: done already")
            prepared = None
            continue
        say(f"stage {stage.number} of {len(stages)}: {stage.name}")
        if stage.number > 1 and not carried:
            carried = load_safetensors(stages[stage.number - 2].folder / _CARRIED)
        if prepared is None or stage.number > 1:
            prepared = None  # the weights of the stage before make room first
            prepared = _ready(stage)
        carried = _tuned(stage, prepared, carried, items, last=stage is stages[-1])
        for earlier in stages[: stage.number - 1]:
            (earlier.folder / _CARRIED).unlink(missing_ok=True)
    content = _content(stages, folder)
    write_json(folder / FILE, content)
    _report(folder, recipe, content)
    return SequenceResult(folder, content)


def _stages(recipe: Recipe, folder: Path) -> list[_Stage]:
    """The tasks, opened. Raises InputError where a method or template cannot go on from task to task."""
    if isinstance(recipe.model, EndpointBlock):
        raise InputError("sequence: it wants a model that is tuned here, not one behind an API")
    name, method = recipe.method["name"], make_method(recipe.method)
    if method.own_head:
        raise InputError(f"sequence: method {name} has a head for one task alone; use one that answers in words")
    if method.demonstrations() is not None:
        raise InputError(f"sequence: method {name} trains nothing that could go on")
    if recipe.evaluation.battery is not None:
        raise InputError("evaluation.battery: a sequence is measured on its own tasks; list others as `sequence` too")
    found: list[_Stage] = []
    for number, part in enumerate(recipe.apart(), 1):
        [one] = open_tasks(part)
        if one.task.name in {stage.name for stage in found}:
            raise InputError(f"sequence: two tasks are called {one.task.name!r}; give one another name")
        if own := [template.name for template in one.templates if template.slots]:
            raise InputError(
                f"sequence: template {own[0]!r} of {one.task.name} has soft slots of its own, which no other task has; "
                "use a plain template, and a method that adds slots"
            )
        item = Item(one.task, asked_rows(part, one.task), tuple(one.templates), False)
        primary = (part.evaluation.metrics or one.task.metrics)[0]
        metric(primary)
        place = folder / "stages" / f"{number}-{_slug(one.task.name)}"
        found.append(_Stage(number, part, one, item, primary, place))
    return found


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def _first(stages: Sequence[_Stage]) -> Prepared:
    """The first stage made ready, and what it says of the others. Raises InputError for a task it cannot be asked."""
    prepared = _ready(stages[0])
    name = prepared.recipe.method["name"]
    if prepared.method.defaults_for(prepared.family) is None:
        raise InputError(f"sequence: method {name} trains nothing that could go on")
    tunable = prepared.tuner.tunable
    if tunable.wants_states or tunable.carried():
        raise InputError(f"sequence: method {name} cannot go on from another task's weights")
    subject = subject_in(prepared)
    for stage in stages:
        if (why := subject.cannot(stage.item)) is not None:
            raise InputError(f"sequence: task {stage.name}: {why}")
    return prepared


def _ready(stage: _Stage) -> Prepared:
    prepared = prepare(stage.recipe)
    first_look(prepared)
    prepared.remedies = open_remedies(prepared)
    check_memory(prepared)
    return prepared


def _tuned(
    stage: _Stage, prepared: Prepared, carried: Mapping[str, Tensor], items: Sequence[Item], *, last: bool
) -> dict[str, Tensor]:
    """Tune one stage from the weights carried over, measure all tasks; the weights to be carried on."""
    trained = prepared.tuner.tunable.trained()
    if stage.number > 1:
        if carried.keys() != trained.keys():
            other = sorted(carried.keys() ^ trained.keys())[0]
            raise InputError(f"sequence: task {stage.name} trains other weights than the one before ({other})")
        copy_into(trained, carried, f"sequence: task {stage.name}")
    tune(prepared, stage.folder, resume=True, name=f"{prepared.recipe.method['name']} on {stage.name}")
    write_folder(stage.folder / "tuned", lambda inside: write_kept(inside, prepared))
    found = {name: p.detach().cpu().clone().contiguous() for name, p in trained.items()}
    if not last:
        write_file(stage.folder / _CARRIED, lambda path: save_file(found, path, metadata={"format": "pt"}))
    write_json(stage.folder / _ROW, _measured(prepared, items, f"after {stage.name}", attached=True))
    return found


@torch.no_grad()
def _measured(prepared: Prepared, items: Sequence[Item], title: str, *, attached: bool) -> dict[str, Any]:
    """Each task's score with its interval, and its rows' scores, by the task's primary metric."""
    subject, asking = subject_in(prepared), asking_of(prepared.recipe)
    found = {}
    with subject.side(attached=attached):
        asked = [Asked(subject.encoder(item, attached=attached), item.task, asking) for item in items]
        answers = predict_all(subject.tuner, asked, f"all tasks, {title}")
    names = prepared.recipe.evaluation.metrics
    for item, predictions in zip(items, answers):
        primary = metric((names or item.task.metrics)[0])
        found[item.name] = {
            "metric": primary.name,
            "score": primary.interval(predictions).to_json(),
            "ids": [p.id for p in predictions],
            "rows": primary.row_scores(predictions).tolist(),
        }
    return found


def _content(stages: Sequence[_Stage], folder: Path) -> dict[str, Any]:
    names = [stage.name for stage in stages]
    lines = [read_json(folder / _UNTUNED), *(read_json(stage.folder / _ROW) for stage in stages)]
    values = [[Interval(**line[name]["score"]) for name in names] for line in lines]
    rows = [[line[name]["rows"] for name in names] for line in lines]
    return {
        **sequence_json(names, [stage.metric for stage in stages], values, rows),
        "method": stages[0].recipe.method["name"],
        "split": stages[0].recipe.evaluation.split,
        "stages": [str(stage.folder.relative_to(folder)) for stage in stages],
    }


def _report(folder: Path, recipe: Recipe, content: dict[str, Any]) -> None:
    write_report(
        folder / "report.html",
        {
            "title": f"{recipe.method['name']}, one task after the other",
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": f"tunewright tune {folder / 'recipe.yaml'}",
            "setup": setup_lines(recipe, read_json(folder / "environment.json")),
            "notes": [],
            "verdict": [],
            "tasks": [],
            "sequence": content,
        },
    )
