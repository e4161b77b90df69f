"""The time of our loop outside forward, backward and optimiser step."""

from typing import Any

from compared import NAMES as METHODS
from measuring import Bench
from tables import Goal, spread, table

MEASURED = ("prompt-tuning", "lora")
SHARE = 0.05


def measure(bench: Bench) -> dict[str, Any]:
    """Our side alone; what the comparisons have measured already is taken from there."""
    found: dict[str, Any] = {"precision": bench.best, "runs": {}}
    for name in MEASURED:
        spec = {**bench.subject(), "method": name, "steps": bench.steps}
        bench.measure("sides:start", name, **spec)
        spec["precision"] = bench.best
        found["runs"][name] = [bench.measure("sides:ours", name, turn, **spec) for turn in range(bench.pairs)]
    return found


def page(found: dict[str, Any]) -> list[str]:
    """Seconds of each part."""
    rows = []
    for name, runs in found["runs"].items():
        cells = [spread([run["total"] for run in runs], 2)]
        cells += [spread([run["parts"][part] for run in runs], 2) for part in ("forward", "backward", "optimizer")]
        cells += [spread([rest(run) for run in runs], 3), spread([100 * rest(run) / run["total"] for run in runs], 1)]
        rows.append([METHODS[name], *cells])
    head = ["Method", "Whole training, s", "Forward, s", "Backward, s", "Optimiser, s", "The rest, s", "The rest, %"]
    return [f"## Our loop outside the model ({found['precision']})", "", *table(head, rows)]


def goals(found: dict[str, Any] | None) -> list[Goal]:
    """Under 5 % of the time."""
    lines = []
    for name in MEASURED:
        shares = [rest(run) / run["total"] for run in found["runs"][name]] if found else None
        text = f"{METHODS[name]}: our loop outside the model under {SHARE:.0%} of the time"
        lines.append(Goal(text, shares, at_most=SHARE, form="{:.1%}"))
    return lines


def rest(run: dict[str, Any]) -> float:
    """Seconds of a training that are not forward, backward or optimiser step."""
    return run["total"] - sum(run["parts"].values())
