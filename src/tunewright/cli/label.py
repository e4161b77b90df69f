"""`tunewright label`: a tuned model's labels for rows without any, where it is sure."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import Json, RunPath
from tunewright.cli.predict import columns_of, new_rows, render_all
from tunewright.cli.showing import finite, show, show_json
from tunewright.console import progress


def label(
    run: RunPath,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Rows as JSONL, CSV, TSV, Parquet or JSON.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", help="The JSONL file for the rows that got a label.")],
    threshold: Annotated[
        float, typer.Option("--threshold", min=0, max=1, help="Keep rows whose label has at least this probability.")
    ] = 0.9,
    as_json: Json = False,
) -> None:
    """Label the rows that a tuned classifier is confident about, as training rows of its own task.

    Each row keeps its columns and gets the label, under the name that the task's data has for it, and its `confidence`:
    the probability among the labels.
    """
    from tunewright.files import write_text
    from tunewright.pretraining.pseudo_labels import Labeller
    from tunewright.runs.probabilities import confident
    from tunewright.tasks.readers import read_file

    raw = read_file(file)
    labeller = Labeller.load(run)
    prepared = labeller.prepared
    rows = new_rows(prepared, raw)
    render_all(prepared, rows, raw)
    target = columns_of(prepared).get(prepared.task.target, prepared.task.target)
    lines, counts = [], Counter(dict.fromkeys(labeller.labels, 0))
    with progress("labelling", len(rows)) as bar:
        for i, probabilities in enumerate(labeller.ask(rows, bar)):
            if (found := confident(labeller.labels, probabilities, threshold)) is None:
                continue
            counts[found[0]] += 1
            row = {name: column[i] for name, column in raw.columns.items()}
            lines.append(finite(row | {target: found[0], "confidence": found[1]}))
    write_text(output, "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines))
    if as_json:
        show_json({"rows": len(rows), "labelled": len(lines), "labels": dict(counts), "output": str(output)})
    else:
        told = ", ".join(f"{name} {n}" for name, n in counts.items())
        show(f"{len(lines)} of {len(rows)} rows at {threshold:g} or more: {told}")
        show(f"written: {output}")
