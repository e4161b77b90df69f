"""Numbers as people read them: scores times 100, 1.3 M, 22 kB, 34 s."""

from collections.abc import Mapping
from typing import Any

NOTHING = "–"
# These are not shares, so they are shown as they are; all other metrics are fractions, shown times 100.
UNSCALED_DIGITS = {"pearson": 2, "spearman": 2, "mse": 2, "mae": 2, "loss": 3}
LOWER_IS_BETTER = {"mse", "mae", "loss"}
METRIC_NAMES = {
    "macro-f1": "macro-F1",
    "token-f1": "token-F1",
    "entity-f1": "entity-F1",
    "exact-match": "exact match",
    "final-answer": "final answer",
    "rouge-1": "ROUGE-1",
    "rouge-2": "ROUGE-2",
    "rouge-l": "ROUGE-L",
    "chrf": "chrF",
    "names-precision": "names precision",
    "names-recall": "names recall",
    "numbers-precision": "numbers precision",
    "numbers-recall": "numbers recall",
    "speakers-recall": "speakers recall",
    "novel-bigrams": "novel bigrams",
    "mse": "MSE",
    "mae": "MAE",
    "pearson": "Pearson r",
    "spearman": "Spearman ρ",
}


def metric_name(metric: str) -> str:
    """The metric's name for people: `rouge-1` → `ROUGE-1`; one that is not listed stays as it is."""
    return METRIC_NAMES.get(metric, metric)


def scaled(metric: str, value: float) -> float:
    """The number that is shown for a metric's value: times 100 for shares."""
    return value if metric in UNSCALED_DIGITS else value * 100


def metric_value(metric: str, value: float | None, signed: bool = False) -> str:
    """`91.2` for an accuracy of 0.912, `0.87` for a Pearson of 0.87; with a sign for differences."""
    if value is None:
        return NOTHING
    digits = UNSCALED_DIGITS.get(metric, 1)
    number = round(scaled(metric, value), digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    text = f"{number:+.{digits}f}" if signed and number else f"{number:.{digits}f}"
    return text.replace("-", "−")


def interval(metric: str, estimate: Mapping[str, Any], signed: bool = False) -> str:
    """`[88.0–94.1]`, or `[−1.2 to +3.4]` where a sign would be read as a dash; empty without an interval."""
    low, high = estimate["low"], estimate["high"]
    if low is None or high is None:
        return ""
    between = " to " if signed or low < 0 or high < 0 else "–"
    return f"[{metric_value(metric, low, signed)}{between}{metric_value(metric, high, signed)}]"


def estimate_text(metric: str, estimate: Mapping[str, Any], signed: bool = False) -> str:
    """Value and interval: `91.2 [88.0–94.1]`."""
    return f"{metric_value(metric, estimate['value'], signed)} {interval(metric, estimate, signed)}".strip()


def _with_unit(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if float(_two_digits(value)) < 1000:
            return f"{_two_digits(value) if unit else round(value)} {unit}".strip()
        value /= 1000
    return f"{_two_digits(value)} {units[-1]}"


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if round(value, 1) < 10 else f"{value:.0f}"


def count(value: float | None) -> str:
    """`999`, `12 k`, `1.3 M`, `7.0 B`."""
    return NOTHING if value is None else _with_unit(value, ("", "k", "M", "B"))


def size(value: float | None) -> str:
    """Bytes in decimal units: `22 kB`, `1.2 GB`."""
    if value is None:
        return NOTHING
    return f"{value:.0f} B" if value < 1000 else _with_unit(value / 1000, ("kB", "MB", "GB", "TB"))


def seconds(value: float | None) -> str:
    """`0.05 s`, `3.4 s`, `34 s`, `2 min 5 s`, `1 h 12 min`."""
    if value is None:
        return NOTHING
    if value < 0.1:
        return f"{value:.2g} s"
    if round(value) < 60:
        return f"{_two_digits(value)} s"
    if round(value) < 3600:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(value / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def rate(value: float | None) -> str:
    """Examples a second: `0.4`, `12.3`, `1,204`."""
    if value is None:
        return NOTHING
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def whole(value: float | None) -> str:
    """A count in full: `11,520`."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(part: float | None, total: float | None) -> str:
    """`0.97 %` of the total, with two significant digits; empty where either is unknown."""
    if part is None or not total:
        return ""
    percent = 100 * part / total
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{float(f'{percent:.2g}'):g} %"


def p_value(value: float | None) -> str:
    """`p < 0.001`, `p = 0.012`, `p = 0.34`; empty where there is none."""
    if value is None:
        return ""
    if value < 0.001:
        return "p < 0.001"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
