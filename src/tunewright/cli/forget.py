"""`tunewright forget`: what a tuned model forgot, on a battery of tasks."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import plain_table, show, show_json, show_title


def forget(
    first: Annotated[
        str,
        typer.Argument(metavar="RUN|MODEL", help="A run's folder, a PEFT folder or a model.", show_default=False),
    ],
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL2]", help="Compared with the first one: after against before.", show_default=False
        ),
    ] = None,
    battery: Annotated[str, typer.Option("--battery", help="A battery's name, or the YAML file of one.")] = "general",
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Rows of each task (default: the battery's number).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Where the results go (default: the run's folder, else runs/forget-BATTERY)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a battery of tasks before and after: a run or a PEFT folder against its own model, or any two models.

    Writes forgetting-BATTERY/ with battery.json, battery-rows.json and report.html. What untuned models answered is
    kept in the cache.
    """
    from tunewright.reports import write_report
    from tunewright.runs.battery import read_battery_json, write_battery
    from tunewright.runs.forget import forget as measured
    from tunewright.runs.forget import source_of

    found = measured(first, second, battery, rows)
    name = Path(battery).stem
    last = second or first
    if output is None:
        inside = source_of(last).kind == "run"
        output = Path(last) / f"forgetting-{name}" if inside else Path("runs") / f"forget-{name}"
    write_battery(output, found)
    content = read_battery_json(output)
    assert content is not None
    words = ["tunewright forget", first, *([second] if second else []), "--battery", battery]
    command = " ".join([*words, *(["--rows", str(rows)] if rows else [])])
    write_report(
        output / "report.html",
        {
            "title": f"{last}: what was forgotten",
            "made": datetime.datetime.now().isoformat(timespec="seconds"),
            "command": command,
            "setup": [["before", first if second else "the model it was tuned from"], ["after", last]],
            "notes": [],
            "verdict": [],
            "tasks": [],
            "forgetting": content,
        },
    )
    if as_json:
        show_json({**content, "folder": str(output)})
        return
    show_battery(content)
    show(f"written: {output}")


def show_battery(content: dict[str, Any]) -> None:
    """A row a task, the change of each side; then a sentence a side and what was left out."""
    from tunewright.reports.forgetting import forgetting_view

    view = forgetting_view(content)
    sides = [part for side in view["sides"] for part in (f"after, {side}", "change", "")]
    table = plain_table(f"battery {view['battery']}", "metric", "rows", "before", *sides)
    for row in view["rows"]:
        task = row["task"]
        cells = [part for cell in row["cells"] for part in (cell["after"], cell["change"], cell["verdict"])]
        name = f"{task['task']} (tuned on)" if task["tuned"] else task["task"]
        table.add_row(name, row["metric"], str(task["rows"]), row["before"], *cells)
    show_title(f"what was forgotten (battery {view['battery']}, rows of {view['split']}; intervals at 95 %)")
    show(table)
    for sentence in view["sentences"]:
        show(sentence)
    if view["missing"]:
        show(f"left out: {', '.join(one['task'] for one in view['missing'])} (see the report for why)")
