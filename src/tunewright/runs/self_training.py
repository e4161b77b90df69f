"""Self-training (Scudder 1965; Yarowsky 1995): rounds of pseudo-labels, whatever the method of tuning is.

Each round labels the unlabelled rows with the model of the round before, keeps the labels it is sure of, as many of
each (rows of a rare label come several times, as in Xie et al. 2020), and tunes anew from the original weights on
labels and pseudo-labels.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.console import progress, say
from tunewright.errors import InputError
from tunewright.files import read_json, write_json, write_jsonl
from tunewright.methods.base import copy_into
from tunewright.recipe import SelfTrainingBlock
from tunewright.runs.prepare import Prepared
from tunewright.runs.probabilities import Probabilities, confident, label_probabilities
from tunewright.runs.tuning import tune
from tunewright.runs.unlabelled import Unlabelled, unlabelled_rows
from tunewright.tasks.task import LabelName, Rows
from tunewright.training.loop import Interrupted, Trained, how_to_go_on
from tunewright.training.rows import RowEncoder

FILE = "self-training.json"


@dataclass(frozen=True)
class Picked:
    """A row (by its place among the unlabelled ones) that got a label, with the label's probability.

    `times`: how often it stands among the training rows.
    """

    row: int
    label: str
    confidence: float
    times: int = 1


def check_self_training(prepared: Prepared) -> None:
    """Raises InputError where the recipe's `self_training` cannot be done."""
    block = prepared.recipe.self_training
    if block is None:
        return
    task = prepared.task
    if task.kind != "classify":
        raise InputError(f"self_training: tasks of kind classify wanted, {task.name} is of kind {task.kind}")
    if prepared.method.defaults_for(prepared.backbone.family) is None:
        raise InputError(f"self_training: method {prepared.recipe.method['name']} trains nothing")
    unlabelled_rows(prepared, block)


def picks(
    labels: Sequence[str],
    probabilities: Sequence[Probabilities | None],
    threshold: float,
    per_class: int | None = None,
    repeats: int = 1,
) -> tuple[list[Picked], list[Picked]]:
    """(All rows whose likeliest label has at least `threshold`, those of them that are kept), in the rows' order.

    Of each label that was found the surest are kept (of equal ones the earlier row): at most `repeats` times as many as
    of the rarest of these labels, and at most `per_class`. A label with fewer rows has them several times, the surest
    once more than the others, so that all labels have equally many.
    """
    sure = [(row, confident(labels, p, threshold)) for row, p in enumerate(probabilities)]
    found = [Picked(row, *label) for row, label in sure if label is not None]
    groups = {label: [one for one in found if one.label == label] for label in labels}
    sizes = [len(group) for group in groups.values() if group]
    if not sizes:
        return found, []
    quota = min(repeats * min(sizes), max(sizes), per_class or max(sizes))
    kept: list[Picked] = []
    for group in filter(None, groups.values()):
        surest = sorted(group, key=lambda one: (-one.confidence, one.row))[:quota]
        whole, more = divmod(quota, len(surest))
        kept += [replace(one, times=whole + (place < more)) for place, one in enumerate(surest)]
    return found, sorted(kept, key=lambda one: one.row)


def with_pseudo_labels(prepared: Prepared, rows: Rows, kept: Sequence[Picked], weight: float) -> Prepared:
    """The same run with pseudo-labelled rows behind its training rows. A field that they lack is None there."""
    task, given = prepared.task, prepared.task.split("train")
    labels = task.labels or ()
    several = [one for one in kept for _ in range(one.times)]
    more = rows.take([one.row for one in several])
    columns = {name: [*cells, *more.columns.get(name, [None] * len(several))] for name, cells in given.columns.items()}
    names = [LabelName(one.label, labels.index(one.label)) for one in several]
    columns[task.target] = [*given.columns[task.target], *names]
    train = Rows(columns, [*given.ids, *more.ids])
    return replace(
        prepared,
        task=replace(task, splits={**task.splits, "train": train}),
        weights=dict.fromkeys(more.ids, weight) if weight != 1 else {},
        template_accuracy=None,
    )


def tune_in_rounds(prepared: Prepared, folder: Path, *, resume: bool, name: str) -> tuple[Trained, list[RowEncoder]]:
    """`tune`, again and again: on the labels alone, then a round at a time. What they say stands in self-training.json.

    A finished round is not done again: its labels stand in `rounds/N/`. The last training is the run's own, in
    `folder`. Times and rows of all of them are in what is returned.
    """
    block = prepared.recipe.self_training
    assert block is not None
    rows = unlabelled_rows(prepared, block)
    trained = prepared.tuner.tunable.trained()
    start = {key: p.detach().clone() for key, p in trained.items()}
    kept: list[Picked] = []
    rounds: list[dict[str, Any]] = []
    for number in range(1, block.rounds + 1):
        place = folder / "rounds" / str(number)
        if not (place / "round.json").is_file():
            part = with_pseudo_labels(prepared, rows.rows, kept, block.weight)
            told = f"{name}, {'labels alone' if number == 1 else f'round {number - 1} of {block.rounds}'}"
            done, _ = tune(part, place, resume=resume, name=told)
            _label(part, rows, block, place, number, done)
            shutil.rmtree(place / "checkpoints", ignore_errors=True)  # the weights are made anew, and may be large
            copy_into(trained, start, "start")
            if done.interrupted:
                raise Interrupted(f"interrupted after round {number}" + how_to_go_on(folder))
        rounds.append(read_json(place / "round.json"))
        kept = _read(place / "pseudo-labels.jsonl", rows.rows)
        say(f"self-training, {round_line(rounds[-1])}")
    part = with_pseudo_labels(prepared, rows.rows, kept, block.weight)
    final, encoders = tune(part, folder, resume=resume, name=f"{name}, round {block.rounds} of {block.rounds}")
    write_json(folder / FILE, {"unlabelled": len(rows.rows), "rounds": rounds})
    return replace(
        final,
        seconds=final.seconds + sum(one["train_seconds"] for one in rounds),
        search_seconds=final.search_seconds + sum(one["label_seconds"] + one["search_seconds"] for one in rounds),
        examples=final.examples + sum(one["examples"] for one in rounds),
    ), encoders


def _label(part: Prepared, rows: Unlabelled, block: SelfTrainingBlock, place: Path, number: int, done: Trained) -> None:
    """Label the rows with the model as it is, and write the round: its pseudo-labels first, then that it is done."""
    labels, started = part.task.labels or (), time.perf_counter()
    with progress(f"pseudo-labels, round {number}", len(rows.rows)) as bar:
        probabilities = list(label_probabilities(part, rows.rows, bar))
    found, kept = picks(labels, probabilities, block.confidence, block.per_class, block.repeats)
    everything, _ = picks(labels, probabilities, 0.0)
    write_jsonl(
        place / "pseudo-labels.jsonl",
        [
            {"id": rows.rows.ids[one.row], "label": one.label, "confidence": one.confidence}
            | ({"times": one.times} if one.times > 1 else {})
            for one in kept
        ],
    )
    shares = {"all": everything, "confident": found, "kept": kept}
    write_json(
        place / "round.json",
        {
            "round": number,
            "unlabelled": len(rows.rows),
            "confident": len(found),
            "kept": {label: sum(one.label == label for one in kept) for label in labels},
            "rows": sum(one.times for one in kept),
            "right": None if rows.truth is None else {key: _right(p, rows.truth) for key, p in shares.items()},
            "train_seconds": done.seconds,
            "search_seconds": done.search_seconds,
            "label_seconds": time.perf_counter() - started,
            "examples": done.examples,
        },
    )


def _right(picked: Sequence[Picked], truth: Sequence[str]) -> float | None:
    """The share of right pseudo-labels; None where there are none."""
    return sum(one.label == truth[one.row] for one in picked) / len(picked) if picked else None


def _read(file: Path, rows: Rows) -> list[Picked]:
    at = {name: i for i, name in enumerate(rows.ids)}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Picked(at[line["id"]], line["label"], line["confidence"], line.get("times", 1)) for line in lines]


def round_line(one: Mapping[str, Any]) -> str:
    """What a round found, in a line."""
    counts, right = one["kept"], one["right"]
    each = ", ".join(f"{label} {n}" for label, n in counts.items())
    line = f"round {one['round']}: of {one['unlabelled']} rows {one['confident']} are sure"
    line += f", {sum(counts.values())} kept ({each})"
    if one.get("rows", 0) > sum(counts.values()):
        line += f", repeated to {one['rows'] // sum(map(bool, counts.values()))} of each"
    if right is None or right["all"] is None:
        return line
    words = {"kept": "those kept", "confident": "the sure ones", "all": "all"}
    shares = [f"{100 * right[key]:.1f} % of {word}" for key, word in words.items() if right[key] is not None]
    return f"{line}; right: {', '.join(shares)}"


def rounds_of(folder: Path) -> list[dict[str, Any]]:
    """What a run's rounds said; none where it has not been trained on pseudo-labels."""
    file = folder / FILE
    found: list[dict[str, Any]] = read_json(file)["rounds"] if file.is_file() else []
    return found


def round_notes(folder: Path) -> list[str]:
    """A run's rounds for its own report, a line each."""
    return [f"self-training, {round_line(one)}" for one in rounds_of(folder)]


def rounds_in_short(folder: Path) -> str | None:
    """All rounds in one line, for a study's report."""
    rounds = rounds_of(folder)
    if not rounds:
        return None
    line = f"pseudo-labels kept in each round: {', '.join(str(sum(one['kept'].values())) for one in rounds)}"
    shares = [one["right"]["kept"] for one in rounds if one["right"] is not None]
    right = ", ".join("–" if share is None else f"{100 * share:.1f}" for share in shares)
    return f"{line}; right, in per cent: {right}" if shares else line
