"""`tunewright check`: what a recipe would do, and what is wrong with it, without training."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.options import Json, Overrides, RecipeFile
from tunewright.cli.showing import list_table, show, show_json

if TYPE_CHECKING:
    from rich.table import Table

    from tunewright.cli.checking import Checked


def check(
    recipe: RecipeFile,
    overrides: Overrides = [],  # noqa: B006
    rows: Annotated[int, typer.Option("--rows", min=0, help="How many rendered prompts to print.")] = 3,
    no_model: Annotated[bool, typer.Option("--no-model", help="Leave the model out: recipe and data only.")] = False,
    as_json: Json = False,
) -> None:
    """Check a recipe: its keys, its task, its templates against every row, its method, then the model.

    Prints counts, token lengths, and prompts as the model gets them: the row's text cyan, soft prompts magenta, the
    answer green. Prompts longer than training.max_tokens are shown whole.
    """
    from tunewright.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)

    from tunewright.cli.checking import check_recipe

    checked = check_recipe(loaded, rows, not no_model)
    if as_json:
        show_json({"recipe": str(recipe), **checked.facts})
    else:
        _show(checked)


def _show(checked: "Checked") -> None:
    from rich.text import Text

    from tunewright.console import output
    from tunewright.prompts.show import render_rich

    if "mixture" in checked.facts:
        from tunewright.cli.checking_mixture import show_mixture

        show_mixture(checked.facts)
    else:
        for facts in checked.facts.get("tasks", [checked.facts]):
            show(_table(facts))
    for name, template, prompt in checked.shown:
        show(Text(f"── {name}, template {template}", "bold"))
        output.print(render_rich(prompt), soft_wrap=True)
        show()
    if memory := checked.facts["memory"]:
        show(_memory(memory))
    show("The recipe is in order.")


def _memory(memory: dict[str, Any]) -> str:
    """`memory: about 4.3 GB at most (…); 2.9 GB of it to come, 20 GB are free`."""
    from tunewright.reports.formats import size

    parts = ", ".join(f"{name} {size(value)}" for name, value in memory["parts"].items() if value)
    free = f", {size(memory['free'])} are free" if memory["free"] is not None else ""
    return f"memory: about {size(memory['peak'])} at most ({parts}); {size(memory['added'])} of it to come{free}"


def _table(facts: dict[str, Any]) -> "Table":
    """What is known of one task and of what the model sees of it."""
    from tunewright.reports.formats import count, size

    table = list_table("", "")
    table.show_header = False
    table.add_row("task", f"{facts['task']} ({facts['kind']})")
    for split, counts in facts["splits"].items():
        labels = ", ".join(f"{label} {n}" for label, n in counts.get("labels", {}).items())
        skipped = f", {counts['skipped']} empty and skipped" if counts["skipped"] else ""
        table.add_row(split, f"{counts['rows']} rows{skipped}" + (f" ({labels})" if labels else ""))
    table.add_row("training on", f"{facts['training_rows']} rows")
    if "share" in facts:
        table.add_row("drawn as", f"{100 * facts['share']:.1f} % of the rows of all tasks")
    for note in facts["notes"]:
        table.add_row("note", note)
    table.add_row("templates", ", ".join(facts["templates"]))
    table.add_row("metrics", ", ".join(facts["metrics"]))
    method = dict(facts["method"])
    settings = "".join(f", {key} {value}" for key, value in method.items() if key != "name")
    table.add_row("method", method["name"] + settings)
    if facts["slots"]:
        table.add_row("slots", facts["slots"])
    model = facts["model"]
    if "tokens" in model:
        tokens = model["tokens"]
        table.add_row("model", f"{model['name']} ({model['family']}, {count(model['parameters'])} parameters)")
        lengths = f"{tokens['min']} to {tokens['max']}, median {tokens['median']:g} ({tokens['rows']} rows looked at)"
        table.add_row("tokens a row", lengths)
        table.add_row(
            "cut", f"{model['cut']} of {tokens['rows']} rows pass training.max_tokens ({model['max_tokens']})"
        )
        if "constant" in model:
            part = model["constant"]
            when = "in looks at validation (the model has dropout)" if part["looks_only"] else "where rows come again"
            told = f"{part['tokens']} of {part['of']} tokens a row stand {part['part']}: read once {when}"
            table.add_row("constant", f"{told}, {size(part['bytes'])} kept a row")
        if "left_out" in model:
            table.add_row("examples", f"{model['left_out']} of {tokens['rows']} rows")
    elif "requests" in model:
        known = f", {model['known']} of them answered before" if model["known"] else ""
        table.add_row("model", f"{model['name']} (behind an API; nothing was sent)")
        table.add_row("requests", f"{model['requests']}{known}; the budget is {model['budget']}")
    else:
        table.add_row("model", f"{model['name']} (not looked at)")
    return table
