"""`tunewright tasks`: what can be done with the task catalog as a whole."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import Json
from tunewright.cli.showing import list_table, show, show_json

app = typer.Typer(help="The task catalog: check its tasks against data, list its clusters.", no_args_is_help=True)


@app.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder a task: DIR/sst2/train.jsonl …")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Which tasks; all of DIR if none.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of each split that every template renders.")] = 50,
    as_json: Json = False,
) -> int:
    """Check the catalog's tasks against data at hand: do they open, are fields and labels there, does every template
    render, do the answers stand among the choices. Exit code 1 if a task fails.
    """
    from tunewright.prompts.verify import verify_folder

    verdicts = verify_folder(folder, names, rows=rows)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if as_json:
        show_json({"failed": len(failed), "tasks": [verdict.to_json() for verdict in verdicts]})
        return 1 if failed else 0
    table = list_table("", "task", "kind", "cluster", "train", "validation", "test", "templates", "what is wrong")
    for verdict in verdicts:
        counts = [str(verdict.rows.get(split, "–")) for split in ("train", "validation", "test")]
        wrong = verdict.problems[0] if verdict.problems else ""
        more = f" (and {len(verdict.problems) - 1} more)" if len(verdict.problems) > 1 else ""
        mark = "✓" if verdict.passed else "✗"
        table.add_row(mark, verdict.task, verdict.kind, verdict.cluster, *counts, str(verdict.templates), wrong + more)
    show(table)
    show(f"{len(verdicts) - len(failed)} of {len(verdicts)} tasks pass")
    return 1 if failed else 0


@app.command("clusters")
def clusters(as_json: Json = False) -> None:
    """List the clusters of the catalog: their tasks, and how many templates these have together."""
    found = cluster_table()
    if as_json:
        show_json(found)
        return
    table = list_table("cluster", "templates", "tasks")
    for entry in found:
        table.add_row(str(entry["cluster"]), str(entry["templates"]), ", ".join(entry["tasks"]))  # type: ignore[arg-type]
    show(table)


def cluster_table() -> list[dict[str, object]]:
    """Each cluster with its tasks; `templates` counts texts that differ."""
    from tunewright.tasks.catalog import catalog_entry, catalog_names

    entries = [catalog_entry(name) for name in catalog_names()]
    found = []
    for cluster in sorted({str(entry.cluster) for entry in entries}):
        members = [entry for entry in entries if entry.cluster == cluster]
        texts = {t if isinstance(t, str) else t.jinja for entry in members for t in entry.templates.values()}
        found.append({"cluster": cluster, "templates": len(texts), "tasks": [str(entry.name) for entry in members]})
    return found
