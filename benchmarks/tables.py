"""What was measured, as a page of tables and a list of goals met and not met."""

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from tunewright.runs.environment import hardware

NAMES = {"prompt-tuning": "Prompt tuning, 20 slots in front", "lora": "LoRA, rank 8 on q and v"}
NO_BF16 = "not measured: this machine emulates bf16"
MB = 1e6
FASTER_BF16, OVERHEAD, SECONDS, BYTES = 1.5, 0.05, 60, 2e9


def page(found: dict[str, Any], *, command: str, steps: int) -> str:
    """The whole of results.md."""
    machine = hardware()
    libraries = ("torch", "transformers", "peft", "accelerate", "tokenizers")
    head = [
        "# Benchmark results",
        "",
        f"- Date: {datetime.now(UTC).date().isoformat()}",
        f"- Machine: {machine['name']} ({machine['device']}), {machine['threads']} threads, {machine['system']}",
        f"- Versions: tunewright {version('tunewright')}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in libraries),
        f"- Command: `{command}`",
        "",
        "Each cell is minimum / median / maximum. Ratios are taken pair by pair (ours, then theirs, each in a fresh "
        "process).",
        "What the numbers mean, and what they leave out, stands in README.md.",
        "",
    ]
    body: list[str] = []
    for method, by_precision in found["compared"].items():
        body += comparison(method, by_precision, steps)
    if found["overhead"]:
        body += overhead(found["overhead"], found["precisions"][-1])
    if found["rows"]:
        body += many_rows(found["rows"])
    told = [f"- {line}" for line in goals(found)]
    return "\n".join([*head, *body, "## Goals", "", *told, ""])


def comparison(method: str, by_precision: dict[str, dict[str, Any]], steps: int) -> list[str]:
    """One method's table: ours, theirs, the ratio."""
    start = next(iter(by_precision.values()))["start"]
    text = [
        f"## {NAMES[method]}",
        "",
        f"{start['trained_parameters']:,} trained parameters; {steps} steps of 8 rows, the first step not timed; "
        f"{start['shortest']} to {start['longest']} tokens a row, end token included, slots beside them.",
        "",
        "| Precision | Measured | Tunewright | PEFT + Trainer | Ratio |",
        "|---|---|---|---|---|",
    ]
    for precision in ("fp32", "bf16"):
        if precision not in by_precision:
            text.append(f"| {precision} | {NO_BF16} | | | |")
            continue
        pairs = by_precision[precision]["pairs"]
        for key, label, unit, digits in (
            ("examples_per_second", "examples/s", 1.0, 2),
            ("peak_bytes", "peak memory, MB", MB, 0),
            ("added_bytes", "of it added by training, MB", MB, 0),
        ):
            cells = [spread([pair[side][key] / unit for pair in pairs], digits) for side in ("ours", "peer")]
            text.append(f"| {precision} | {label} | {cells[0]} | {cells[1]} | {spread(ratios(pairs, key), 2)} |")
        worst = max(pair["loss_difference"] for pair in pairs)
        text.append(f"| {precision} | largest relative difference of a step's loss | | | {worst:.0e} |")
    return [*text, ""]


def overhead(found: dict[str, list[dict[str, Any]]], precision: str) -> list[str]:
    """The time of our loop outside forward, backward and optimiser step."""
    text = [
        f"## Our loop outside the model ({precision})",
        "",
        "| Method | Whole training, s | Forward, s | Backward, s | Optimiser, s | The rest, s | The rest, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, runs in found.items():
        cells = [spread([run["total"] for run in runs], 2)]
        cells += [spread([run["parts"][part] for run in runs], 2) for part in ("forward", "backward", "optimizer")]
        cells += [spread([rest(run) for run in runs], 3), spread([100 * rest(run) / run["total"] for run in runs], 1)]
        text.append(f"| {NAMES[method]} | {' | '.join(cells)} |")
    return [*text, ""]


def many_rows(found: dict[str, Any]) -> list[str]:
    """A run over many rows beside the same over few."""
    text = [
        f"## A run over {found['rows']:,} rows of JSON Lines",
        "",
        "A small random Llama, one step: what is measured is the way of the data.",
        "",
        "| Rows | First step done after, s | Whole run, s | Peak memory, MB |",
        "|---|---|---|---|",
    ]
    for rows, runs in ((found["few_rows"], found["few"]), (found["rows"], found["many"])):
        cells = [spread([run[key] for run in runs], 1) for key in ("first_step", "total")]
        text.append(f"| {rows:,} | {' | '.join(cells)} | {spread([run['peak_bytes'] / MB for run in runs], 0)} |")
    more = spread([value / MB for value in row_bytes(found)], 0)
    return [*text, f"| the difference | | | {more} |", ""]


def goals(found: dict[str, Any]) -> list[str]:
    """One line a goal: met, not met, not measurable here, or not asked for."""
    lines = []
    for method, name in NAMES.items():
        measured = found["compared"].get(method)
        for precision, least in (("fp32", 1.0), ("bf16", FASTER_BF16)):
            runs = measured.get(precision) if measured else None
            pairs = runs["pairs"] if runs else None
            missing = "not asked for in this run" if not measured else f"not measurable here ({NO_BF16})"
            for what, key, good, wanted in (
                ("speed", "examples_per_second", (lambda value, least=least: value >= least), f"at least {least:g}×"),
                ("peak memory", "peak_bytes", (lambda value: value <= 1), "at most 1×"),
            ):
                goal = f"{name}, {precision}: {what} {wanted} of PEFT + Trainer's"
                lines.append(verdict(goal, ratios(pairs, key) if pairs else None, good, "{:.3f}×", missing))
    for method, name in NAMES.items():
        runs = found["overhead"].get(method)
        shares = [rest(run) / run["total"] for run in runs] if runs else None
        goal = f"{name}: our loop outside the model under {OVERHEAD:.0%} of the time"
        lines.append(verdict(goal, shares, lambda share: share < OVERHEAD, "{:.1%}"))
    rows = found["rows"]
    count = rows["rows"] if rows else 1_000_000
    seconds = [run["first_step"] for run in rows["many"]] if rows else None
    lines.append(
        verdict(f"{count:,} rows: first step done within {SECONDS} s", seconds, lambda s: s < SECONDS, "{:.1f} s")
    )
    more = [value / 1e9 for value in row_bytes(rows)] if rows else None
    goal = f"{count:,} rows: under {BYTES / 1e9:g} GB above a run of few rows"
    lines.append(verdict(goal, more, lambda gigabytes: gigabytes < BYTES / 1e9, "{:.2f} GB"))
    return lines


def verdict(
    goal: str,
    values: Sequence[float] | None,
    good: Callable[[float], bool],
    form: str,
    missing: str = "not asked for in this run",
) -> str:
    """A goal and whether the median of what was measured meets it."""
    if not values:
        return f"{goal}: {missing}"
    middle = median(values)
    return f"{goal}: **{'met' if good(middle) else 'not met'}** (median {form.format(middle)})"


def ratios(pairs: Sequence[dict[str, Any]], key: str) -> list[float]:
    """Ours over theirs, pair by pair."""
    return [pair["ours"][key] / pair["peer"][key] for pair in pairs]


def rest(run: dict[str, Any]) -> float:
    """Seconds of a training that are not forward, backward or optimiser step."""
    return run["total"] - sum(run["parts"].values())


def row_bytes(found: dict[str, Any]) -> list[float]:
    """What many rows take above few, pair by pair."""
    return [many["peak_bytes"] - few["peak_bytes"] for few, many in zip(found["few"], found["many"])]


def spread(values: Sequence[float], digits: int) -> str:
    """minimum / median / maximum, or the value itself where there is one."""
    shown = [f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))]
    return shown[1] if len(values) == 1 else " / ".join(shown)
