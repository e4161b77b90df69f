"""Cells: a template scored in one way. Asked unit by unit, kept a line a cell, read again after a stop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from tunewright.console import Bar, progress
from tunewright.evaluation.calibration import Calibration
from tunewright.evaluation.distinct import Normalisation
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asked, Asking, predict_all
from tunewright.search.journal import Journal
from tunewright.sensitivity.plan import Plan, Unit
from tunewright.sensitivity.recipe import SPLITS, Split
from tunewright.tasks.task import Rows


class Way(NamedTuple):
    """A group of cells: all templates asked so."""

    examples: int
    calibration: Calibration
    normalisation: Normalisation

    @property
    def label(self) -> str:
        """`zero-shot plain`, `4-shot contextual, byte`."""
        start = f"{self.examples}-shot" if self.examples else "zero-shot"
        name = "plain" if self.calibration == "none" else self.calibration
        return f"{start} {name}" + ("" if self.normalisation == "none" else f", {self.normalisation}")


@dataclass(frozen=True)
class Cell:
    """A template, the order of its examples (0: none), and how its choices are scored.

    `answers` are what it said to each row of a split, None where the template skips the row. `likelihood` is the mean
    log probability of the right answer among the choices on validation: it decides between equal scores there.
    """

    template: str
    order: int
    way: Way
    likelihood: float
    answers: dict[Split, list[str | None]]

    def to_json(self) -> dict[str, Any]:
        """A line of cells.jsonl."""
        start = {"template": self.template, "order": self.order, **self.way._asdict()}
        return start | {"likelihood": self.likelihood, "answers": self.answers}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> "Cell":
        """The inverse."""
        way = Way(line["examples"], line["calibration"], line["normalisation"])
        return cls(line["template"], line["order"], way, line["likelihood"], line["answers"])


def ways(plan: Plan) -> list[Way]:
    """The groups in the order of the file."""
    block = plan.wanted.sensitivity
    return [Way(k, c, n) for k in plan.orders for n in block.normalisation for c in block.calibration]


def score_cells(plan: Plan, journal: Journal) -> list[Cell]:
    """All cells, in the plan's order; those of the journal are not asked again. Each is written as it comes."""
    known = {_key(cell): cell for cell in map(Cell.from_json, journal.lines)}
    order = [(unit, [(unit.template.name, unit.order, way) for way in _ways_of(plan, unit)]) for unit in plan.units]
    missing = [unit for unit, keys in order if any(key not in known for key in keys)]
    each = len(_ways_of(plan, missing[0])) * sum(len(plan.rows[split]) for split in SPLITS) if missing else 0
    with progress(f"scoring {len(missing)} of {len(order)} prompts", each * len(missing)) as bar:
        for unit in missing:
            for cell in ask(plan, unit, bar):
                if _key(cell) not in known:
                    known[_key(cell)] = cell
                    journal.add(cell.to_json())
    return [known[key] for _, keys in order for key in keys]


def ask(plan: Plan, unit: Unit, bar: Bar) -> Iterator[Cell]:
    """The unit's cells. One call reads each prompt once for all its choices, calibrations and normalisations."""
    wanted = plan.wanted.evaluation
    encoders = {split: plan.encoder(unit, split) for split in SPLITS}
    mine = _ways_of(plan, unit)
    asked = [
        Asked(
            encoders[split], plan.prepared.task, Asking(wanted.batch_tokens, way.normalisation, calibration=way[1])
        )
        for way in mine
        for split in SPLITS
    ]  # fmt: skip
    found = iter(predict_all(plan.prepared.tuner, asked, bar=_Named(bar, unit.template.name)))
    for way in mine:
        by_split = {split: next(found) for split in SPLITS}
        answers = {split: _answers(plan.rows[split], by_split[split]) for split in SPLITS}
        yield Cell(unit.template.name, unit.order, way, likelihood(by_split["validation"]), answers)


def likelihood(predictions: Sequence[Prediction]) -> float:
    """Mean log probability of the right answer among the choices; very low without any row.

    0 for a row whose choice an endpoint has told by the text: equal scores are then not told apart by it.
    """
    found = []
    for one in predictions:
        if one.scores is None:
            found.append(0.0)
            continue
        likely = torch.tensor(one.scores, dtype=torch.float64).log_softmax(0)
        found.append(max(-1e6, float(likely[one.choices.index(str(one.target))])) if one.target in one.choices else 0.0)
    return sum(found) / len(found) if found else -1e6


def predictions_of(cell: Cell, split: Split, rows: Rows, target: str) -> list[Prediction]:
    """What the cell said to the rows that its template does not skip."""
    golds = rows.columns[target]
    return [
        Prediction(name, answer, str(gold))
        for name, gold, answer in zip(rows.ids, golds, cell.answers[split])
        if answer is not None
    ]


def _key(cell: Cell) -> tuple[str, int, Way]:
    return cell.template, cell.order, cell.way


def _ways_of(plan: Plan, unit: Unit) -> list[Way]:
    return [way for way in ways(plan) if way.examples == unit.examples]


def _answers(rows: Rows, predictions: Sequence[Prediction]) -> list[str | None]:
    said = {one.id: str(one.prediction) for one in predictions}
    return [said.get(name) for name in rows.ids]


class _Named:
    """The caller's bar, with the template's name beside it."""

    def __init__(self, bar: Bar, name: str) -> None:
        self.bar, self.name = bar, name

    def advance(self, by: int = 1, note: str = "") -> None:
        """`by` more rows are done."""
        self.bar.advance(by, note or self.name)
