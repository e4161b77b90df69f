"""Remedies against forgetting in a run: opened before it begins, used while it trains and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import write_json
from tunewright.forgetting.added import Added
from tunewright.forgetting.battery import open_items
from tunewright.forgetting.changes import mean_score
from tunewright.forgetting.other_rows import OtherRows
from tunewright.forgetting.subject import Subject
from tunewright.forgetting_block import EarlyStopBlock, RemediesBlock, WiseFtBlock
from tunewright.methods.base import copy_into
from tunewright.objectives.regularisers import interpolated
from tunewright.runs.battery import WISE_FT, OpenBattery, open_battery, subject_in
from tunewright.runs.prepare import Prepared
from tunewright.training.loop import Guard, Validate


@dataclass
class OpenRemedies:
    """The remedies of a recipe with their data. Validation rows of batteries are never test rows."""

    block: RemediesBlock
    subject: Subject
    rows: Mapping[str, OtherRows]  # what replay, ewc and kl read
    batteries: Mapping[str, OpenBattery]  # of wise-ft and early-stop

    def added(self) -> Added | None:
        """What is added to each step's loss; made while the trained weights are at their start."""
        block = self.block
        wanted = (block.replay, block.l2_sp, block.ewc, block.kl)
        return Added(self.subject, block, self.rows) if any(one is not None for one in wanted) else None

    def guard(self) -> Guard | None:
        """Early stop by battery, measured from the start."""
        if self.block.early_stop is None:
            return None
        battery, before = self.batteries["early-stop"], self._mean("early-stop", attached=False)
        say(f"early-stop: the battery's mean is {100 * before:.1f} before tuning ({len(battery.items)} tasks)")
        return Guard(lambda: before - self._mean("early-stop", attached=True), self.block.early_stop.most)

    def start(self) -> dict[str, Tensor]:
        """The trained weights as they are now, where WiSE-FT will want them."""
        if self.block.wise_ft is None:
            return {}
        return {name: p.detach().clone() for name, p in self.subject.tuner.tunable.trained().items()}

    def finish(self, prepared: Prepared, start: Mapping[str, Tensor], validate: Validate, folder: Path) -> None:
        """WiSE-FT: sweep α, write the curve to wise-ft.json, leave the trained weights at the α picked."""
        block = self.block.wise_ft
        if block is None:
            return
        trained = self.subject.tuner.tunable.trained()
        end = {name: p.detach().clone() for name, p in trained.items()}
        curve = []
        for alpha in sorted(set(block.alphas)):
            copy_into(trained, interpolated(start, end, alpha), "wise-ft")
            look = validate(prepared.tuner)
            prepared.tuner.eval()
            curve.append((alpha, look[0], self._mean("wise-ft", attached=True)))
        picked = pick_alpha(curve, block.keep)
        copy_into(trained, interpolated(start, end, picked), "wise-ft")
        kind = "loss" if len(look) == 1 else "score"
        points = [{"alpha": a, "validation": v, "battery": b} for a, v, b in curve]
        write_json(folder / WISE_FT, {"alpha": picked, "keep": block.keep, "validation_is": kind, "curve": points})
        say(f"wise-ft: α = {picked:g} of the trained weights, picked on validation rows")

    def _mean(self, name: str, *, attached: bool) -> float:
        battery = self.batteries[name]
        return mean_score(battery.items, battery.measure(attached=attached, title=None))


def pick_alpha(curve: Sequence[tuple[float, float, float]], keep: float) -> float:
    """Of (α, validation, battery), larger is better: the α with the best battery among those that keep the share `keep`
    of what tuning gains on validation from α = 0 to the best α. Ties go to the better validation, then the larger α.
    """
    first = next(validation for alpha, validation, _ in curve if alpha == 0)
    best = max(validation for _, validation, _ in curve)
    # A rounding error must not shut out the best itself.
    able = [point for point in curve if point[1] >= first + keep * (best - first) - 1e-12]
    return max(able, key=lambda point: (point[2], point[1], point[0]))[0]


def open_remedies(prepared: Prepared) -> OpenRemedies | None:
    """The recipe's remedies with their data. Raises InputError where they cannot help, or nothing can be had."""
    block = prepared.recipe.remedies
    if block is None or not block.model_dump(exclude_none=True):
        return None
    name = prepared.recipe.method["name"]
    if prepared.method.defaults_for(prepared.family) is None:
        raise InputError(f"remedies: method {name} trains nothing, so nothing is forgotten")
    tunable = prepared.tuner.tunable
    inside = any(part.startswith("model.") for part in tunable.trained())
    if not inside and tunable.table() is None and tunable.layer_kv() is None:
        raise InputError(f"remedies: method {name} trains a head alone here: answers to other tasks cannot change")
    subject = subject_in(prepared)
    seed = prepared.recipe.training.seed
    rows: dict[str, OtherRows] = {}
    for remedy, one in (("replay", block.replay), ("ewc", block.ewc), ("kl", block.kl)):
        if one is not None:
            items, _ = open_items(one.tasks, "train", one.rows)
            items = [item for item in items if subject.cannot(item) is None]
            if not items:
                raise InputError(f"remedies.{remedy}.tasks: none of them can be had and asked here")
            rows[remedy] = OtherRows(subject, items, one.rows, seed)
    batteries = {}
    swept: tuple[tuple[str, WiseFtBlock | EarlyStopBlock | None], ...] = (
        ("wise-ft", block.wise_ft),
        ("early-stop", block.early_stop),
    )
    for remedy, other in swept:
        if other is not None:
            names = [part.task.name for part in prepared.parts]
            opened = open_battery(other.battery, other.battery_rows, "validation", subject, names)
            opened.items = [item for item in opened.items if item.name not in names and not item.text]
            if not opened.items:
                raise InputError(f"remedies.{remedy}.battery: no task beside those tuned on has validation rows here")
            batteries[remedy] = opened
    return OpenRemedies(block, subject, rows, batteries)
