"""What `tunewright check` finds out: the recipe, every row in every template, then the model's view of some rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tunewright.backbones.load import load_backbone
from tunewright.cli.checking_mixture import check_mixture_recipe
from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.evaluation.metrics import metric
from tunewright.methods.base import Method
from tunewright.methods.registry import make_method
from tunewright.mixtures.rates import shares
from tunewright.prompts.demonstrations import PoolRow
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.recipe import Recipe
from tunewright.runs.at_endpoint import Ready, assemble_at
from tunewright.runs.constant import constant_encoder, constant_part
from tunewright.runs.demonstrations import pool_of
from tunewright.runs.first_look import asking_purpose, first_look, training_purpose
from tunewright.runs.memory import facts as memory_facts
from tunewright.runs.planning import planned
from tunewright.runs.prepare import Opened, Prepared, assemble_all, open_tasks, sample
from tunewright.runs.scores import left_out
from tunewright.runs.several_templates import check_evaluation
from tunewright.seeds import seed_of
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.task import Rows, Task

MEASURED_ROWS = 500
_RENDERED_AT_ONCE = 10_000


@dataclass
class Checked:
    """`facts` are plain values for machines; `shown` are (row's name, template's name, prompt)."""

    facts: dict[str, Any]
    shown: list[tuple[str, str, Prompt]] = field(default_factory=list)


def check_recipe(recipe: Recipe, rows: int, with_model: bool) -> Checked:
    """Check a recipe as far as it goes without training. Raises InputError for the first thing that is wrong.

    With several tasks the facts of each stand under `tasks`, with the share of the training rows that are its; with a
    mixture those of its tasks under `mixture`, and every kind of example is shown, whatever `rows` says.
    """
    method = make_method(recipe.method)
    at_endpoint = not isinstance(recipe.model, str)
    if method.wants_weights:
        recipe.local_model  # noqa: B018 - raises where it is behind an API
    for name in recipe.evaluation.metrics or ():
        metric(name)
    if recipe.mixture is not None:
        return Checked(*check_mixture_recipe(recipe, method, with_model))
    opened = open_tasks(recipe, all_rows=True)  # without shots: every row is looked at
    check_evaluation(opened)
    skipped = [
        {split: _render(one.recipe, one.templates, one.task.split(split), split) for split in one.task.splits}
        for one in opened
    ]
    train = [_train_rows(one) for one in opened]
    parts: Sequence[Ready | None] = [None] * len(opened)
    if with_model and at_endpoint:
        parts = assemble_at(recipe, opened, method, _pools(opened, train, method)).parts
    elif with_model:
        pools = _pools(opened, train, method)
        prepared = assemble_all(recipe, opened, method, load_backbone(recipe.local_model), pools)
        first_look(prepared)
        parts = prepared.parts
    checked = [
        _check_task(one, method, mine, counts, part, rows)
        for one, mine, counts, part in zip(opened, train, skipped, parts)
    ]
    memory = memory_facts(prepared) if with_model and not at_endpoint else None
    if recipe.tasks is None:
        checked[0].facts["memory"] = memory
        return checked[0]
    drawn = shares(sum(map(len, train)), recipe.rates or [len(mine) for mine in train])
    for one, count in zip(checked, drawn):
        one.facts["share"] = count / sum(drawn)
    facts = {
        "method": recipe.method, "model": {"name": recipe.model_name}, "tasks": [one.facts for one in checked],
        "memory": memory,
    }  # fmt: skip
    return Checked(facts, [line for one in checked for line in one.shown])


def _train_rows(one: Opened) -> Rows:
    """The rows that a run trains on."""
    recipe, task = one.recipe, one.task
    train = task.split("train")
    if recipe.shots is None:
        return train
    return draw_shots(train, task.kind, task.labels, recipe.shots, recipe.training.seed, target=task.target)


def _pools(opened: Sequence[Opened], train: Sequence[Rows], method: Method) -> list[list[PoolRow]] | None:
    """What in-context examples are taken from: the rows that a run trains on."""
    wanted = method.demonstrations()
    if wanted is None:
        return None
    return [
        pool_of(one.task, mine, one.templates, wanted, one.recipe.training.seed) for one, mine in zip(opened, train)
    ]


def _check_task(
    one: Opened, method: Method, train: Rows, skipped: dict[str, int], part: Ready | None, rows: int
) -> Checked:
    recipe, task, templates = one.recipe, one.task, one.templates
    checked = Checked(_facts(recipe, task, templates, train, skipped))
    if isinstance(part, Prepared):
        checked.facts["model"] |= _lengths(part, train)
    elif part is not None:
        requests, known = planned(part)
        checked.facts["model"] |= {"requests": requests, "known": known, "budget": part.tuner.block.requests}
    checked.facts["slots"] = _slots(method, templates)
    encoder = part.encoder(train) if part is not None else None
    for i in range(min(rows, len(train))):
        number = i % len(templates)
        if encoder is not None:
            prompt = encoder.prompt(i, template=number)
        else:
            prompt = templates[number].render(train[i], seed=_seed(recipe, train.ids[i]))
        if prompt is not None:
            checked.shown.append((train.ids[i], templates[number].name, prompt))
    checked.facts["prompts"] = [
        {"id": name, "template": template, "prompt": prompt.text(), "target": prompt.target}
        for name, template, prompt in checked.shown
    ]
    return checked


def _seed(recipe: Recipe, name: str) -> int:
    return seed_of(recipe.training.seed, name) % 2**32


def _render(recipe: Recipe, templates: Sequence[Template], rows: Rows, split: str) -> int:
    """Every row in every template; how many are blank in one of them. InputError names the row."""
    skipped = 0
    with progress(f"rows of {split}", len(rows) // _RENDERED_AT_ONCE) as bar:
        for i, row in enumerate(rows, 1):
            name = rows.ids[i - 1]
            try:
                prompts = [template.render(row, seed=_seed(recipe, name)) for template in templates]
            except InputError as error:
                raise InputError(f"row {name}: {error}") from None
            skipped += None in prompts
            if i % _RENDERED_AT_ONCE == 0:
                bar.advance(note=f"× {_RENDERED_AT_ONCE}")
    if skipped == len(rows):
        names = ", ".join(repr(template.name) for template in templates)
        raise InputError(f"every row of {split} is empty in template {names}")
    return skipped


def _facts(
    recipe: Recipe, task: Task, templates: Sequence[Template], train: Rows, skipped: dict[str, int]
) -> dict[str, Any]:
    counts = {split: {"rows": len(rows), "skipped": skipped[split]} for split, rows in task.splits.items()}
    if task.kind == "classify":
        for split, rows in task.splits.items():
            seen = Counter(map(str, rows.columns[task.target]))
            counts[split]["labels"] = {label: seen[label] for label in task.labels or ()}  # type: ignore[assignment]
    return {
        "task": task.name,
        "kind": task.kind,
        "labels": list(task.labels) if task.labels else None,
        "splits": counts,
        "notes": task.notes,
        "training_rows": len(train),
        "templates": [template.name for template in templates],
        "metrics": list(recipe.evaluation.metrics or task.metrics),
        "method": recipe.method,
        "model": {"name": recipe.model_name},
    }


def _slots(method: Method, templates: Sequence[Template]) -> str | None:
    """Where the slots come from, in words."""
    own = [template.name for template in templates if template.slots]
    mine = method.slots()
    if mine is None:
        return f"left out: the method has no soft prompt (templates {', '.join(own)})" if own else None
    if own:
        return f"those of the templates {', '.join(own)}"
    return f"{mine[0].length}, added by the method"


def _lengths(prepared: Prepared, train: Rows) -> dict[str, Any]:
    """Token counts of up to 500 training rows before cutting, and how many are cut."""
    recipe, backbone = prepared.recipe, prepared.backbone
    purpose, room = asking_purpose(prepared)
    if prepared.method.defaults_for(prepared.backbone.family) is not None:
        purpose, room = training_purpose(prepared), 0
    some = sample(train, MEASURED_ROWS, 0)
    indices = range(len(some))
    encoder, long = prepared.encoder(some), prepared.encoder(some)
    long.max_tokens = backbone.positions()
    cut = sum(example.shortened for example in encoder.examples(indices, 0, purpose, room) if example)
    tokens = [example.tokens for example in long.examples(indices, 0, purpose, room) if example]
    return {
        "family": backbone.family,
        "parameters": sum(p.numel() for p in backbone.model.parameters()),
        "slots": prepared.layout.rows,
        "tokens": {"rows": len(tokens), "min": min(tokens), "median": median(tokens), "max": max(tokens)},
        "max_tokens": recipe.training.max_tokens,
        "cut": cut,
        **_constant(prepared),
        **({"left_out": left_out(encoder.counts)} if left_out(encoder.counts) else {}),
    }


def _constant(prepared: Prepared) -> dict[str, Any]:
    """What is read once where rows come again: tokens of a row, of all its tokens, and the bytes kept of it."""
    found, part = constant_part(prepared), "before the slots"
    if found is None and prepared.method.defaults_for(prepared.family) is not None:
        found, part = constant_encoder(prepared), "in the encoder"
    if found is None:
        return {}
    told = {"tokens": round(found.constant), "of": round(found.tokens), "bytes": round(found.bytes)}
    return {"constant": {**told, "part": part, "looks_only": found.looks}}
