"""The battery of a run: measured before tuning and after it, on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewright.console import say
from tunewright.errors import InputError
from tunewright.files import read_json, write_json
from tunewright.forgetting.battery import Item, Missing, open_items, read_battery
from tunewright.forgetting.measure import Measured, measure
from tunewright.forgetting.result import Forgetting
from tunewright.forgetting.subject import Subject, subject_of
from tunewright.forgetting_block import Battery, BatteryBlock
from tunewright.methods.soft.files import SHARED
from tunewright.prompts.placement import Placement
from tunewright.prompts.segments import Soft
from tunewright.runs.at_endpoint import Ready
from tunewright.runs.prepare import Prepared

FILE, ROWS, WISE_FT = "battery.json", "battery-rows.json", "wise-ft.json"


@dataclass
class OpenBattery:
    """A battery's tasks, opened, and the model that is asked about them."""

    name: str
    block: BatteryBlock
    split: str
    subject: Subject | None
    items: list[Item]
    missing: list[Missing]
    tuned: Sequence[str]

    def measure(self, *, attached: bool, title: str | None) -> dict[str, Measured]:
        """What the model says of every task; without a `title` no bar is shown."""
        block = self.block
        assert self.subject is not None
        return measure(self.subject, self.items, block.blocks, block.block_tokens, attached=attached, title=title)

    def forget_model(self) -> None:
        """Let go of the model, so that another one finds room."""
        self.subject = None

    def of(self, subject: Subject) -> "OpenBattery":
        """The same tasks for another model, but for those that it cannot be asked about."""
        items, missing = _askable(subject, self.items, self.missing, self.block)
        return replace(self, subject=subject, items=items, missing=missing)

    def after(self, before: dict[str, Measured]) -> Forgetting:
        """Measured again, with what was tuned attached and (where the model is as it was then) detached."""
        sides = {"attached": self.measure(attached=True, title="battery, after")}
        if self.subject is not None and self.subject.tuner.tunable.detaches:
            sides["detached"] = self.measure(attached=False, title="battery, detached")
        return Forgetting(self.name, self.split, self.items, self.missing, before, sides, self.tuned)


def battery_of(ready: Ready) -> OpenBattery | None:
    """The battery that the recipe asks for, opened. Raises InputError where it cannot be measured on this model."""
    evaluation = ready.recipe.evaluation
    if evaluation.battery is None:
        return None
    if not isinstance(ready, Prepared):
        raise InputError("evaluation.battery: it wants a model that is tuned here, not one behind an API")
    if not ready.tuned:
        say(f"battery: left out, method {ready.recipe.method['name']} changes nothing that could be forgotten")
        return None
    names = [part.task.name for part in ready.parts]
    return open_battery(evaluation.battery, evaluation.battery_rows, "test", subject_in(ready), names)


def open_battery(wanted: Battery, rows: int | None, split: str, subject: Subject, tuned: Sequence[str]) -> OpenBattery:
    """A battery's tasks for a model; what cannot be had or asked is said. Raises InputError where nothing is left."""
    name, block = read_battery(wanted, rows)
    items, missing = open_items(block.tasks, split, block.rows)
    items, missing = _askable(subject, items, missing, block)
    if not items:
        raise InputError(f"battery {name}: none of its {len(block.tasks)} tasks can be had and asked here")
    return OpenBattery(name, block, split, subject, items, missing, tuned)


def _askable(
    subject: Subject, items: Sequence[Item], missing: Sequence[Missing], block: BatteryBlock
) -> tuple[list[Item], list[Missing]]:
    able, unable = subject.askable(items, block.blocks, block.block_tokens)
    for one in unable:
        say(f"battery: {one.name} is left out: {one.why}")
    return able, [*missing, *unable]


def subject_in(prepared: Prepared) -> Subject:
    """The model of a run as batteries and remedies ask it; of several tasks' own prompts the first's is attached."""
    slots, placement = _slots(prepared.parts[0])
    return subject_of(
        prepared.tuner.tunable, prepared.tuner.precision, prepared.layout, slots, placement,
        prepared.recipe.training.max_tokens,
    )  # fmt: skip


def _slots(part: Prepared) -> tuple[list[Soft], Placement | None]:
    """The slots that a prompt of another task gets: those of the (first) template, or the method's own."""
    if not part.layout.rows:
        return [], None
    if part.templates[0].slots:
        unique = {soft.slot: soft for soft in part.templates[0].slots}
        return list(unique.values()), None
    own = part.method.slots()
    assert own is not None
    soft, placement = own
    shared = f"{SHARED}/{soft.slot}"
    name = shared if shared in {group.name for group in part.layout.groups} else f"{part.task.name}/{soft.slot}"
    return [replace(soft, slot=name)], placement


def write_battery(folder: Path, found: Forgetting) -> None:
    """battery.json and battery-rows.json."""
    write_json(folder / ROWS, found.rows_json())
    write_json(folder / FILE, found.to_json())


def read_battery_json(folder: Path) -> dict[str, Any] | None:
    """What `write_battery` wrote, and WiSE-FT's curve (`wise_ft`) where there is one; None without a battery."""
    if not (folder / FILE).is_file():
        return None
    found: dict[str, Any] = read_json(folder / FILE)
    if (folder / WISE_FT).is_file():
        found["wise_ft"] = read_json(folder / WISE_FT)
    return found
