"""Whether a run fits into the machine: what it will take beside what is free, said before any work."""

from collections.abc import Callable
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path
from typing import Any

import torch

from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Example
from tunewright.backbones.packing import packed
from tunewright.backbones.prefix_store import MEMORY_BYTES
from tunewright.console import say
from tunewright.errors import InputError, MachineError
from tunewright.methods.base import OptimizerDefaults
from tunewright.objectives.log_probs import AT_ONCE
from tunewright.process import free_memory, resident_memory
from tunewright.reports.formats import size
from tunewright.runs.constant import constant_encodings, constant_part, constant_prefixes
from tunewright.runs.first_look import training_purpose
from tunewright.runs.looks import objective_of
from tunewright.runs.mixture import longest_example
from tunewright.runs.prepare import Prepared
from tunewright.runs.tuning import make_plan, training_count, training_rows
from tunewright.tasks.task import Rows
from tunewright.training.memory import Memory, gradient_bytes, kept_by_rows, optimizer_bytes, weight_bytes

# On a CPU, of what a pass keeps: glibc keeps freed memory (see tunewright.process) and cannot put every tensor of the
# next pass into what is left free between others. Measured: docs/weights.md.
HOLES = 0.9
_LONGEST = 10  # rows encoded to find the longest one, the longest by characters


def check_memory(prepared: Prepared) -> None:
    """Raise MachineError, with advice, where the run cannot fit; say so where it may not."""
    memory = estimate(prepared)
    if memory is not None:
        _compare(prepared, memory, machine_free(prepared))


def facts(prepared: Prepared) -> dict[str, Any] | None:
    """The estimate in bytes: `parts` by what they are for, the `peak`, what is `added`, what is `free`.

    Raises MachineError where the run cannot fit.
    """
    memory = estimate(prepared)
    if memory is None:
        return None
    free = machine_free(prepared)
    _compare(prepared, memory, free)
    parts = asdict(memory)
    return {"parts": parts, "added": memory.added + memory.holes, "peak": memory.peak, "free": free}


def machine_free(prepared: Prepared) -> int | None:
    """Bytes that are free where the model computes; None where the system does not say."""
    where = prepared.backbone.device
    if where.type == "cuda":
        held = torch.cuda.memory_reserved(where) - torch.cuda.memory_allocated(where)
        return int(torch.cuda.mem_get_info(where)[0]) + held
    return free_memory() if where.type == "cpu" else None


def estimate(prepared: Prepared) -> Memory | None:
    """What tuning will take at its highest; None for a method that trains nothing.

    Gradients and optimiser state are counted; what a pass keeps is measured on the longest row, once and twice in a
    batch. Raises MachineError where what is counted does not fit alone.
    """
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    if defaults is None:
        return None
    tuner, training = prepared.tuner, prepared.recipe.training
    weights, gradients = weight_bytes(tuner), gradient_bytes(tuner)
    optimizer = optimizer_bytes(tuner, training.optimizer or defaults.optimizer)
    # The start is kept while rates are tried, and through the rounds of self-training.
    start = gradients * ((training.learning_rate == "auto") + (prepared.recipe.self_training is not None))
    on_cpu = prepared.backbone.device.type == "cpu"
    program = max(resident_memory() - weights, 0) if on_cpu else 0
    counted = Memory(program, weights, gradients, optimizer, 0, 0, start, 0, 0)
    _compare(prepared, counted, machine_free(prepared))
    example = _longest(prepared)
    rows = training_rows(prepared)
    count = training_count(rows)
    plan = make_plan(prepared, defaults, count, objective_of(prepared), rows)
    folder = Path(prepared.recipe.output or ".")
    tuner.prefixes = constant_prefixes(prepared, plan, defaults, count, folder)
    constant = constant_part(prepared) if tuner.prefixes is not None else None
    store = int(count * constant.bytes) if constant is not None else 0
    store = min(store + constant_encodings(prepared, plan, defaults, count, folder)[1], MEMORY_BYTES)
    kept = kept_by_rows(tuner, *_pass(prepared, example, defaults))
    tuner.prefixes = None
    logits = min(kept.logits, _most_logits(prepared))
    working = logits + 2 * kept.largest + kept.block
    a_pass = kept.states + kept.copies + logits + working
    working += max(_look(prepared, example) - a_pass, 0) + start
    if on_cpu and training.keep == "best":
        working += gradients  # the file's content; it does not go into the holes that a pass leaves
    memory = Memory(program, weights, gradients, optimizer, kept.states + kept.copies, logits, working, store, 0)
    return replace(memory, holes=int(HOLES * memory.activations)) if on_cpu else memory


def _pass(prepared: Prepared, example: Example, defaults: OptimizerDefaults) -> tuple[Callable[[int], Batch], int]:
    """The unit that a pass is made of (a row as long as the longest, or a packed sequence of such), and how many."""
    training, backbone = prepared.recipe.training, prepared.backbone
    tokens = sum(view.tokens for view in example.views)
    if training.batch_tokens is not None:
        rows = max(1, training.batch_tokens // tokens // training.accumulation)
    else:
        rows = ceil((training.batch_size or defaults.batch_size) / training.accumulation)
    if not training.packing:
        return lambda count: backbone.collate([example] * count), rows
    together = min(rows, max(1, training.max_tokens // tokens))

    def unit(count: int) -> Batch:
        return packed(backbone.collate([example] * together * count), training.max_tokens)

    return unit, ceil(rows / together)


def _look(prepared: Prepared, example: Example) -> int:
    """A look at validation: the logits of a batch's choices."""
    tokens = sum(view.tokens for view in example.views)
    rows = max(1, prepared.recipe.evaluation.batch_tokens // tokens)
    asked = sum(len(view.asks) for view in example.views) * max(1, len(prepared.task.labels or ()))
    if prepared.tuner.tunable.head() is not None:
        return 0
    return min(rows * asked * prepared.backbone.vocabulary * _element(prepared), _most_logits(prepared))


def _most_logits(prepared: Prepared) -> int:
    """More logits are made in parts, and again on the way back."""
    return AT_ONCE * _element(prepared)


def _element(prepared: Prepared) -> int:
    return 2 if prepared.tuner.precision == "bf16" else 4


def _longest(prepared: Prepared) -> Example:
    """The longest training row of all tasks, in tokens, among those longest in characters."""
    if prepared.mixture is not None:
        return longest_example(prepared)
    found: list[Example] = []
    for part in prepared.parts:
        train = part.task.split("train")
        order, mine = _by_length(train), list[Example]()
        while order and not mine:  # the longest may be those that a template skips
            some, order = train.take(order[:_LONGEST]), order[_LONGEST:]
            examples = part.encoder(some).examples(range(len(some)), 0, training_purpose(part))
            mine = [example for example in examples if example is not None]
        found += mine
    if not found:
        raise InputError("no training rows are left after the empty ones were skipped")
    return max(found, key=lambda example: sum(view.tokens for view in example.views))


def _by_length(rows: Rows) -> list[int]:
    """All rows, the longest in characters first."""
    lengths = [sum(len(str(column[i])) for column in rows.columns.values()) for i in range(len(rows))]
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def _compare(prepared: Prepared, memory: Memory, free: int | None) -> None:
    if free is None or memory.added + memory.holes <= free:
        return
    need = f"tuning takes about {size(memory.added + memory.holes)} more ({_parts(memory)}), {size(free)} are free"
    if memory.added > free:
        raise MachineError(f"memory: {need}; {_advice(prepared)}")
    say(f"memory: {need}: it may not fit; {_advice(prepared)}")


def _parts(memory: Memory) -> str:
    parts = {
        "gradients": memory.gradients, "optimiser": memory.optimizer, "activations": memory.activations,
        "logits": memory.logits, "constant states": memory.store,
    }  # fmt: skip
    return ", ".join(f"{name} {size(value)}" for name, value in parts.items() if value)


def _advice(prepared: Prepared) -> str:
    """What would make it smaller, of what the recipe does not do yet."""
    training, name = prepared.recipe.training, prepared.recipe.method["name"]
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    smaller = []
    if (
        training.batch_tokens is not None
        or ceil((training.batch_size or defaults.batch_size) / training.accumulation) > 1
    ):
        smaller.append(f"training.accumulation={2 * training.accumulation} or more (same steps, in smaller passes)")
    smaller.append(f"a smaller training.max_tokens (now {training.max_tokens})")
    if not training.gradient_checkpointing and not prepared.tuner.tunable.prefix_length:
        smaller.append("training.gradient_checkpointing=true")
    if name in ("full", "head"):
        if (training.optimizer or defaults.optimizer) == "adamw":
            smaller.append("training.optimizer=adafactor")
        smaller.append("method lora")
    return "try " + ", ".join(smaller)
