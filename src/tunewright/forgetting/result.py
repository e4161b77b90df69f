"""A battery measured before and after: its table, and the scores of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.evaluation.intervals import Interval
from tunewright.evaluation.metrics import metric
from tunewright.forgetting.battery import Item, Missing
from tunewright.forgetting.changes import Change, changes, mean_change
from tunewright.forgetting.measure import Measured

SIDES = ("attached", "detached")
ONE_RUN = (
    "One run of each: accuracies are compared by McNemar's exact test and a paired bootstrap over rows, other scores "
    "by a t interval paired by row. These speak of other rows, not of other training runs."
)


@dataclass(frozen=True)
class Forgetting:
    """What a battery says of a tuned model. `sides`: with what was tuned attached, and where it can be, detached."""

    battery: str
    split: str
    items: Sequence[Item]
    missing: Sequence[Missing]
    before: Mapping[str, Measured]
    sides: Mapping[str, Mapping[str, Measured]]
    tuned: Sequence[str] = ()

    def changes(self, side: str) -> list[Change]:
        """The change of every task."""
        return changes(self.items, self.before, self.sides[side], self.tuned)

    def mean(self, side: str) -> tuple[Interval, int] | None:
        """See `mean_change`."""
        return mean_change(self.changes(side))

    def to_json(self) -> dict[str, Any]:
        """The content of battery.json."""
        return {
            "battery": self.battery,
            "split": self.split,
            "sides": {side: _side_json(self.changes(side)) for side in self.sides},
            "missing": [{"task": one.name, "why": one.why} for one in self.missing],
            "note": ONE_RUN,
        }

    def rows_json(self) -> dict[str, Any]:
        """The content of battery-rows.json: each row's score before and after, by task; rows that all sides have."""
        found = {}
        for item in self.items:
            name = item.name
            all_sides = {"before": self.before[name], **{side: said[name] for side, said in self.sides.items()}}
            if item.text:
                found[name] = {"metric": "loss", **{side: list(one.losses) for side, one in all_sides.items()}}
                continue
            measure = metric(item.task.metrics[0])
            by_id = {side: {p.id: p for p in one.predictions} for side, one in all_sides.items()}
            ids = [p.id for p in self.before[name].predictions if all(p.id in said for said in by_id.values())]
            scores = {side: measure.row_scores([said[i] for i in ids]).tolist() for side, said in by_id.items()}
            found[name] = {"metric": measure.name, "ids": ids, **scores}
        return found


def _side_json(found: Sequence[Change]) -> dict[str, Any]:
    mean = mean_change(found)
    return {
        "tasks": [one.to_json() for one in found],
        "mean": None if mean is None else {**mean[0].to_json(), "tasks": mean[1]},
    }
