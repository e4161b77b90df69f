"""What `tunewright check` says of a recipe's battery and remedies."""

from typing import Any

from tunewright.errors import InputError
from tunewright.forgetting.battery import read_battery
from tunewright.recipe import Recipe
from tunewright.runs.battery import battery_of
from tunewright.runs.prepare import Prepared
from tunewright.runs.remedies import open_remedies


def forgetting_facts(recipe: Recipe, prepared: Prepared | None) -> dict[str, Any]:
    """`battery` and `remedies`, where the recipe has them: the tasks that can be had and asked, those left out, and how
    many rows each remedy reads. Remedies stay open in `prepared`, for the memory estimate.

    Without a model (None) only the battery's name or file is read. Raises InputError for what cannot be done.
    """
    found: dict[str, Any] = {}
    wanted = recipe.evaluation.battery
    if prepared is None:
        if wanted is not None:
            name, block = read_battery(wanted, recipe.evaluation.battery_rows)
            found["battery"] = {"name": name, "listed": len(block.tasks)}
        if recipe.remedies is not None and not isinstance(recipe.model, str):
            raise InputError("remedies: they want a model that is tuned here, not one behind an API")
        return found
    if (battery := battery_of(prepared)) is not None:
        found["battery"] = {
            "name": battery.name,
            "listed": len(battery.block.tasks),
            "tasks": [item.name for item in battery.items],
            "missing": [{"task": one.name, "why": one.why} for one in battery.missing],
        }
    prepared.remedies = open_remedies(prepared)
    if prepared.remedies is not None:
        opened = prepared.remedies
        found["remedies"] = {
            **{name: {"rows": len(rows.pairs)} for name, rows in opened.rows.items()},
            **{name: {"tasks": [item.name for item in one.items]} for name, one in opened.batteries.items()},
            **({"l2-sp": {}} if opened.block.l2_sp is not None else {}),
        }
    return found


def forgetting_lines(facts: dict[str, Any]) -> list[str]:
    """The same as people read it."""
    lines = []
    if (battery := facts.get("battery")) is not None:
        had = battery.get("tasks")
        told = "" if had is None else f", {len(had)} can be had and asked here: {', '.join(had)}"
        lines.append(f"battery: {battery['name']}, {battery['listed']} tasks{told}")
    for name, one in facts.get("remedies", {}).items():
        rows = f" {one['rows']} other rows" if "rows" in one else ""
        tasks = f" on validation rows of {', '.join(one['tasks'])}" if "tasks" in one else ""
        lines.append(f"remedy: {name}{rows}{tasks}")
    return lines
