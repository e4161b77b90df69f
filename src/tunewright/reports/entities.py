"""Entities as a report shows them: marked in their row, and scored type by type."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from tunewright.evaluation.entities import by_type, mean_by_type
from tunewright.evaluation.predictions import Prediction
from tunewright.reports.formats import metric_value
from tunewright.tasks.tagging import spans


class Marked(NamedTuple):
    """A stretch of a row's words. `plain`: no entity; else one that is right, invented or missing, with its type."""

    kind: Literal["plain", "same", "extra", "missing"]
    text: str
    type: str


def marked_words(tokens: Sequence[str], gold: Sequence[str], said: Sequence[str]) -> list[Marked]:
    """The row's words in order with its entities marked; where a wanted and an invented one overlap, both are shown."""
    wanted, found = set(spans(gold)), set(spans(said))
    starts: dict[int, list[Marked]] = {}
    covered = set()
    for span in sorted(wanted | found):
        start, end, kind = span
        mark: Literal["same", "extra", "missing"] = (
            "same" if span in wanted & found else "missing" if span in wanted else "extra"
        )
        starts.setdefault(start, []).append(Marked(mark, " ".join(tokens[start:end]), kind))
        covered |= set(range(start, end))
    pieces: list[Marked] = []
    for i, token in enumerate(tokens):
        pieces += starts.get(i, [])
        if i in covered:
            continue
        if pieces and pieces[-1].kind == "plain":
            pieces[-1] = Marked("plain", f"{pieces[-1].text} {token}", "")
        else:
            pieces.append(Marked("plain", token, ""))
    return pieces


def row_f1(prediction: Prediction) -> float:
    """F1 of one row's entities, for choosing rows to show; 1 where there are none and none was said."""
    gold, said = set(spans(prediction.gold_tags or ())), set(spans(prediction.predicted_tags or ()))
    return 2 * len(gold & said) / (len(gold) + len(said)) if gold or said else 1.0


def types_of(runs: Sequence[Sequence[Prediction]]) -> dict[str, dict[str, float]]:
    """The mean over runs of each type's precision, recall and F1."""
    return mean_by_type([by_type(predictions) for predictions in runs])


def type_table(types: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any] | None:
    """Rows a type, columns a method: F1 and behind it precision and recall; None where there are no entities."""
    kinds = sorted({kind for of_method in types.values() for kind in of_method})
    if not kinds:
        return None

    def cell(of_method: Mapping[str, Mapping[str, float]], kind: str) -> tuple[str, str]:
        if kind not in of_method:
            return "–", ""
        values = [metric_value("entity-f1", of_method[kind][key]) for key in ("f1", "precision", "recall")]
        return values[0], f"P {values[1]}, R {values[2]}"

    wanted = {k: max(round(of_method[k]["gold"]) for of_method in types.values() if k in of_method) for k in kinds}
    rows = [(kind, wanted[kind], [cell(of_method, kind) for of_method in types.values()]) for kind in kinds]
    return {"methods": list(types), "rows": rows}
