"""The batteries of a study's trials, gathered into one table of forgetting a task."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright.evaluation.differences import Difference
from tunewright.files import read_json
from tunewright.forgetting.over_seeds import BatteryRuns, over_seeds
from tunewright.runs.battery import FILE, ROWS
from tunewright.runs.folder import RunFolder
from tunewright.studies.grid import Trial


def study_forgetting(
    folder: Path, task: str, trials: list[Trial], gains: Mapping[str, tuple[str, Difference]]
) -> dict[str, Any] | None:
    """What `over_seeds` makes of the trials on `task` that are finished and have a battery; None where none has.

    `gains`: the metric and the gain on the own task of each method, by label.
    """
    methods: dict[str, BatteryRuns] = {}
    for trial in trials:
        place = folder / trial.folder
        if not RunFolder(place).finished() or not (place / FILE).is_file():
            continue
        name, gain = gains.get(trial.label, (None, None))
        entry = methods.setdefault(trial.label, BatteryRuns(trial.label, gain=gain, gain_metric=name))
        entry.runs[trial.seed] = read_json(place / FILE), read_json(place / ROWS)
    return over_seeds(task, list(methods.values()))
