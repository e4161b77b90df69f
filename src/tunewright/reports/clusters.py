"""The report's clusters: a table, the rows in a plane by cluster and by label, the silhouettes of the k tried."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from tunewright.reports.data import ClusterRow, ClusterView, ReportData
from tunewright.reports.figures import Figure, axis, figure
from tunewright.reports.styles import OKABE_ITO, SYMBOLS, Style
from tunewright.seeds import numpy_random

MOST_POINTS = 3000  # of more rows the picture shows a seeded sample
_NOISE = "in no cluster"


def cluster_views(data: ReportData) -> list[dict[str, Any]]:
    """What the page shows of each model's clusters."""
    return [_view(view, data) for view in data.get("clusters", [])]


def style_of(number: int) -> Style:
    """A colour and a symbol for each of many kinds; 42 pairs before one comes again."""
    return Style(OKABE_ITO[number % len(OKABE_ITO)], SYMBOLS[number % len(SYMBOLS)], "solid")


def _view(view: ClusterView, data: ReportData) -> dict[str, Any]:
    total = len(view["members"])
    shown = np.arange(total)
    if total > MOST_POINTS:
        shown = np.sort(numpy_random("picture", total).choice(total, MOST_POINTS, replace=False))
    by_cluster = [_NOISE if member < 0 else _name(view["clusters"][member]) for member in view["members"]]
    names = [_name(row) for row in view["clusters"]] + ([_NOISE] if view["noise"] else [])
    some = f"{len(shown)} of {total} rows" if len(shown) < total else "rows"
    pictures = [_picture(f"The {some} by cluster", "Clusters", by_cluster, names, shown.tolist(), view, data)]
    labels = data.get("row_labels")
    if labels is not None:
        kinds = sorted(set(labels))
        pictures.append(_picture("The same by label", "Labels", labels, kinds, shown.tolist(), view, data))
    return {
        "title": f"{view['k']} clusters, {view['label']}",
        "about": _about(view),
        "labelled": labels is not None,
        "rows": [_row(row, total) for row in view["clusters"]],
        "pictures": pictures,
        "silhouettes": _silhouettes(view),
    }


def _name(row: ClusterRow) -> str:
    return f"{row['cluster']}: {', '.join(row['words'][:3])}"


def _about(view: ClusterView) -> str:
    parts = [] if view["silhouette"] is None else [f"silhouette {view['silhouette']:.3f}"]
    if view["agreement"] is not None:
        for name, e in view["agreement"].items():
            parts.append(f"{name.upper()} {e['value']:.3f} [{e['low']:.3f}–{e['high']:.3f}]")
    if view["noise"]:
        parts.append(f"{view['noise']} rows in no cluster")
    return "; ".join(parts)


def _row(row: ClusterRow, total: int) -> dict[str, Any]:
    return {
        "cluster": row["cluster"],
        "rows": f"{row['rows']:,}",
        "share": f"{100 * row['rows'] / total:.0f} %",
        "words": ", ".join(row["words"]) or "–",
        "labels": ", ".join(f"{name} {100 * int(count) / row['rows']:.0f} %" for name, count in row["labels"][:3]),
        "examples": row["examples"],
    }


def _picture(
    title: str,
    what: str,
    kind_of: Sequence[str],
    kinds: Sequence[str],
    shown: Sequence[int],
    view: ClusterView,
    data: ReportData,
) -> tuple[Figure, list[tuple[str, Style]], str]:
    """A scatter plot with a trace for each kind of row, and its legend."""
    entries = [
        (kind, Style("var(--baseline)", "x", "solid") if kind == _NOISE else style_of(number))
        for number, kind in enumerate(kinds)
    ]
    traces = []
    for kind, style in entries:
        mine = [i for i in shown if kind_of[i] == kind]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [round(view["points"][i][0], 4) for i in mine],
                "y": [round(view["points"][i][1], 4) for i in mine],
                "marker": {"size": 6, "color": style.color, "symbol": style.symbol, "opacity": 0.7},
                "name": escape(kind),
                "legendgroup": kind,
                "text": [escape(f"{kind} · {data['row_names'][i]}: {data['row_texts'][i]}") for i in mine],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    plain = {"showticklabels": False, "ticks": ""}
    return (
        figure(title, traces, 420, hovermode="closest", xaxis=axis("", **plain), yaxis=axis("", **plain)),
        entries,
        what,
    )


def _silhouettes(view: ClusterView) -> Figure | None:
    """The silhouette of each k that was tried."""
    if len(view["tried"]) < 2:
        return None
    ks, values = [int(k) for k, _ in view["tried"]], [value for _, value in view["tried"]]
    sizes = [12 if k == view["k"] else 7 for k in ks]
    trace = {
        "type": "scatter", "mode": "lines+markers", "x": ks, "y": values,
        "line": {"color": OKABE_ITO[0], "width": 2}, "marker": {"color": OKABE_ITO[0], "size": sizes},
        "text": [f"k {k}: {value:.3f}" for k, value in zip(ks, values)], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    return figure(
        "Mean silhouette of each k; the largest is taken",
        [trace],
        330,
        xaxis=axis("k", dtick=2),
        yaxis=axis("", nticks=6),
    )
