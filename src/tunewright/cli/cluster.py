"""`tunewright cluster`: which kinds of rows there are, as a model sees them."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tunewright.cli.options import Json, Overwrite
from tunewright.cli.showing import plain_table, show, show_json, show_title
from tunewright.console import say

if TYPE_CHECKING:
    from tunewright.clusters.run import Clustered


def cluster(
    source: Annotated[
        str,
        typer.Argument(
            metavar="TASK|FILE",
            help="A task (a catalog name, a YAML file), or rows: CSV, TSV, JSONL, Parquet, .txt (a line a row).",
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="A catalog name, a hub id, a folder.", show_default=False)
    ] = None,
    tuned: Annotated[
        Path | None,
        typer.Option("--tuned", metavar="RUN", help="Also the tuned model of a run, beside its untuned one."),
    ] = None,
    field: Annotated[
        str | None, typer.Option("--field", help="The text (default: what the task's template shows, or `text`).")
    ] = None,
    algorithm: Annotated[
        Literal["kmeans", "hdbscan"], typer.Option("--algorithm", help="hdbscan finds k itself and leaves rows out.")
    ] = "kmeans",
    k: Annotated[
        str, typer.Option("--k", metavar="N|LOW-HIGH|auto", help="auto: 2–20; of several the largest silhouette.")
    ] = "auto",
    min_size: Annotated[
        int | None, typer.Option("--min-size", min=2, help="HDBSCAN's smallest cluster (default: 2 % of the rows).")
    ] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option("--split", help="Of a task (default: all three).")
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, help="At most so many rows, drawn.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=8, help="Longer texts are cut there (default: 256).")
    ] = None,
    picture: Annotated[Literal["pca", "tsne"], typer.Option("--picture", help="How the page's plane is made.")] = "pca",
    seed: Annotated[int, typer.Option("--seed")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Write clusters.json, clusters.jsonl, report.html.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Cluster rows by a model's sentence vectors, and show each cluster's words, labels and nearest rows.

    With --tuned RUN the untuned and the tuned model stand side by side. Labels are never used for clustering; where
    the task has them, NMI and ARI say how well the clusters agree with them.
    """
    from tunewright.clusters.run import Settings, check_output, clusters_json, verdict, write_clusters
    from tunewright.clusters.run import cluster as run_cluster
    from tunewright.clusters.texts import read_texts
    from tunewright.errors import InputError

    if min_size is not None and algorithm != "hdbscan":
        raise InputError("--min-size: for --algorithm hdbscan")
    if k != "auto" and algorithm == "hdbscan":
        raise InputError("--k: HDBSCAN finds the number of clusters itself; --min-size says how small one may be")
    if output is not None:
        check_output(output, overwrite=overwrite)
    texts = read_texts(source, wanted=field, split=split, count=rows, seed=seed)
    settings = Settings(model, tuned, algorithm, k, min_size, max_tokens, picture, seed)
    found = run_cluster(texts, settings)
    content = clusters_json(found, settings)
    if output is not None:
        options = {
            "--model": model, "--tuned": tuned, "--field": field, "--algorithm": algorithm, "--k": k,
            "--min-size": min_size, "--split": split, "--rows": rows, "--max-tokens": max_tokens,
            "--picture": picture, "--seed": seed, "--output": output,
        }  # fmt: skip
        defaults = {"--algorithm": "kmeans", "--k": "auto", "--picture": "pca", "--seed": 0}
        said = [w for key, v in options.items() if v is not None and v != defaults.get(key) for w in (key, str(v))]
        command = shlex.join(["tunewright", "cluster", source, *said])
        write_clusters(output, found, settings, command, overwrite=overwrite)
    if as_json:
        show_json({**content, "output": str(output) if output else None})
        return
    for note in found.notes:
        say(note)
    _show(found)
    for line in verdict(found):
        show(line)
    if output is not None:
        show(f"written: {output} (report.html, clusters.json, clusters.jsonl)")


def _show(found: "Clustered") -> None:
    """A table a model: each cluster's size, words and commonest labels."""
    for view in found.views:
        labelled: list[Any] = ["labels"] if found.texts.labels is not None else []
        table = plain_table("cluster", "rows", "words", *labelled)
        for column in table.columns[2:]:
            column.justify = "left"
        for row in view["clusters"]:
            shares = [f"{name} {100 * int(count) / row['rows']:.0f} %" for name, count in row["labels"][:3]]
            cells = [", ".join(shares)] if labelled else []
            table.add_row(str(row["cluster"]), str(row["rows"]), ", ".join(row["words"][:8]), *cells)
        show_title(f"{found.texts.source}, {view['label']}")
        show(table)
