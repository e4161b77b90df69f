"""A run's mixture: opened for its model, encoded for its method, reported when the run is done."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import write_json
from tunewright.methods.base import Method
from tunewright.mixtures.block import read_mixture
from tunewright.mixtures.held_out import LeftOut, held_out
from tunewright.mixtures.members import Members, open_members
from tunewright.mixtures.report import mixture_json
from tunewright.mixtures.stream import Mixture
from tunewright.mixtures.wordings import Reader
from tunewright.objectives.losses import answer_loss
from tunewright.prompts.segments import Prompt
from tunewright.recipe import Recipe
from tunewright.tasks.open import open_task, resolve
from tunewright.tasks.task import Task
from tunewright.training.batches import cut
from tunewright.training.loop import Validate
from tunewright.training.mixture_rows import MixtureRows
from tunewright.training.tuner import Tuner

if TYPE_CHECKING:
    from tunewright.runs.prepare import Prepared

FILE = "mixture.json"
_FIRST_LOOK, _LOOKED_AT = 64, 200


class RunMixture:
    """The open members, and the streams over their training and validation rows. `left_out`: what is held out."""

    def __init__(self, found: Members, seed: int, left_out: Sequence[LeftOut] = ()) -> None:
        """Raises InputError for a member that no example of an epoch falls to."""
        self.notes, self.left_out = found.notes, list(left_out)
        self.train = Mixture(found.members, found.epoch, seed)
        self.validation = Mixture([member.on("validation") for member in found.members], found.epoch, seed)


def open_mixture(recipe: Recipe, backbone: Backbone | None) -> RunMixture | None:
    """The recipe's mixture, None where it has none; `backbone`: what reads it (None: anything that can chat)."""
    if recipe.mixture is None:
        return None
    reader = Reader()
    if backbone is not None:
        reader = Reader(bool(backbone.tokenizer.chat_template), answer_last=backbone.family == "causal")
    block, seed = read_mixture(recipe.mixture), recipe.training.seed
    if recipe.held_out is None:
        return RunMixture(open_members(block, reader), seed)
    kept_out = held_out(recipe.held_out.clusters, [one.task for one in recipe.held_out.asked])
    found = open_members(kept_out.without(block), reader, kept_out.open_task)
    return RunMixture(found, seed, kept_out.left_out)


def check_mixture(recipe: Recipe, method: Method) -> None:
    """Raise InputError for a method that cannot be tuned on a mixture."""
    name = recipe.method["name"]
    if method.own_head or name == "multitask-prompt-tuning":
        why = "answers one task" if method.own_head else "has a prompt a task"
        raise InputError(f"method {name}: it {why}; a mixture is tuned with one that answers any task in words")


def open_asked(recipe: Recipe) -> Task:
    """A task to be asked by a model that is tuned on a mixture; one for evaluation only will do.

    Raises InputError where it has no rows of `evaluation.split`.
    """
    only = resolve(recipe.one_task).evaluation_only
    task = open_task(recipe.one_task, seed=recipe.training.seed, partial=only)
    if not len(task.split(recipe.evaluation.split)):
        raise InputError(f"evaluation.tasks: {task.name} has no rows of {recipe.evaluation.split} (evaluation.split)")
    if (count := recipe.exemplars) > len(task.split("train")):
        raise InputError(
            f"exemplars: {count} wanted, task {task.name} has {len(task.split('train'))} training rows to show; "
            f"{{task: {task.name}, exemplars: [0]}} asks it without"
        )
    return replace(task, name=f"{task.name}, {count} exemplar{'s' * (count > 1)}") if count else task


def mixture_rows(prepared: "Prepared", *, validation: bool = False) -> MixtureRows:
    """The mixture as the model reads it, with the method's slots."""
    found = prepared.mixture
    assert found is not None
    return MixtureRows(
        found.validation if validation else found.train,
        prepared.backbone,
        prepared.layout,
        prepared.max_tokens(),
        prepared.own_slots,
    )


def look_at_mixture(prepared: "Prepared") -> None:
    """Encode the first examples. Raises InputError where none fits, or naming the member for what cannot be asked."""
    rows = mixture_rows(prepared)
    if not any(rows.examples(range(min(_FIRST_LOOK, len(rows))), 0, "answer")):
        raise InputError(
            f"mixture: of the first {rows.counts['read']} examples {rows.counts['too long']} have an answer or a "
            f"template longer than training.max_tokens ({rows.max_tokens}) and the others are empty; raise it"
        )
    mixture_rows(prepared, validation=True).examples(range(3), 0, "answer")


def longest_example(prepared: "Prepared") -> Example:
    """The longest of the first 200 examples, in tokens. Raises InputError where all are skipped."""
    rows = mixture_rows(prepared)
    found = [e for e in rows.examples(range(_LOOKED_AT), 0, "answer") if e is not None]
    if not found:
        raise InputError("mixture: every one of the first examples was skipped by its template")
    return max(found, key=lambda example: sum(view.tokens for view in example.views))


def validate_on_mixture(prepared: "Prepared") -> Validate:
    """A look at validation: [−loss] over the mixture's own examples, made of validation rows (exemplars of training
    rows): tasks that are held out have no part in what is kept.
    """
    rows = mixture_rows(prepared, validation=True)
    count = prepared.recipe.evaluation.validation_rows or _LOOKED_AT
    kept: list[Example] = []

    @torch.no_grad()
    def validate(tuner: Tuner) -> list[float]:
        tuner.eval()
        if not kept:
            found = [e for e in rows.examples(range(count), 0, "answer") if e is not None]
            kept.extend(sorted(found, key=lambda e: -e.tokens))
        loss = asked = 0.0
        for part in cut(kept, None, prepared.recipe.evaluation.batch_tokens):
            batch = tuner.backbone.collate(part)
            loss, asked = loss + float(answer_loss(tuner(batch))), asked + batch.asked
        if not asked:
            raise InputError("mixture: no validation example is left after the empty ones were skipped")
        return [-loss / asked]

    return validate


def tell_mixture(rows: MixtureRows) -> None:
    """Say what became of the examples on their way to the model."""
    counts = rows.counts
    said = {
        "skipped": "were empty and skipped",
        "too long": "have an answer longer than training.max_tokens and were left out",
        "shortened": "were cut to training.max_tokens",
    }
    for key, text in said.items():
        if counts[key]:
            say(f"training: {counts[key]} of {counts['read']} examples {text}")
    if counts["dropped"]:
        given = counts["dropped"] + counts["stand"]
        say(
            f"training: {counts['dropped']} of {given} exemplars and earlier turns did not fit and were left out, in "
            f"{counts['short of']} of {counts['read']} examples"
        )


def write_drawn(prepared: "Prepared", folder: Path) -> dict[str, Any]:
    """Write mixture.json: exactly what the steps in metrics.jsonl were made of, beside what was asked."""
    found = prepared.mixture
    assert found is not None
    numbers: list[int] = []
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        numbers += json.loads(line).get("drawn", [])
    content = mixture_json(found.train, found.train.draws(np.array(numbers, np.int64)), found.notes)
    write_json(folder / FILE, content)
    return content


def samples(prepared: "RunMixture", most: int = 2000) -> list[tuple[str, str, str, Prompt]]:
    """(row, template, kind and form, prompt): the first example of each kind of wording in each form."""
    from tunewright.mixtures.report import form

    mixture, seen = prepared.train, set[str]()
    draws = mixture.draws(np.arange(min(most, len(mixture))))
    names: Sequence[str] = mixture.names(draws)
    found = []
    for i in range(len(draws)):
        wording = mixture.members[draws.member[i]].wordings[draws.wording[i]]
        what = f"{wording.kind}, {form(bool(draws.shots[i]), bool(draws.options[i]))}"
        if what in seen:
            continue
        prompt = mixture.prompts(mixture.draws(draws.number[i : i + 1]))[0]
        if prompt is not None:
            seen.add(what)
            found.append((names[i], wording.template.name, what, prompt))
    return found
