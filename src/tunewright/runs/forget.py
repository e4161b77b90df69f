"""Forgetting measured after the fact: any run, any PEFT folder, any two models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewright.backbones.load import Precision, load_backbone, pick_precision
from tunewright.errors import InputError
from tunewright.forgetting.measure import Measured
from tunewright.forgetting.result import Forgetting
from tunewright.forgetting.subject import Subject, subject_of
from tunewright.forgetting_block import Battery
from tunewright.methods.base import Setting
from tunewright.methods.none import NoTuning
from tunewright.methods.peft_folder import PeftFolder
from tunewright.prompts.layout import SlotLayout
from tunewright.recipe import EndpointBlock
from tunewright.runs.battery import OpenBattery, open_battery, subject_in
from tunewright.runs.kept import load_kept, read_kept

MAX_TOKENS = 512


@dataclass(frozen=True)
class Source:
    """Something that answers: a run's folder, a PEFT folder or a model. `base` is the model below, where it names one.

    `tasks`: those that it was tuned on, as far as is known. `precision` and `max_tokens` are those of a run.
    """

    name: str
    kind: Literal["run", "peft", "model"]
    base: str | None = None
    tasks: tuple[str, ...] = ()
    precision: Precision | None = None
    max_tokens: int = MAX_TOKENS


def source_of(name: str) -> Source:
    """What `name` is. Raises InputError for a run whose model is behind an API."""
    folder = Path(name).expanduser()
    if (folder / "tuned" / "tuned.json").is_file() or (folder / "tuned.json").is_file():
        kept = read_kept(folder)
        if isinstance(kept.recipe.model, EndpointBlock):
            raise InputError(f"{name}: its model is behind an API, nothing was tuned")
        training, tasks = kept.recipe.training, tuple(one.task.name for one in kept.opened)
        precision = pick_precision(training.precision)
        return Source(name, "run", kept.recipe.local_model, tasks, precision, training.max_tokens)
    if (folder / "adapter_config.json").is_file():
        return Source(name, "peft", PeftFolder(path=str(folder)).files.config.get("base_model_name_or_path"))
    return Source(name, "model")


def forget(before: str, after: str | None, battery: Battery, rows: int | None) -> Forgetting:
    """`after` against `before` on the test rows of a battery; a run or a PEFT folder alone against its own model.

    Only one of the two models is in memory at a time. Raises InputError for a model alone, and where nothing of the
    battery can be measured.
    """
    last = source_of(after or before)
    if after is None and last.kind == "model":
        raise InputError(f"{before}: a model alone has nothing to be compared with; name two: forget BEFORE AFTER")
    start = before if after is not None else last.base
    if start is None:
        raise InputError(f"{last.name}: it does not name the model it belongs to; name both: forget MODEL {last.name}")
    opened, answers = _before(source_of(start), last, battery, rows)
    base = start if source_of(start).kind == "model" else source_of(start).base
    return opened.of(_subject(last, base, last)).after(answers)


def _before(first: Source, last: Source, battery: Battery, rows: int | None) -> tuple[OpenBattery, dict[str, Measured]]:
    """The battery opened for the first model, and its answers; nobody holds the model any more afterwards."""
    opened = open_battery(battery, rows, "test", _subject(first, None if first.base else last.base, last), last.tasks)
    answers = opened.measure(attached=first.kind != "model", title="battery, before")
    opened.forget_model()
    return opened, answers


def _subject(source: Source, base: str | None, settings: Source) -> Subject:
    """A source ready to be asked; a model and a PEFT folder as a run with these settings would."""
    if source.kind == "run":
        return subject_in(load_kept(Path(source.name)))
    precision = settings.precision or pick_precision("auto")
    if source.kind == "model":
        tunable = NoTuning().tune(load_backbone(source.name), SlotLayout(), Setting("generate", (), 0))
        return subject_of(tunable, precision, SlotLayout(), [], None, settings.max_tokens)
    method, name = PeftFolder(path=source.name, train=False), base or source.base
    if name is None:
        raise InputError(f"{source.name}: it does not name the model it belongs to; name both: forget MODEL FOLDER")
    own = method.slots()
    slots, placement = ([own[0]], own[1]) if own is not None else ([], None)
    layout = SlotLayout.build(slots, len)
    tunable = method.tune(load_backbone(name), layout, Setting("generate", (), 0))
    return subject_of(tunable, precision, layout, slots, placement, settings.max_tokens)
