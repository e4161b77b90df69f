"""The training of a run: its plan resolved, its looks at validation, its learning rate found."""

import math
import time
from dataclasses import replace
from pathlib import Path

from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import read_json, write_json
from tunewright.methods.base import OptimizerDefaults, copy_into
from tunewright.runs.constant import constant_encodings, constant_prefixes, keep_encodings
from tunewright.runs.looks import make_validate, objective_of, purpose_in_training
from tunewright.runs.mixture import mixture_rows, tell_mixture, write_drawn
from tunewright.runs.prepare import Prepared
from tunewright.runs.remedies import open_remedies
from tunewright.runs.starting import start_from_states
from tunewright.training.batches import WINDOW_STEPS, Batches
from tunewright.training.loop import Added, Diverged, Objective, Plan, Trained, Validate, train
from tunewright.training.mixed import MixedRows
from tunewright.training.mixture_rows import MixtureRows
from tunewright.training.rows import RowEncoder

LOOKS = 10
TrainingRows = RowEncoder | MixedRows | MixtureRows


def tune(
    prepared: Prepared, folder: Path, *, resume: bool, name: str, batches: Batches | None = None
) -> tuple[Trained, list[RowEncoder]]:
    """Train as the recipe says; also gives each task's encoder of training rows (its counts are told to the user).

    `batches`: steps made elsewhere (streamed ones), in place of steps over the task's training rows.
    """
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    training = prepared.recipe.training
    rows = training_rows(prepared)
    objective = objective_of(prepared)  # of several tasks it is the same: first_look has asked for each
    streamed = batches is not None  # rows that do not come again, and any number of them
    batches = batches or make_batches(prepared, rows, objective, defaults)
    count = training_count(rows)
    plan = make_plan(prepared, defaults, count, objective, rows)
    validate = make_validate(prepared)
    prepared.tuner.prefixes = None if streamed else constant_prefixes(prepared, plan, defaults, count, folder)
    keep_encodings(prepared, None if streamed else constant_encodings(prepared, plan, defaults, count, folder)[0])
    if prepared.tuner.tunable.wants_states:
        start_from_states(prepared)
    searched = 0.0
    remedies = prepared.remedies or open_remedies(prepared)
    added = remedies.added() if remedies else None
    if training.learning_rate == "auto":
        rate, searched = _find_rate(prepared, batches, plan, defaults, validate, folder, added)
        plan = _with_rate(plan, rate)
    start, guard = (remedies.start(), remedies.guard()) if remedies else ({}, None)
    trained = train(
        prepared.tuner, batches, plan, folder=folder, validate=validate, resume=resume, title=name, added=added,
        guard=guard,
    )  # fmt: skip
    prepared.tuner.prefixes = None
    keep_encodings(prepared, None)
    if remedies:
        remedies.finish(prepared, start, validate, folder)
    trained = replace(trained, search_seconds=searched)
    if isinstance(rows, MixtureRows):
        tell_mixture(rows)
        write_drawn(prepared, folder)
        return trained, []
    return trained, rows.encoders if isinstance(rows, MixedRows) else [rows]


def training_count(rows: TrainingRows) -> int:
    """How many rows an epoch has."""
    return len(rows.rows) if isinstance(rows, RowEncoder) else len(rows)


def training_rows(prepared: Prepared) -> TrainingRows:
    """The training rows of the task, of several as one, or a mixture. Raises InputError where a rate is too small."""
    if prepared.mixture is not None:
        return mixture_rows(prepared)
    encoders = [part.encoder(part.task.split("train")) for part in prepared.parts]
    recipe = prepared.recipe
    return MixedRows(encoders, recipe.rates, recipe.training.seed) if prepared.several else encoders[0]


def make_batches(prepared: Prepared, rows: TrainingRows, objective: Objective, defaults: OptimizerDefaults) -> Batches:
    """The steps over the training rows of the task, or of several tasks."""
    training = prepared.recipe.training
    purpose = purpose_in_training(prepared, objective)
    mixed = None if isinstance(rows, RowEncoder) else rows
    # Nearest examples are found by a model of their own, which computes in the main thread.
    apart = not prepared.backbone.plain and all(part.demonstrator is None for part in prepared.parts)
    return Batches(
        training_count(rows),
        lambda indices, epoch: rows.examples(indices, epoch, purpose),
        seed=training.seed,
        batch_size=training.batch_size or (None if training.batch_tokens else defaults.batch_size),
        batch_tokens=training.batch_tokens,
        order=mixed.order if mixed else None,
        task_of=mixed.task_of if mixed else None,
        packed=training.packing,
        ahead=WINDOW_STEPS if apart else 0,
    )


def make_plan(
    prepared: Prepared, defaults: OptimizerDefaults, rows: int, objective: Objective, encoder: TrainingRows
) -> Plan:
    """The recipe's training block with the method's defaults filled in."""
    training = prepared.recipe.training
    steps = training.steps or defaults.steps
    if training.epochs is not None:
        steps = max(1, math.ceil(training.epochs * _steps_per_epoch(prepared, defaults, rows, encoder)))
    rate = training.learning_rate
    return Plan(
        steps=steps,
        learning_rate=rate if isinstance(rate, float) else defaults.learning_rate,
        optimizer=training.optimizer or defaults.optimizer,
        schedule=training.schedule or defaults.schedule,
        warmup=training.warmup,
        weight_decay=defaults.weight_decay if training.weight_decay is None else training.weight_decay,
        clip=training.clip,
        objective=objective,
        accumulation=training.accumulation,
        seed=training.seed,
        evaluate_every=training.evaluate_every or max(1, min(steps // LOOKS, defaults.evaluate_every or steps)),
        patience=training.patience or defaults.patience,
        keep_best=training.keep == "best",
        checkpoint_every=training.checkpoint_every,
        packing=training.max_tokens if training.packing else None,
    )


def _steps_per_epoch(prepared: Prepared, defaults: OptimizerDefaults, rows: int, encoder: TrainingRows) -> float:
    """Rows over rows a step; with batch_tokens, from the mean length of up to 200 rows."""
    training = prepared.recipe.training
    if training.batch_tokens is None:
        return math.ceil(rows / (training.batch_size or defaults.batch_size))
    some = range(min(rows, 200)) if isinstance(encoder, RowEncoder) else encoder.order(0)[:200]
    seen = encoder.examples(some, 0, "pool")
    lengths = [example.tokens for example in seen if example is not None]
    return max(1.0, rows * (sum(lengths) / max(1, len(lengths))) / training.batch_tokens)


def _find_rate(
    prepared: Prepared,
    batches: Batches,
    plan: Plan,
    defaults: OptimizerDefaults,
    validate: Validate,
    folder: Path,
    added: Added | None,
) -> tuple[float, float]:
    """Try the method's rates for a fifth of the steps each, and take the one with the lowest validation loss.

    Every method has the same budget: three rates, the same steps, the same rows. Returns (rate, seconds it took).
    """
    kept = folder / "learning_rate.json"
    if kept.is_file():
        found = read_json(kept)
        return float(found["learning_rate"]), float(found["seconds"])
    started = time.perf_counter()
    trained = prepared.tuner.tunable.trained()
    start = {name: p.detach().clone() for name, p in trained.items()}
    steps = max(5, plan.steps // 5)
    tried = {}
    for rate in defaults.auto_rates:
        short = _with_rate(plan, rate, steps)
        try:
            train(prepared.tuner, batches, short, title=f"trying rate {rate:g}", added=added)
            look = validate(prepared.tuner)[-1]
        except Diverged:  # this rate is out
            look = -math.inf
        tried[rate] = look if math.isfinite(look) else -math.inf
        copy_into(trained, start, "start")
    best = max(tried, key=tried.__getitem__)
    if tried[best] == -math.inf:
        raise InputError("training.learning_rate: auto: every rate tried diverged")
    losses = {f"{rate:g}": -value if math.isfinite(value) else "diverged" for rate, value in tried.items()}
    seconds = time.perf_counter() - started
    say(f"learning rate {best:g} (validation loss after {steps} steps: {losses})")
    write_json(kept, {"learning_rate": best, "steps": steps, "seconds": seconds, "validation_losses": losses})
    return best, seconds


def _with_rate(plan: Plan, rate: float, steps: int | None = None) -> Plan:
    if steps is None:
        return replace(plan, learning_rate=rate)
    return replace(
        plan,
        learning_rate=rate,
        steps=steps,
        evaluate_every=None,
        keep_best=False,
        checkpoint_every=None,
        patience=None,
    )
