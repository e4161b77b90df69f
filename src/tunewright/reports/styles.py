"""The look of each method in every figure: a colour, a symbol and a dash, so that colour is never the only sign."""

from collections.abc import Iterable
from typing import NamedTuple

from tunewright.reports.data import TaskData

# Okabe & Ito's colours for the colour-blind, without black (the text's colour) and yellow (unreadable on white).
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "hexagon")
BASELINE_SYMBOLS = ("x", "cross", "square-open", "diamond-open", "triangle-up-open")
DASHES = ("solid", "dash", "dot", "dashdot")
# Paths in a box from -6 to 6 that look like plotly's symbols, for the legend outside the figures.
PATHS = {
    "circle": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
    "square": "M-4.5,-4.5H4.5V4.5H-4.5Z",
    "diamond": "M0,-6L6,0L0,6L-6,0Z",
    "triangle-up": "M0,-5.5L5.5,4.5H-5.5Z",
    "triangle-down": "M0,5.5L5.5,-4.5H-5.5Z",
    "pentagon": "M0,-5.5L5.2,-1.7L3.2,4.5H-3.2L-5.2,-1.7Z",
    "hexagon": "M5,-2.9V2.9L0,5.8L-5,2.9V-2.9L0,-5.8Z",
    "x": "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0Z",
    "cross": "M-1.5,-5.5H1.5V-1.5H5.5V1.5H1.5V5.5H-1.5V1.5H-5.5V-1.5H-1.5Z",
}


class Style(NamedTuple):
    """How a method looks. A colour that begins with `var(` is the page's, looked up when the figure is drawn."""

    color: str
    symbol: str
    dash: str

    @property
    def path(self) -> str:
        """The symbol as an SVG path in a box from -6 to 6."""
        return PATHS[self.symbol.removesuffix("-open")]

    @property
    def is_open(self) -> bool:
        """Whether the symbol is an outline."""
        return self.symbol.endswith("-open")


def assign_styles(tasks: Iterable[TaskData]) -> dict[str, Style]:
    """A style for each label of the tables and curves, the same in all tasks, in order of first appearance."""
    kinds: dict[str, str] = {}
    for task in tasks:
        for row in task["table"]:
            kinds.setdefault(row["label"], row["kind"])
        for curve in task["curves"]:
            kinds.setdefault(curve["label"], "tuned")
    styles: dict[str, Style] = {}
    tuned = baselines = 0
    for label, kind in kinds.items():
        if kind == "zero-shot":
            styles[label] = Style("var(--text)", "circle-open", "solid")
        elif kind == "baseline":
            styles[label] = Style("var(--baseline)", BASELINE_SYMBOLS[baselines % len(BASELINE_SYMBOLS)], "solid")
            baselines += 1
        else:
            color, symbol = OKABE_ITO[tuned % len(OKABE_ITO)], SYMBOLS[tuned % len(SYMBOLS)]
            styles[label] = Style(color, symbol, DASHES[tuned // len(OKABE_ITO) % len(DASHES)])
            tuned += 1
    return styles
