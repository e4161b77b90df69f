"""What was measured, as a page: a table of goals met and not met, then the numbers."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from types import ModuleType
from typing import Any

from measuring import installed

from tunewright.runs.environment import hardware

MB = 1e6
NOT_ASKED = "not asked for in this run"


@dataclass(frozen=True)
class Goal:
    """Something to reach, and what was measured (None: nothing, for the reason `missing`)."""

    text: str
    values: Sequence[float] | None
    at_least: float | None = None
    at_most: float | None = None
    form: str = "{:.2f}×"
    missing: str = NOT_ASKED

    @property
    def row(self) -> list[str]:
        """Cells: the goal, whether the median meets it, the median."""
        if not self.values:
            return [self.text, "–", self.missing]
        middle = median(self.values)
        met = middle >= self.at_least if self.at_least is not None else middle <= (self.at_most or 0.0)
        return [self.text, "met" if met else "**not met**", self.form.format(middle)]


def page(found: Mapping[str, Any], modules: Mapping[str, ModuleType], command: str) -> str:
    """The whole of results.md. `found` has what each measurement found, {"missing": why} or {"failed": why}."""
    machine, versions = hardware(), installed()
    head = [
        "# Benchmark results",
        "",
        f"- Date: {datetime.now(UTC).date().isoformat()}",
        f"- Machine: {machine['name']} ({machine['device']}), {machine['threads']} threads, {machine['system']}",
        f"- Versions: Python {platform.python_version()}, " + ", ".join(f"{k} {v}" for k, v in versions.items()),
        f"- Command: `{command}`",
        "",
        "Each cell is minimum / median / maximum (one number: measured once). Ratios are ours over theirs in speed, so "
        "that above 1 is faster, and pair by pair. What is measured and what is left out stands in "
        "[README.md](README.md).",
        "",
        "## Goals",
        "",
    ]
    goals: list[list[str]] = []
    body: list[str] = []
    for name, module in modules.items():
        one = found.get(name)
        why = (one.get("missing") or one.get("failed")) if one else None
        for goal in module.goals(None if why else one, **_named(module, name)):
            goals.append([goal.text, "–", why] if why else goal.row)
        if why:
            body += [f"## {name}", "", f"{why}.", ""]
        elif one:
            body += module.page(one, **_named(module, name))
    return "\n".join([*head, *table(["Goal", "", "Measured (median)"], goals), *body]).rstrip() + "\n"


def _named(module: ModuleType, name: str) -> dict[str, str]:
    """A module that measures several ways alike is told which one."""
    return {"name": name} if hasattr(module, "NAMES") else {}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table and an empty one."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)] + [""]


def ratios(pairs: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Ours over theirs, pair by pair."""
    return [pair["ours"][key] / pair["peer"][key] for pair in pairs]


def spread(values: Sequence[float], digits: int) -> str:
    """minimum / median / maximum, or the value itself where there is one."""
    shown = [f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))]
    return shown[1] if len(values) == 1 else " / ".join(shown)
