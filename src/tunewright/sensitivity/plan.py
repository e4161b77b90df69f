"""From the file to what will be asked: the templates this model can be asked with, and the units of work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tunewright.backbones.base import Backbone
from tunewright.backbones.load import load_backbone
from tunewright.backbones.vectors import SentenceVectors
from tunewright.errors import InputError
from tunewright.evaluation.at_endpoint import prompts_of
from tunewright.evaluation.calibration import free_examples
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.scoring import Asking, chooses
from tunewright.methods.registry import make_method
from tunewright.prompts.demonstrations import Demonstrations, Demonstrator, PoolRow
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.rows import PlainRows
from tunewright.prompts.template import Template
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.runs.at_endpoint import AtEndpoint, Ready, assemble_at
from tunewright.runs.demonstrations import pool_of
from tunewright.runs.prepare import Opened, assemble_all
from tunewright.seeds import numpy_random
from tunewright.sensitivity.recipe import ALL, SPLITS, Sensitivity, Split
from tunewright.tasks.open import open_task
from tunewright.tasks.task import Rows, Task
from tunewright.training.rows import RowEncoder

ORDERS = 4
Order = tuple[int, ...]  # the examples' places among those shown, by pool row; () without examples


@dataclass(frozen=True)
class Unit:
    """What is asked in one call: a template, with `examples` shown in the order with this number (from 1; 0: none)."""

    template: Template
    examples: int
    order: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from the others."""
        return self.template.name, self.examples, self.order


@dataclass
class Plan:
    """A comparison made ready. `left_out` are (template, reason); `notes` what else a reader has to know."""

    wanted: Sensitivity
    prepared: Ready
    templates: list[Template]
    left_out: list[tuple[str, str]]
    rows: dict[Split, Rows]
    metrics: list[str]
    orders: dict[int, list[Order]]  # by the number of examples
    pools: dict[int, list[PoolRow]]
    notes: list[str]

    @property
    def units(self) -> list[Unit]:
        """All that will be asked; the zero-shot ones come first as the file has them."""
        return [
            Unit(template, examples, number if examples else 0)
            for examples, orders in self.orders.items()
            for template in self.templates
            for number in range(1, len(orders) + 1)
        ]

    def encoder(self, unit: Unit, split: Split) -> RowEncoder | PlainRows:
        """The rows as the model reads them in this unit."""
        return _encoder(self.prepared, unit.template, self.rows[split], self._demonstrator(unit))

    def _demonstrator(self, unit: Unit) -> Demonstrator | None:
        if not unit.examples:
            return None
        number = next(i for i, one in enumerate(self.templates) if one.name == unit.template.name)
        pool = [replace(row, rendered=(row.rendered[number],)) for row in self.pools[unit.examples]]
        places = self.orders[unit.examples][unit.order - 1]
        seed, separator = self.wanted.training.seed, self.wanted.sensitivity.separator
        return Demonstrator(_shown(unit.examples, separator), pool, seed, SentenceVectors(), places)


def make_plan(wanted: Sensitivity, backbone: Backbone | None = None) -> Plan:
    """Open the task, load the model (unless given), settle which templates are asked, and draw the examples.

    Raises InputError for tasks without choices, unknown or unfit templates, fewer than two of them, too few examples.
    """
    for name in wanted.evaluation.metrics or ():
        metric(name)
    soft = wanted.soft_recipes()
    recipe = wanted.recipe()
    task = open_task(wanted.task, shots=wanted.shots, seed=wanted.training.seed)
    if not chooses(task):
        raise InputError(
            f"task {task.name}: templates are compared for tasks of kind classify or choose, this one is {task.kind}"
        )
    templates, free = _templates(wanted, task)
    _at_least_two(templates)
    for one in soft.values():
        choose_templates(task, one.template)
    prepared = _ready(wanted, soft.values(), recipe, Opened(recipe, task, templates), backbone)
    rows: dict[Split, Rows] = {"validation": prepared.validation(), "test": prepared.asked_rows()}
    templates, left_out = _fitting(wanted, prepared, templates, free, rows)
    _at_least_two(templates, left_out)
    orders: dict[int, list[Order]] = {}
    pools: dict[int, list[PoolRow]] = {}
    notes = []
    for count in wanted.sensitivity.examples:
        if not count:
            orders[count] = [()]
            continue
        pools[count] = _pool(wanted, task, templates, count)
        many = wanted.sensitivity.orders or ORDERS
        orders[count] = draw_orders(count, many, wanted.training.seed)
        if len(orders[count]) < many:
            notes.append(f"{count} examples have {len(orders[count])} orders only")
    metrics = list(wanted.evaluation.metrics or task.metrics)
    return Plan(wanted, prepared, templates, left_out, rows, metrics, orders, pools, notes)


def _ready(
    wanted: Sensitivity, soft: Iterable[Recipe], recipe: Recipe, opened: Opened, backbone: Backbone | None
) -> Ready:
    """The model loaded, or its endpoint; it must do for the soft prompts too."""
    method = make_method(recipe.method)
    if isinstance(wanted.model, EndpointBlock):
        for one in soft:
            one.local_model  # noqa: B018 - raises
        ready = assemble_at(recipe, [opened], method)
        ready.tuner.in_parts = True
        return ready
    backbone = backbone or load_backbone(wanted.model)
    for one in soft:
        if backbone.family not in (own := make_method(one.method)).families:
            raise InputError(f"sensitivity.soft: method {own.name}: not for {backbone.family} models")
    return assemble_all(recipe, [opened], method, backbone)


def draw_orders(count: int, wanted: int, seed: int) -> list[Order]:
    """`wanted` different orders of `count` examples (fewer where there are no more), the first drawn first."""
    found: dict[Order, None] = {}
    possible = 1
    for factor in range(2, count + 1):
        possible = min(possible * factor, wanted)
    draw = numpy_random("sensitivity orders", seed, count)
    while len(found) < min(wanted, possible):
        found[tuple(draw.permutation(count).tolist())] = None
    return list(found)


def _shown(count: int, separator: str) -> Demonstrations:
    """The same for all rows, of each class as many as can be; each unit gives them an order of its own."""
    return Demonstrations(count, "fixed", True, "given", separator)


def _pool(wanted: Sensitivity, task: Task, templates: Sequence[Template], count: int) -> list[PoolRow]:
    shown = _shown(count, wanted.sensitivity.separator)
    try:
        return pool_of(task, task.split("train"), templates, shown, wanted.training.seed)
    except InputError as error:
        raise InputError(str(error).replace("method.examples", "sensitivity.examples")) from None


def _templates(wanted: Sensitivity, task: Task) -> tuple[list[Template], set[str]]:
    """All that the file names, and the names of those that `all` brought: they may be left out."""
    named = [one for one in wanted.wanted if one != ALL]
    free: list[str] = []
    if ALL in wanted.wanted:
        free = [name for name in task.templates if name not in named]
        if not task.templates:
            raise InputError(f"template: task {task.name} has no templates; write some under `template:`")
    return choose_templates(task, [*free, *named]), set(free)


def _at_least_two(templates: Sequence[Template], left_out: Sequence[tuple[str, str]] = ()) -> None:
    if len(templates) < 2:
        names = ", ".join(repr(one.name) for one in templates) or "none"
        why = f" ({'; '.join(f'{name}: {reason}' for name, reason in left_out)})" if left_out else ""
        raise InputError(f"template: at least two wanted to compare, found {names}{why}; `template: all` takes all")


def _fitting(
    wanted: Sensitivity, prepared: Ready, templates: list[Template], free: set[str], rows: dict[Split, Rows]
) -> tuple[list[Template], list[tuple[str, str]]]:
    """The templates that can be asked, and (name, reason) of those left out. Raises InputError for a named one."""
    fitting: list[Template] = []
    left_out: list[tuple[str, str]] = []
    for template in templates:
        reason = _misfit(wanted, prepared, template, rows) or next(
            (f"the same as {other.name!r}" for other in fitting if other.block() == template.block()), None
        )
        if reason is None:
            fitting.append(template)
        elif template.name in free:
            left_out.append((template.name, reason))
        else:
            raise InputError(reason if repr(template.name) in reason else f"template {template.name!r}: {reason}")
    return fitting, left_out


def _misfit(wanted: Sensitivity, prepared: Ready, template: Template, rows: dict[Split, Rows]) -> str | None:
    """Why the model cannot be asked with this template, seen on one row of each split."""
    if template.slots:
        return "it has soft slots, and nothing is trained here"
    try:
        for split in SPLITS:
            encoder = _encoder(prepared, template, rows[split].take([0]), None)
            if isinstance(encoder, PlainRows):
                assert isinstance(prepared, AtEndpoint)
                for calibration in wanted.sensitivity.calibration:
                    asking = Asking(calibration=calibration)
                    prompts_of(prepared.tuner, encoder, prepared.task, asking, choices=True).requests()
            elif encoder.examples([0], 0, "choices")[0] is not None:
                for calibration in wanted.sensitivity.calibration:
                    free_examples(encoder, prepared.task, calibration, [(0, 0)])
    except InputError as error:
        return str(error)
    return None


def _encoder(
    prepared: Ready, template: Template, rows: Rows, demonstrator: Demonstrator | None
) -> RowEncoder | PlainRows:
    return replace(prepared, templates=[template], demonstrator=demonstrator).encoder(rows)
