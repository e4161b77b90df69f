"""The memory that a short run takes, against what was estimated before it. `python benchmarks/memory.py [METHOD …]`.

Each method tunes SmolLM2-135M-Instruct on BBC news for three steps of 8 × 128 tokens, in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

METHODS = ("full", "lora", "prompt-tuning")


def one(method: str) -> None:
    """Print one line for a method."""
    from tunewright.process import settle

    settle()
    from tunewright.recipe import Recipe
    from tunewright.runs import run as of_run
    from tunewright.runs.memory import estimate
    from tunewright.settings import validate

    recipe = validate(
        Recipe,
        {
            "model": "smollm2-135m-instruct", "task": "bbc-news", "shots": 16, "template": "plain", "method": method,
            "training": {"steps": 3, "batch_size": 8, "max_tokens": 128, "learning_rate": 1e-4, "evaluate_every": 3},
            "evaluation": {"rows": 8, "validation_rows": 16, "baselines": False},
        },
        "memory",
    )  # fmt: skip
    found = []
    of_run.check_memory = lambda prepared: found.append(estimate(prepared))  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        cost = of_run.run(recipe, Path(folder) / "run").cost
    [memory] = found
    assert memory is not None
    told, real = memory.peak / 1e9, cost["peak_memory_bytes"] / 1e9
    print(f"{method}: estimated {told:.2f} GB, measured {real:.2f} GB, {told / real:.2f}; {json.dumps(vars(memory))}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2])
    else:
        for name in sys.argv[1:] or METHODS:
            subprocess.run([sys.executable, __file__, "--one", name], check=True)
