"""Write what clusters were found: `python docs/results/clusters.py PAGE.md DIR…`, DIR made by `tunewright cluster`.

Nothing is computed here; the figures are those of clusters.json.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

_DEFAULTS = {"algorithm": "kmeans", "k": "auto", "picture": "pca", "seed": 0, "words": 10, "examples": 3}


def command(value: dict[str, Any], folder: Path) -> str:
    """The command that made the folder."""
    words = ["tunewright", "cluster", value["source"]]
    for key, setting in value["settings"].items():
        if setting != _DEFAULTS.get(key):
            words += [f"--{key.replace('_', '-')}", str(setting)]
    return shlex.join([*words, "--output", str(folder)])


def shown(value: dict[str, float]) -> str:
    """A value and its interval."""
    return f"{value['value']:.3f} [{value['low']:.3f}–{value['high']:.3f}]"


def section(folder: Path) -> list[str]:
    """One output: its figures, its clusters."""
    value = json.loads((folder / "clusters.json").read_text(encoding="utf-8"))
    lines = [f"## {value['source']}: {value['settings']['algorithm']}", "", f"    {command(value, folder)}", ""]
    lines += [f"- {value['rows']} rows; {note}" for note in value["notes"]]
    for model in value["models"]:
        agreed = model["agreement"]
        told = f"{model['label']}: {model['k']} clusters"
        told += f", silhouette {model['silhouette']:.3f}" if model["silhouette"] is not None else ""
        told += f", {model['noise']} rows in none" if model["noise"] else ""
        told += f"; NMI {shown(agreed['nmi'])}, ARI {shown(agreed['ari'])}" if agreed else ""
        lines += ["", f"**{told}**", "", "| cluster | rows | words | labels |", "|---|---|---|---|"]
        for row in model["clusters"]:
            labels = ", ".join(f"{name} {100 * count / row['rows']:.0f} %" for name, count in row["labels"][:3])
            lines.append(f"| {row['cluster']} | {row['rows']} | {', '.join(row['words'])} | {labels} |")
        if model["tried"]:
            tried = ", ".join(f"{k}: {value:.3f}" for k, value in model["tried"])
            lines += ["", f"Mean silhouette of each k tried: {tried}."]
    return [*lines, ""]


def main() -> None:
    """The command."""
    page, folders = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    first = json.loads((folders[0] / "clusters.json").read_text(encoding="utf-8"))
    lines = [
        "# Clusters", "",
        f"Written by `python docs/results/clusters.py {page} {shlex.join(map(str, folders))}` from what the commands "
        f"below gave (tunewright {first['tunewright']}). Labels are never used for clustering. Intervals at 95 %: 500 "
        "resamples of the rows, the clusters as they were found.", "",
    ]  # fmt: skip
    for folder in folders:
        lines += section(folder)
    page.write_text("\n".join(lines), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
