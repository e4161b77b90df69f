"""Cluster the rows of a task or a file, and say what the clusters are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunewright import __version__
from tunewright.clusters.agreement import RESAMPLES, agreement
from tunewright.clusters.describe import Picture, nearest_rows, plane, top_words
from tunewright.clusters.grouping import Algorithm, Grouping, hdbscan, k_means, ks_of
from tunewright.clusters.texts import Texts
from tunewright.clusters.vectors import Side, both_sides, plain_side
from tunewright.errors import InputError
from tunewright.evaluation.intervals import Interval
from tunewright.files import write_folder, write_json, write_jsonl
from tunewright.reports import write_report
from tunewright.reports.data import ClusterRow, ClusterView, Estimate, ReportData
from tunewright.runs.environment import hardware
from tunewright.tasks.fingerprint import fingerprint

_SHOWN = 200  # characters of a row that the page and the screen show


@dataclass(frozen=True)
class Settings:
    """How rows are clustered; `k` is a number, a range or `auto`, `min_size` is HDBSCAN's (None: 2 % of the rows)."""

    model: str | None = None
    tuned: Path | None = None
    algorithm: Algorithm = "kmeans"
    k: str = "auto"
    min_size: int | None = None
    max_tokens: int | None = None
    picture: Picture = "pca"
    seed: int = 0
    words: int = 10
    examples: int = 3


@dataclass(frozen=True)
class Clustered:
    """What was found: the groupings by side (`untuned`, `tuned`), the views for the page, the differences in NMI and
    ARI where there are two sides and labels."""

    texts: Texts
    groupings: dict[str, Grouping]
    views: list[ClusterView]
    difference: dict[str, Interval]
    notes: list[str]


def cluster(texts: Texts, settings: Settings) -> Clustered:
    """Vectors, clusters and their description. Raises InputError for settings that the rows do not allow."""
    ks = ks_of(settings.k) if settings.algorithm == "kmeans" else []
    if ks and settings.k != "auto" and len(texts) < max(ks):
        raise InputError(f"--k {settings.k}: {texts.source} has only {len(texts)} rows")
    if len(texts) < 3:
        raise InputError(f"{texts.source}: {len(texts)} rows; three or more wanted")
    sides = _sides(texts, settings)
    groupings = {side.label: _grouped(side, ks, settings) for side in sides}
    agreed: dict[str, dict[str, Interval]] = {}
    difference: dict[str, Interval] = {}
    if texts.labels is not None:
        agreed, difference = agreement(texts.labels, {k: g.clusters for k, g in groupings.items()}, settings.seed)
    views = [_view(texts, side, groupings[side.label], agreed.get(side.label), settings) for side in sides]
    return Clustered(texts, groupings, views, difference, [*texts.notes, *_notes(texts, sides, settings)])


def _sides(texts: Texts, settings: Settings) -> list[Side]:
    if settings.tuned is not None:
        return both_sides(texts, settings.model, settings.tuned, settings.max_tokens)
    if settings.model is None:
        raise InputError("--model: a model wanted, or --tuned with a run's folder")
    return [plain_side(texts, settings.model, settings.max_tokens)]


def _grouped(side: Side, ks: Sequence[int], settings: Settings) -> Grouping:
    if settings.algorithm == "hdbscan":
        smallest = settings.min_size or max(5, len(side.vectors) // 50)
        return hdbscan(side.vectors, smallest, settings.seed)
    return k_means(side.vectors, ks, settings.seed, auto=settings.k == "auto")


def _notes(texts: Texts, sides: Sequence[Side], settings: Settings) -> list[str]:
    notes = [
        f"{'' if len(sides) == 1 else side.label + ': '}{side.cut} of {len(texts)} texts are longer than "
        f"{side.max_tokens} tokens and were cut there: their beginnings are clustered"
        for side in sides
        if side.cut
    ]
    if settings.tuned is not None:
        notes.append("both models read the rows in the template of the run, the tuned one with its soft prompt, if any")
        notes.append("rows that the run was tuned on may be among these (--split test leaves them out of a task)")
    return notes


def _view(
    texts: Texts, side: Side, found: Grouping, agreed: Mapping[str, Interval] | None, settings: Settings
) -> ClusterView:
    words = top_words(texts.texts, found.clusters, found.k, settings.words)
    nearest = nearest_rows(side.vectors, found.clusters, found.k, settings.examples)
    rows: list[ClusterRow] = []
    for number in range(found.k):
        members = [i for i, c in enumerate(found.clusters.tolist()) if c == number]
        labels = Counter(texts.labels[i] for i in members).most_common() if texts.labels else []
        examples = [{"id": str(texts.names[i]), "text": _short(texts.texts[i])} for i in nearest[number]]
        rows.append(
            {
                "cluster": number,
                "rows": len(members),
                "words": words[number],
                "labels": [[name, count] for name, count in labels],
                "examples": examples,
            }
        )
    at = plane(side.vectors, settings.picture, settings.seed)
    return {
        "label": side.label,
        "k": found.k,
        "silhouette": found.silhouette,
        "tried": [[k, value] for k, value in found.tried.items()],
        "noise": int((found.clusters < 0).sum()),
        "agreement": {name: _estimate(interval) for name, interval in agreed.items()} if agreed else None,
        "clusters": rows,
        "points": [[float(x), float(y)] for x, y in at],
        "members": found.clusters.tolist(),
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1].rstrip() + "…"


def clusters_json(found: Clustered, settings: Settings) -> dict[str, Any]:
    """The content of clusters.json; the points of the picture are left to the page."""
    sides = [{key: value for key, value in view.items() if key not in ("points", "members")} for view in found.views]
    chosen = {key: value for key, value in asdict(settings).items() if value is not None}
    return {
        "source": found.texts.source,
        "fields": list(found.texts.fields),
        "rows": len(found.texts),
        "rows_sha256": fingerprint(found.texts.rows),
        "settings": chosen | ({"tuned": str(settings.tuned)} if settings.tuned else {}),
        "tunewright": __version__,
        "models": sides,
        "tuned_minus_untuned": {name: interval.to_json() for name, interval in found.difference.items()} or None,
        "notes": found.notes,
    }


def write_clusters(folder: Path, found: Clustered, settings: Settings, command: str, *, overwrite: bool) -> None:
    """`clusters.json`, `clusters.jsonl` (a row's id and cluster) and `report.html`, all at once or none.

    Raises InputError where the folder holds something else, or clusters that are not to be written over.
    """
    check_output(folder, overwrite=overwrite)
    write_folder(folder, lambda inside: _fill(inside, found, settings, command))


def check_output(folder: Path, *, overwrite: bool) -> None:
    """The same refusals, before anything is computed."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / "clusters.json").is_file():
            raise InputError(f"{folder}: already there, and no folder of clusters; choose another --output")
        if not overwrite:
            raise InputError(f"{folder}: already there; --overwrite starts afresh")


def _fill(inside: Path, found: Clustered, settings: Settings, command: str) -> None:
    write_json(inside / "clusters.json", clusters_json(found, settings))
    several = len(found.groupings) > 1
    lines = []
    for i, name in enumerate(found.texts.names):
        line: dict[str, Any] = {"id": name}
        for label, grouping in found.groupings.items():
            number = int(grouping.clusters[i])
            line[label if several else "cluster"] = None if number < 0 else number
        lines.append(line)
    write_jsonl(inside / "clusters.jsonl", lines)
    write_report(inside / "report.html", _page(found, settings, command))


def _page(found: Clustered, settings: Settings, command: str) -> ReportData:
    machine = hardware()
    model = settings.model or f"that of {settings.tuned}"
    how = {"kmeans": "k-means, ten starts", "hdbscan": "HDBSCAN"}[settings.algorithm]
    page: ReportData = {
        "title": f"Clusters of {found.texts.source}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "setup": [
            ["model", model],
            ["rows", f"{len(found.texts)}; text: {', '.join(found.texts.fields)}"],
            ["vectors", "mean of the model's last states over the text, at length one"],
            ["clusters", f"{how}; k {settings.k}" if settings.algorithm == "kmeans" else how],
            ["seed", str(settings.seed)],
            ["hardware", f"{machine['name']} ({machine['device']}, {machine['threads']} threads)"],
        ],
        "notes": found.notes,
        "verdict": verdict(found),
        "tasks": [],
        "clusters": found.views,
        "row_names": [str(name) for name in found.texts.names],
        "row_texts": [_short(text)[:80] for text in found.texts.texts],
    }
    if found.texts.labels is not None:
        page["row_labels"] = found.texts.labels
    return page


def verdict(found: Clustered) -> list[str]:
    """What there is to say in a sentence or two a model."""
    lines = []
    for view in found.views:
        noise = f", {view['noise']} rows in none" if view["noise"] else ""
        text = f"{view['label']}: {view['k']} clusters{noise}"
        if view["silhouette"] is not None:
            text += f", silhouette {view['silhouette']:.3f}"
        if (agreed := view["agreement"]) is not None:
            text += f"; with the labels NMI {_said(agreed['nmi'])}, ARI {_said(agreed['ari'])}"
        lines.append(text + ".")
    if found.difference:
        nmi = found.difference["nmi"]
        low, high = nmi.low or 0.0, nmi.high or 0.0
        word = "better" if low > 0 else "worse" if high < 0 else "neither better nor worse"
        lines.append(
            f"Tuned minus untuned: NMI {nmi.value:+.3f} [{low:+.3f} to {high:+.3f}]: on these rows the tuned model's "
            f"clusters agree with the labels {word}."
        )
    if any(view["agreement"] for view in found.views):
        lines.append(f"Intervals at 95 %: {RESAMPLES} resamples of the rows, the clusters as they were found.")
    return lines


def _estimate(interval: Interval) -> Estimate:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _said(value: Estimate) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}–{value['high']:.3f}]"
