"""Seconds of processor time for the same training rows: in length buckets, padded as they come, and packed.

`python benchmarks/packing.py [--model NAME] [--task NAME] [--rows N] [--tokens N]`. Prints one line a way. Processor
time, so that other work on the machine counts little.
"""

import argparse
import time
from typing import Any

from tunewright.process import settle

settle()

from tunewright.backbones.batch import Batch  # noqa: E402
from tunewright.backbones.packing import packed  # noqa: E402
from tunewright.recipe import Recipe  # noqa: E402
from tunewright.runs.prepare import prepare  # noqa: E402
from tunewright.settings import validate  # noqa: E402
from tunewright.training.batches import cut  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--tokens", type=int, default=512, help="a step")
    parser.add_argument("--max-tokens", type=int, default=128)
    wanted = parser.parse_args()
    training = {"max_tokens": wanted.max_tokens, "packing": True}
    recipe = validate(
        Recipe, {"model": wanted.model, "task": wanted.task, "method": "lora", "training": training}, "packing"
    )
    prepared = prepare(recipe)
    rows = prepared.task.split("train").take(range(wanted.rows))
    examples = [e for e in prepared.encoder(rows).examples(range(len(rows)), 0, "answer") if e is not None]
    lengths = sorted(e.tokens for e in examples)
    print(f"{len(examples)} rows of {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")
    collate, limit = prepared.backbone.collate, wanted.max_tokens
    by_length = sorted(examples, key=lambda e: e.tokens)
    ways: dict[str, list[Batch]] = {
        "length buckets": [collate(part) for part in cut(by_length, None, wanted.tokens)],
        "padded as they come": [collate(part) for part in cut(examples, None, wanted.tokens)],
        "packed": [packed(collate(part), limit) for part in cut(examples, None, wanted.tokens, by_sum=True)],
    }
    _seconds(prepared, ways["packed"][:1])  # warm up
    total = sum(lengths)
    for name, batches in ways.items():
        spent = _seconds(prepared, batches)
        padding = 1 - total / sum(batch.ids.numel() for batch in batches)
        print(
            f"{name}: {len(batches)} steps, padding {100 * padding:.0f} %, "
            f"{total / spent:.0f} tokens/s of processor time"
        )


def _seconds(prepared: Any, batches: list[Batch]) -> float:
    prepared.tuner.train()
    started = time.process_time()
    for batch in batches:
        (-prepared.tuner(batch).sum()).backward()
    return time.process_time() - started


if __name__ == "__main__":
    main()
