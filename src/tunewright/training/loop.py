"""The one training loop."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from types import FrameType
from typing import Any, Literal, Protocol

import torch
from accelerate import Accelerator

from tunewright.backbones.examples import Example
from tunewright.backbones.packing import packed
from tunewright.console import progress as progress_bar
from tunewright.errors import InputError, TunewrightError
from tunewright.files import write_text
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores, head_loss
from tunewright.training.ahead import ahead
from tunewright.training.batches import Batches, parts
from tunewright.training.checkpoint import Progress, load_best, load_checkpoint, save_best, save_checkpoint
from tunewright.training.optimizers import Optimizer, Schedule, make_optimizer, rate_at
from tunewright.training.tuner import Tuner

Validate = Callable[[Tuner], list[float]]  # larger is better, compared in order
# head, number, words: of a head, over a row's labels, its number, the labels of each word
Objective = Literal["answer", "choice", "head", "number", "words"]


class MeanLook(list[float]):
    """A look at the validation rows of several tasks: the mean of what each one's says, and these in `by_task`."""

    def __init__(self, by_task: Mapping[str, list[float]]) -> None:
        looks = list(by_task.values())
        alike = len({len(look) for look in looks}) == 1  # else only the last number, the loss, is every task's
        super().__init__(fmean(column) for column in (zip(*looks) if alike else [[look[-1] for look in looks]]))
        self.by_task = dict(by_task)


@dataclass(frozen=True)
class Guard:
    """What ends a training beside patience: `lost` (asked at each look at validation, in points of 1) above `most`.

    The start counts as a look, so that what is kept has never lost more.
    """

    lost: Callable[[], float]
    most: float


class Added(Protocol):
    """What is added to each step's loss. `own_share` is what the task's own loss is multiplied by."""

    own_share: float

    def terms(self, step: int, rows: int) -> Iterator[tuple[str, torch.Tensor]]:
        """Each term by name; the next one is asked for when the last one's gradients are made."""


class Interrupted(TunewrightError):
    """Ctrl-C: the work so far is saved."""

    exit_code = 130


class Diverged(InputError):
    """The loss or the gradient is no number any more."""


@dataclass(frozen=True)
class Plan:
    """A training's settings, all resolved (no None that means a default)."""

    steps: int
    learning_rate: float
    optimizer: Optimizer = "adamw"
    schedule: Schedule = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float | None = 1.0
    objective: Objective = "answer"
    accumulation: int = 1
    seed: int = 0
    evaluate_every: int | None = None
    patience: int | None = None
    keep_best: bool = False
    checkpoint_every: int | None = None
    packing: int | None = None  # several rows in one sequence of at most so many tokens


@dataclass
class Trained:
    """What came of a training. `steps` may be fewer than planned (early stop); `search_seconds` went before it."""

    steps: int
    best_step: int
    seconds: float
    examples: int
    stopped_early: bool = False
    search_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def train(
    tuner: Tuner,
    batches: Batches,
    plan: Plan,
    *,
    folder: Path | None = None,
    validate: Validate | None = None,
    resume: bool = False,
    title: str = "tuning",
    added: Added | None = None,
    guard: Guard | None = None,
) -> Trained:
    """Train `tuner`'s trained parameters in place; with `keep_best` they end as they were at the best look.

    `folder` (None: keep nothing) gets metrics.jsonl and checkpoints/. The loss of a step is a mean over all it
    asks (answer tokens, or rows), however the step is cut into passes or spread over processes; the log has it without
    what is `added`, whose terms stand beside it.
    Raises Diverged when the loss is not a number, Interrupted after saving at Ctrl-C.
    """
    trained = tuner.tunable.trained()
    if not trained:
        raise InputError("nothing to train: the method trains no parameter")
    accelerator = Accelerator()
    optimizer = make_optimizer(plan.optimizer, _groups(tuner, trained), plan.learning_rate, plan.weight_decay)
    checkpoints = folder / "checkpoints" if folder else None
    torch.manual_seed(plan.seed)
    tuner.tunable.begin(plan.steps)
    state = Progress()
    if resume and checkpoints is not None:
        state = load_checkpoint(checkpoints, tuner.tunable, optimizer) or state
    log = _Log(folder / "metrics.jsonl" if folder and accelerator.is_main_process else None, state.step)
    model, optimizer = accelerator.prepare(tuner, optimizer)
    losses = log.losses()
    tuner.train()
    started = time.perf_counter() - state.seconds
    stopped = _patience_is_out(plan, state)  # a run killed after its early stop does not go on

    if guard is not None and validate is not None and state.step == 0 and not state.best:
        state = replace(state, best=list(validate(tuner)))
        tuner.train()
        if plan.keep_best and checkpoints is not None and accelerator.is_main_process:
            save_best(checkpoints, tuner.tunable)
    most = 0 if stopped else plan.steps - state.step
    with (
        progress_bar(title, plan.steps) as bar,
        _interruptible() as interrupt,
        ahead(batches.steps(state.place), most, batches.ahead) as stream,
    ):
        bar.advance(state.step)
        while state.step < plan.steps and not stopped:
            try:
                place, examples = next(stream)
            except StopIteration:
                raise InputError("no training rows are left after the empty ones were skipped") from None
            rate = rate_at(state.step, plan.steps, plan.learning_rate, plan.schedule, plan.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            loss, norm, terms = _step(accelerator, model, tuner, optimizer, examples, plan, state.step, added)
            tuner.tunable.after_step(state.step + 1)
            state = replace(
                state,
                step=state.step + 1,
                place=place,
                rate=rate,
                seconds=time.perf_counter() - started,
                examples=state.examples + len(examples),
            )
            losses.append(loss)
            entry: dict[str, Any] = {"step": state.step, "loss": loss, "learning_rate": rate, "gradient_norm": norm}
            drawn = [example.drawn for example in examples]
            of_mixture = {} if min(drawn) < 0 else {"drawn": drawn}
            log.write(entry | of_mixture | ({"added": terms} if terms else {}))
            bar.advance(1, f"loss {loss:.3f}  {state.examples / max(state.seconds, 1e-9):.1f} examples/s")
            last, beyond = state.step == plan.steps, False
            if validate and plan.evaluate_every and (state.step % plan.evaluate_every == 0 or last):
                look = validate(tuner)
                lost = guard.lost() if guard is not None else 0.0
                tuner.train()
                beyond = guard is not None and lost > guard.most
                better = not beyond and (state.best is None or look > state.best)
                state = replace(
                    state,
                    best=list(look) if better else state.best,
                    best_step=state.step if better else state.best_step,
                    looks_without_better=0 if better else state.looks_without_better + 1,
                    seconds=time.perf_counter() - started,
                )
                tasks = {"tasks": look.by_task} if isinstance(look, MeanLook) else {}
                forgotten = {"battery_lost": lost} if guard is not None else {}
                log.write({"step": state.step, "validation": look, **tasks, **forgotten})
                if better and plan.keep_best and checkpoints is not None and accelerator.is_main_process:
                    save_best(checkpoints, tuner.tunable)
                stopped = beyond or _patience_is_out(plan, state)
            # Not where the guard ends it: a run that is killed now comes here again and ends again.
            due = plan.checkpoint_every is not None and state.step % plan.checkpoint_every == 0 and not (last or beyond)
            if checkpoints is not None and accelerator.is_main_process and (due or (interrupt.asked and not last)):
                log.flush()
                save_checkpoint(checkpoints, tuner.tunable, optimizer, state)
            if interrupt.asked and not last:
                log.flush()
                raise Interrupted(f"interrupted after step {state.step}" + _how_to_go_on(folder))
    log.flush()
    if plan.keep_best and checkpoints is not None and state.best is not None:
        load_best(checkpoints, tuner.tunable)
    tuner.eval()
    return Trained(
        steps=state.step,
        best_step=state.step if state.best is None else state.best_step,
        seconds=state.seconds,
        examples=state.examples,
        stopped_early=stopped and state.step < plan.steps,
        losses=losses,
    )


def _groups(tuner: Tuner, trained: Mapping[str, torch.nn.Parameter]) -> list[dict[str, Any]]:
    """The optimiser's parameter groups: those whose learning rate is the same share of the plan's."""
    by_share: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in trained.items():
        by_share.setdefault(tuner.tunable.rate_of(name), []).append(parameter)
    return [{"params": parameters, "share": share} for share, parameters in by_share.items()]


def _patience_is_out(plan: Plan, state: Progress) -> bool:
    return plan.patience is not None and state.looks_without_better >= plan.patience


def _how_to_go_on(folder: Path | None) -> str:
    return f"; saved in {folder}: run the same command with --resume to go on" if folder else ""


def _step(
    accelerator: Accelerator,
    model: torch.nn.Module,
    tuner: Tuner,
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example],
    plan: Plan,
    step: int,
    added: Added | None = None,
) -> tuple[float, float, dict[str, float]]:
    """One optimiser step; returns its mean loss, gradient norm (before clipping) and what was added to the loss."""
    total = _asked(examples, plan.objective)
    if not total:
        raise InputError(f"step {step + 1}: no answer token is asked in the whole step")
    mine = list(examples[accelerator.process_index :: accelerator.num_processes]) or [examples[0]]
    share = 1.0 if accelerator.process_index < len(examples) else 0.0  # a process without rows adds nothing
    optimizer.zero_grad(set_to_none=True)
    value = 0.0
    for number, part in enumerate(parts(mine, plan.accumulation)):
        batch = tuner.backbone.collate(part)
        if plan.packing is not None:
            batch = packed(batch, plan.packing)
        out = model(batch)
        if plan.objective == "answer":
            loss = answer_loss(out, batch)
        elif plan.objective == "choice":
            loss = choice_loss(choice_scores(out, batch), batch)
        else:
            words = plan.objective == "words"
            numbers = batch.numbers if plan.objective == "number" else None
            loss = head_loss(out, batch.ask_token if words else batch.gold, numbers, None if words else batch.weights)
        loss = loss * share / total
        value += float(loss.detach())
        if number == 0 and (penalty := tuner.tunable.penalty()) is not None:
            loss = loss + penalty / accelerator.num_processes
        # DDP takes the mean over processes; a step's loss is a sum of their shares.
        own = loss if added is None else loss * added.own_share
        accelerator.backward(own * accelerator.num_processes)
    terms: dict[str, float] = {}
    if added is not None:  # the same on every process
        for name, term in added.terms(step, len(examples)):
            terms[name] = float(term.detach())
            accelerator.backward(term)
    if accelerator.num_processes > 1:
        value = float(accelerator.reduce(torch.tensor(value, device=accelerator.device), "sum"))
    parameters = list(tuner.tunable.trained().values())
    norm = float(accelerator.clip_grad_norm_(parameters, plan.clip if plan.clip is not None else math.inf))
    if not (math.isfinite(value) and math.isfinite(norm)):
        what = "loss" if not math.isfinite(value) else "gradient"
        raise Diverged(
            f"step {step + 1}: the {what} is {value if what == 'loss' else norm}; nothing was saved over. "
            f"Lower training.learning_rate (now {plan.learning_rate:g}) or add training.warmup"
        )
    optimizer.step()
    return value, norm, terms


def _asked(examples: Sequence[Example], objective: Objective) -> float:
    """What the step's loss is divided by: answer tokens, words or rows, each times its row's weight."""
    if objective in ("answer", "words"):
        return sum(example.weight * len(view.asks) for example in examples for view in example.views)
    return sum(example.weight for example in examples)


class _Log:
    """metrics.jsonl: one line a step, kept in step with the checkpoints when a run is resumed."""

    def __init__(self, path: Path | None, step: int) -> None:
        self.path = path
        self.lines: list[str] = []
        self.flushed = time.monotonic()
        if path is not None and path.exists() and step:
            old = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            self.lines = [line for line in old if json.loads(line)["step"] <= step]

    def losses(self) -> list[float]:
        return [entry["loss"] for line in self.lines if "loss" in (entry := json.loads(line))]

    def write(self, entry: dict[str, object]) -> None:
        self.lines.append(json.dumps(entry))
        if time.monotonic() - self.flushed > 5:
            self.flush()

    def flush(self) -> None:
        if self.path is not None:
            write_text(self.path, "".join(line + "\n" for line in self.lines))
        self.flushed = time.monotonic()


class _Interrupt:
    asked = False


@contextmanager
def _interruptible() -> Iterator[_Interrupt]:
    """Let the current step end at the first Ctrl-C; a second one ends at once."""
    interrupt = _Interrupt()

    def handler(number: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True

    try:
        old = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: whoever runs it deals with Ctrl-C
        yield interrupt
        return
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, old)
