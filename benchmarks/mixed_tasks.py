"""Sixteen tasks' prompts in one batch against one prompt for the whole batch: `python benchmarks/mixed_tasks.py`.

The texts, the rows and the model are the same on both sides; what differs is the prompt table (16 × 20 rows against
20) and where each row's slots point. The prompts are random numbers: speed does not depend on what they were tuned to.
Writes docs/results/mixed-tasks.md.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import small_model
import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Purpose
from tunewright.backbones.load import Precision, load_backbone, pick_precision
from tunewright.methods.registry import make_method
from tunewright.methods.soft.soft import SoftTunable
from tunewright.objectives.losses import answer_loss, choice_scores
from tunewright.recipe import Recipe
from tunewright.runs.environment import hardware
from tunewright.runs.prepare import Opened, Prepared, assemble_all, pick_templates
from tunewright.settings import validate
from tunewright.task_block import TaskBlock
from tunewright.tasks.open import open_task
from tunewright.tasks.task import Task

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "mixed-tasks.md"
GOAL = 0.9
METHOD = {"name": "prompt-tuning", "length": 20, "init": "random-uniform", "bound": 0.1}


@dataclass
class Sides:
    """The same rows with a prompt for each, and with one prompt for all."""

    mixed: Prepared
    single: Prepared

    def batches(self, purpose: Purpose) -> tuple[Batch, Batch]:
        """Row i from task i, and rows 0 … from the one task."""
        return (
            _batch(self.mixed, [(part, i) for i, part in enumerate(self.mixed.parts)], purpose),
            _batch(self.single, [(self.single, i) for i in range(len(self.mixed.parts))], purpose),
        )


def _batch(prepared: Prepared, rows: Sequence[tuple[Prepared, int]], purpose: Purpose) -> Batch:
    found = [part.encoder(part.task.split("train")).examples([i], 0, purpose)[0] for part, i in rows]
    return prepared.backbone.collate([example for example in found if example is not None])


def make_sides(backbone: Backbone, task: Task, rows: int, max_tokens: int, precision: Precision) -> Sides:
    """`rows` tasks with the same rows under different names, and the task itself."""
    training = {"max_tokens": max_tokens, "precision": precision}
    tree = {"model": backbone.name, "method": METHOD, "training": training}
    names = [f"task-{i}" for i in range(rows)]
    several = validate(Recipe, {**tree, "tasks": names}, "mixed")
    opened = []
    for recipe, name in zip(several.apart(), names):
        named = replace(task, name=name)
        opened.append(Opened(recipe, named, pick_templates(recipe, named, name)))
    single = validate(Recipe, {**tree, "task": task.name}, "single")
    one = [Opened(single, task, pick_templates(single, task))]
    return Sides(
        assemble_all(several, opened, make_method(METHOD), backbone),
        assemble_all(single, one, make_method(METHOD), backbone),
    )


@torch.no_grad()
def largest_difference(sides: Sides) -> float:
    """Between the choice scores of the mixed batch and of 16 runs with one prompt and one row each, in fp32."""
    batch, _ = sides.batches("choices")
    together = choice_scores(sides.mixed.tuner(batch), batch)
    table = sides.mixed.tuner.tunable.table()
    assert table is not None and isinstance(sides.single.tuner.tunable, SoftTunable)
    kept = sides.single.tuner.tunable.table()
    assert kept is not None
    kept, worst = kept.clone(), 0.0
    for i in range(len(together)):
        sides.single.tuner.tunable.put(table[20 * i : 20 * (i + 1)])
        alone = _batch(sides.single, [(sides.single, i)], "choices")
        scores = choice_scores(sides.single.tuner(alone), alone)[0]
        worst = max(worst, float((together[i, : len(scores)] - scores).abs().max()))
    sides.single.tuner.tunable.put(kept)
    return worst


def train_step(prepared: Prepared, batch: Batch) -> None:
    """Forward and backward of the answers' likelihood."""
    for parameter in prepared.tuner.tunable.trained().values():
        parameter.grad = None
    out: Tensor = prepared.tuner(batch)
    (answer_loss(out) / batch.asked).backward()


@torch.no_grad()
def score_step(prepared: Prepared, batch: Batch) -> None:
    """All choices of all rows."""
    choice_scores(prepared.tuner(batch), batch)


def ratios(step: Callable[[Prepared, Batch], None], sides: Sides, purpose: Purpose, pairs: int) -> dict[str, Any]:
    """Rows a second of the mixed batch over those of the single-prompt batch, pair by pair, the first side changing."""
    mixed, single = sides.batches(purpose)
    assert mixed.ids.shape == single.ids.shape
    turns = [(sides.mixed, mixed), (sides.single, single)]
    for prepared, batch in turns:
        step(prepared, batch)
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            started = time.perf_counter()
            step(*turns[side])
            seconds[side].append(time.perf_counter() - started)
    found = [b / a for a, b in zip(*seconds)]
    return {
        "ratio": statistics.median(found),
        "ratios": (min(found), max(found)),
        "seconds": tuple(map(statistics.median, seconds)),
        "rows": mixed.examples,
        "tokens": mixed.ids.shape[1],
    }


def measure(backbone: Backbone, task: Task, *, rows: int, pairs: int, max_tokens: int) -> dict[str, Any]:
    """Everything the page says: equality in fp32, speed in the precision that runs have on this machine."""
    exact = make_sides(backbone, task, rows, max_tokens, "fp32")
    found: dict[str, Any] = {"difference": largest_difference(exact), "precision": pick_precision("auto")}
    sides = make_sides(backbone, task, rows, max_tokens, found["precision"])
    found["training"] = ratios(train_step, sides, "answer", pairs)
    found["scoring"] = ratios(score_step, sides, "choices", pairs)
    return found | {"pairs": pairs}


def page(found: dict[str, Any], model: str, task: str) -> str:
    """The results as Markdown."""
    machine = hardware()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    lines = [
        "# Prompts of 16 tasks in one batch",
        "",
        f"- Made {time.strftime('%Y-%m-%d')} by `python benchmarks/mixed_tasks.py`",
        f"- Machine: {machine['name']} ({machine['device']}), {machine['threads']} threads, {machine['system']}",
        f"- Versions: {libraries}; {model}, {found['precision']}; texts of {task}",
        "- 16 rows, each with 20 slots: one prompt for each row against one prompt for all; the texts are the same.",
        f"- The two sides take turns ({found['pairs']} pairs in one process, the first side changing); ratios are "
        "taken pair by pair.",
        "",
        "| | rows × tokens | mixed, s | one prompt, s | throughput ratio: median (min–max) | goal |",
        "|---|---|---|---|---|---|",
    ]
    for name, what in (("training", "forward and backward"), ("scoring", "scoring all choices")):
        one = found[name]
        (mixed, single), (low, high) = one["seconds"], one["ratios"]
        met = "met" if one["ratio"] >= GOAL else "**not met**"
        lines.append(
            f"| {what} | {one['rows']} × {one['tokens']} | {mixed:.2f} | {single:.2f} | {one['ratio']:.3f} "
            f"({low:.3f}–{high:.3f}) | at least {GOAL}: {met} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Largest difference between a choice score (Σ log p) of the mixed batch and of the 16 rows run one by one, "
            f"each with its own prompt alone, in fp32: {found['difference']:.1e}.",
            "",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    os.environ["TUNEWRIGHT_ENCODED_MB"] = "0"  # what is measured tokenises its own rows
    parser = argparse.ArgumentParser(description="16 tasks' prompts in one batch against one prompt for the batch.")
    parser.add_argument("--pairs", type=int, default=9, help="how often each side is measured")
    parser.add_argument("--tiny", action="store_true", help="a small random model, printed only: a check")
    options = parser.parse_args(arguments)
    if options.tiny:
        with tempfile.TemporaryDirectory() as folder:
            file = small_model.write_rows(Path(folder) / "rows.jsonl", 100)
            task = open_task(validate(TaskBlock, small_model.task_block(file), "made-up"))
            backbone = load_backbone(str(small_model.write_model(Path(folder) / "model")))
            found = measure(backbone, task, rows=16, pairs=options.pairs, max_tokens=140)
        print(page(found, "a small random Llama", "made-up rows"))
        return
    model, name = "smollm2-135m-instruct", "bbc-news"
    found = measure(load_backbone(model), open_task(name), rows=16, pairs=options.pairs, max_tokens=140)
    PAGE.write_text(page(found, model, name), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
