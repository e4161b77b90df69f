"""A whole run over a million rows: the way of the data, with a model so small that it does not matter."""

import time
from pathlib import Path
from typing import Any

import small_model
from measuring import Bench, say
from tables import MB, Goal, spread, table

ROWS, FEW_ROWS = 1_000_000, 1_000
SECONDS, BYTES = 60, 2e9


def measure(bench: Bench) -> dict[str, Any]:
    """A run of one step over many rows, and one over few; `pairs` times each, taking turns."""
    found: dict[str, Any] = {"few": [], "many": [], "rows": 5_000 if bench.size == "tiny" else ROWS}
    files = {"few": bench.folder / "rows-few.jsonl", "many": bench.folder / "rows-many.jsonl"}
    for key, count in (("few", FEW_ROWS), ("many", found["rows"])):
        small_model.write_rows(files[key], count)
    for turn in range(bench.pairs):
        for key, file in files.items():
            spec = {"model": str(bench.small_model()), "task": small_model.task_block(file)}
            found[key].append(bench.measure("rows:ours", "rows", turn, **spec))
            say(f"{key} rows: first step after {found[key][-1]['first_step']:.1f} s")
    files["many"].unlink()
    return found


def ours(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
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


def page(found: dict[str, Any]) -> list[str]:
    """A run over many rows beside the same over few."""
    cells = []
    for count, runs in ((FEW_ROWS, found["few"]), (found["rows"], found["many"])):
        seconds = [spread([run[key] for run in runs], 1) for key in ("first_step", "total")]
        cells.append([f"{count:,}", *seconds, spread([run["peak_bytes"] / MB for run in runs], 0)])
    cells.append(["the difference", "", "", spread([value / MB for value in _more_bytes(found)], 0)])
    return [
        f"## A run over {found['rows']:,} rows of JSON Lines",
        "",
        "A small random Llama, one step: what is measured is the way of the data.",
        "",
        *table(["Rows", "First step done after, s", "Whole run, s", "Peak memory, MB"], cells),
    ]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """The first step in time, and in memory."""
    count = found["rows"] if found else ROWS
    seconds = [run["first_step"] for run in found["many"]] if found else None
    more = [value / 1e9 for value in _more_bytes(found)] if found else None
    return [
        Goal(f"{count:,} rows: first step done within {SECONDS} s", seconds, at_most=SECONDS, form="{:.1f} s"),
        Goal(
            f"{count:,} rows: under {BYTES / 1e9:g} GB above a run of few rows",
            more, at_most=BYTES / 1e9, form="{:.2f} GB",
        ),
    ]  # fmt: skip


def _more_bytes(found: dict[str, Any]) -> list[float]:
    """What many rows take above few, pair by pair."""
    return [many["peak_bytes"] - few["peak_bytes"] for few, many in zip(found["few"], found["many"])]
