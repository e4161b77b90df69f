"""The training of a run: its plan resolved, its looks at validation, its learning rate found."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tunewright.backbones.examples import Example
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import read_json, write_json
from tunewright.methods.base import OptimizerDefaults, copy_into
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores, head_loss, label_scores
from tunewright.runs.prepare import Prepared
from tunewright.training.batches import Batches, cut
from tunewright.training.loop import Diverged, Objective, Plan, Trained, Validate, train
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

LOOKS = 10


def tune(prepared: Prepared, folder: Path, *, resume: bool, name: str) -> tuple[Trained, RowEncoder]:
    """Train as the recipe says; also gives the encoder of the training rows (its counts are told to the user)."""
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    training = prepared.recipe.training
    encoder = prepared.encoder(prepared.task.split("train"))
    objective = objective_of(prepared)
    purpose = {"answer": "answer", "choice": "choices"}.get(objective, "pool")
    batches = Batches(
        len(encoder.rows),
        lambda indices, epoch: encoder.examples(indices, epoch, purpose),  # type: ignore[arg-type]
        seed=training.seed,
        batch_size=training.batch_size or (None if training.batch_tokens else defaults.batch_size),
        batch_tokens=training.batch_tokens,
    )
    plan = make_plan(prepared, defaults, len(encoder.rows), objective, encoder)
    validate = make_validate(prepared)
    searched = 0.0
    if training.learning_rate == "auto":
        rate, searched = _find_rate(prepared, batches, plan, defaults, validate, folder)
        plan = _with_rate(plan, rate)
    trained = train(prepared.tuner, batches, plan, folder=folder, validate=validate, resume=resume, title=name)
    return replace(trained, search_seconds=searched), encoder


def objective_of(prepared: Prepared) -> Objective:
    """The loss: a head's own, else what the recipe asks for."""
    if prepared.tuner.tunable.head() is not None:
        return "number" if prepared.task.kind == "regress" else "head"
    if prepared.recipe.training.objective == "choice" and prepared.task.kind not in ("classify", "choose"):
        raise InputError(f"training.objective: choice wants choices; the task's kind is {prepared.task.kind}")
    return prepared.recipe.training.objective


def make_plan(
    prepared: Prepared, defaults: OptimizerDefaults, rows: int, objective: Objective, encoder: RowEncoder
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
        evaluate_every=training.evaluate_every or max(1, steps // LOOKS),
        patience=training.patience or defaults.patience,
        keep_best=training.keep == "best",
        checkpoint_every=training.checkpoint_every,
    )


def _steps_per_epoch(prepared: Prepared, defaults: OptimizerDefaults, rows: int, encoder: RowEncoder) -> float:
    """Rows over rows a step; with batch_tokens, from the mean length of up to 200 rows."""
    training = prepared.recipe.training
    if training.batch_tokens is None:
        return math.ceil(rows / (training.batch_size or defaults.batch_size))
    seen = encoder.examples(range(min(rows, 200)), 0, "pool")
    lengths = [example.tokens for example in seen if example is not None]
    return max(1.0, rows * (sum(lengths) / max(1, len(lengths))) / training.batch_tokens)


def make_validate(prepared: Prepared) -> Validate:
    """A look at validation: [accuracy, −loss] where there are labels to choose from, else [−loss]."""
    rows = prepared.validation()
    encoder = prepared.encoder(rows)
    objective = objective_of(prepared)
    chooses = objective in ("answer", "choice") and prepared.task.kind in ("classify", "choose")
    purpose = "choices" if chooses else "answer" if objective == "answer" else "pool"
    batch_tokens = prepared.recipe.evaluation.batch_tokens

    @torch.no_grad()
    def validate(tuner: Tuner) -> list[float]:
        tuner.eval()
        found = encoder.examples(range(len(rows)), 0, purpose)  # type: ignore[arg-type]
        examples = sorted((e for e in found if e is not None), key=lambda e: -e.tokens)
        loss = right = asked = 0.0
        for part in cut(examples, None, batch_tokens):
            value, good, count = _look(tuner, part, objective, chooses)
            loss, right, asked = loss + value, right + good, asked + count
        if not asked:
            raise InputError("validation: no row is left after the empty ones were skipped")
        labelled = chooses or objective == "head"
        return [right / asked, -loss / asked] if labelled else [-loss / asked]

    return validate


def _look(tuner: Tuner, examples: Sequence[Example], objective: Objective, chooses: bool) -> tuple[float, float, float]:
    """(Σ loss, Σ right, what they are divided by) of one batch."""
    batch = tuner.backbone.collate(examples)
    out = tuner(batch)
    if chooses:
        scores = choice_scores(out, batch)
        right = label_scores(scores, batch.choice_labels).argmax(-1) == batch.gold
        return float(choice_loss(scores, batch)), float(right.sum()), len(examples)
    if objective == "answer":
        return float(answer_loss(out)), 0.0, batch.asked
    if objective == "head":
        return float(head_loss(out, batch.gold, None)), float((out.argmax(-1) == batch.gold).sum()), len(examples)
    return float(head_loss(out, batch.gold, batch.numbers)), 0.0, len(examples)


def _find_rate(
    prepared: Prepared, batches: Batches, plan: Plan, defaults: OptimizerDefaults, validate: Validate, folder: Path
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
            train(prepared.tuner, batches, short, title=f"trying rate {rate:g}")
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
