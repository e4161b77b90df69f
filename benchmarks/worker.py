"""One measurement in a process of its own: `worker.py SPEC.json RESULT.json` (started by bench.py)."""

import json
import sys
import time
from pathlib import Path
from typing import Any


def rows(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One whole run of one step on a file of rows; times count from the start of the process."""
    from clocks import step_ends

    import tunewright.runs.run as runs
    from tunewright.recipe import Recipe
    from tunewright.runs.environment import peak_memory_bytes, reset_peak_memory

    peaks: list[int] = []

    def reset() -> None:  # a run forgets the peak of its loading before it trains: keep it here
        peaks.append(peak_memory_bytes())
        reset_peak_memory()

    runs.reset_peak_memory = reset  # type: ignore[attr-defined]
    recipe = Recipe.model_validate(
        {
            "model": spec["model"],
            "task": spec["task"],
            "method": {"name": "prompt-tuning", "length": 20},
            "training": {"steps": 1, "batch_size": 8},
            "evaluation": {"rows": 50, "baselines": False},
        }
    )
    with step_ends() as ends:
        clock = time.perf_counter()
        offset = time.time() - spec["spawned"]
        runs.run(recipe, folder / "run", overwrite=True)
        end = time.perf_counter()
    return {
        "first_step": offset + ends[0] - clock,
        "total": offset + end - clock,
        "peak_bytes": max(*peaks, peak_memory_bytes()),
    }


def main(spec_file: str, result_file: str) -> None:
    """Do what the spec says, write what was measured."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    folder = Path(spec["folder"])
    if spec["role"] == "rows":
        result = rows(spec, folder)
    else:
        import sides

        result = {"start": sides.write_start, "ours": sides.ours, "peer": sides.peer}[spec["role"]](spec, folder)
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
