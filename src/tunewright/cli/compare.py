"""`tunewright compare`: all runs of a study, side by side."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewright.cli.options import Json, Overrides, Overwrite, Resume
from tunewright.cli.showing import estimate, plain_table, show, show_json, show_title
from tunewright.console import say


def compare(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="The study, a YAML file.", show_default=False)],
    overrides: Overrides = [],  # noqa: B006
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The study's folder (default: the study's output, else studies/STUDY)."),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    part: Annotated[
        str, typer.Option("--part", metavar="I/N", help="Only trials I, I+N, I+2N …: a study in N parts.")
    ] = "1/1",
    as_json: Json = False,
) -> None:
    """Run methods × tasks × seeds and write one report.

    A failed trial does not end the study; with --resume the finished ones are kept and the others tried again.
    Parts may run at the same time (the later ones with --resume); the report has what is finished.
    """
    from tunewright.errors import InputError
    from tunewright.studies.compare import compare as run_study

    found = re.fullmatch(r"(\d+)/(\d+)", part)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--part {part}: I/N wanted, 1 to N, e.g. 2/4")
    share = int(found[1]), int(found[2])
    result = run_study(study, overrides=overrides, resume=resume, overwrite=overwrite, output=output, part=share)
    if as_json:
        show_json(
            {
                "folder": str(result.folder),
                "report": str(result.report),
                "tables": result.tables,
                "verdict": result.verdict,
                "failed": result.failed,
            }
        )
    else:
        for table in result.tables:
            show_table(table)
        for sentence in result.verdict:
            show(sentence)
        show(f"folder: {result.folder}")
        show(f"report: {result.report}")
    for line in result.failed:
        say(f"failed: {line}")


def show_table(task: dict[str, Any]) -> None:
    """One task of a study: a row a method, baselines dim, tuned methods bold."""
    from tunewright.reports import formats

    metric, rows = task["metric"], task["rows"]
    names = list(dict.fromkeys([metric, *(name for row in rows for name in row["metrics"])]))
    headers = [formats.metric_name(name) for name in names]
    table = plain_table("", *headers, "vs zero-shot", "trained", "to ship", "time", "examples/s")
    for row in rows:
        cost, difference = row["cost"] or {}, row["difference"]
        change = formats.NOTHING
        if difference and difference["value"] is not None:
            change = formats.estimate_text(metric, difference, signed=True)
        label = row["label"] + (f" ({len(row['failed'])} failed)" if row.get("failed") else "")
        table.add_row(
            label,
            *(estimate(name, row["metrics"].get(name)) for name in names),
            change,
            formats.count(cost.get("trained_parameters")),
            formats.size(cost.get("artifact_bytes")),
            formats.seconds(cost.get("train_seconds")),
            formats.rate(cost.get("examples_per_second")),
            style={"tuned": "bold", "baseline": "dim"}.get(row["kind"]),
        )
    show_title(task["task"])
    show(table)
