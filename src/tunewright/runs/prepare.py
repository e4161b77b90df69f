"""From a recipe to everything a run needs: the task, its templates, the backbone, the method, the layout of slots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tunewright.backbones.attention import use_attention
from tunewright.backbones.base import Backbone, Family
from tunewright.backbones.checkpointing import checkpoint_blocks
from tunewright.backbones.load import pick_precision
from tunewright.errors import InputError
from tunewright.evaluation.scoring import chooses
from tunewright.methods.base import Method
from tunewright.methods.registry import make_method
from tunewright.methods.soft.files import SHARED
from tunewright.methods.soft.starts import words_to_ids
from tunewright.prompts.demonstrations import Demonstrator, PoolRow
from tunewright.prompts.detached import without_slots
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.placement import with_slots
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.segments import Prompt, Soft
from tunewright.prompts.template import Template
from tunewright.recipe import Recipe
from tunewright.runs.check_training import check_training
from tunewright.runs.demonstrations import demonstrator_of
from tunewright.runs.mixture import RunMixture, check_mixture, open_asked, open_mixture
from tunewright.runs.setting import check_masked, setting_of
from tunewright.runs.several_templates import check_evaluation
from tunewright.task_block import TemplateBlock
from tunewright.tasks.open import open_task
from tunewright.tasks.shots import draw_shots
from tunewright.tasks.task import Rows, Task
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

if TYPE_CHECKING:
    from tunewright.runs.remedies import OpenRemedies

VALIDATION_ROWS = 200  # read at each look, where neither shots nor the recipe say how many


@dataclass
class Prepared:
    """A recipe made ready. `tuner` holds the backbone and what is trained.

    A run of several tasks has one of these for each, with the one tuner and layout, in `parts`; its own task and
    templates are the first one's. A run of one task is its own only part.
    """

    recipe: Recipe
    task: Task
    templates: list[Template]
    method: Method
    backbone: Backbone
    layout: SlotLayout
    tuner: Tuner
    own_slots: Callable[[Prompt], Prompt]
    several: "tuple[Prepared, ...]" = ()
    template_accuracy: tuple[float, ...] | None = None  # each template's on validation, once measured (`weighted`)
    demonstrator: Demonstrator | None = None
    weights: Mapping[str, float] = field(default_factory=dict)  # of training rows in the loss, by id, where not 1
    mixture: RunMixture | None = None  # what the run is tuned on, in the place of its tasks' training rows
    remedies: "OpenRemedies | None" = None  # once opened

    @property
    def parts(self) -> "tuple[Prepared, ...]":
        """The tasks of the run, each made ready."""
        return self.several or (self,)

    @property
    def family(self) -> Family:
        """The backbone's."""
        return self.backbone.family

    @property
    def tuned(self) -> bool:
        """Whether the model with what is trained is another one than the model as it was."""
        return self.method.defaults_for(self.backbone.family) is not None or self.tuner.tunable.already_tuned

    def encoder(self, rows: Rows, *, attached: bool = True) -> RowEncoder:
        """Rows as the tuned model reads them, or (attached=False) as the untuned one does, no slots or examples."""
        return RowEncoder(
            rows=rows,
            templates=self.templates,
            backbone=self.backbone,
            layout=self.layout,
            max_tokens=self.max_tokens(attached),
            seed=self.recipe.training.seed,
            change=self.own_slots if attached else without_slots,
            number=self.task.target if self.task.kind == "regress" else None,
            standard=self.tuner.tunable.standard,
            weights=self.weights,
            demonstrate=self.demonstrator if attached or self.recipe.exemplars else None,
        )

    def max_tokens(self, attached: bool = True) -> int:
        """What is left of `training.max_tokens`, and of the model's positions, beside a deep prompt."""
        limit, prefix = self.recipe.training.max_tokens, self.tuner.tunable.prefix_length
        if not attached or not prefix:
            return limit
        left = min(limit, self.backbone.positions()) - prefix
        if left < 1:
            raise InputError(f"a prefix of {prefix} leaves no room within training.max_tokens ({limit})")
        return left

    def validation(self) -> Rows:
        """The validation rows that tuning may look at: as few as training has, where it has few."""
        return validation_rows(self.recipe, self.task)

    def asked_rows(self) -> Rows:
        """The rows of `evaluation.split`, the same for every method and seed."""
        return asked_rows(self.recipe, self.task)


def prepare(recipe: Recipe, backbone: Backbone | None = None) -> Prepared:
    """Open the task, load the backbone (unless given), make what is trained.

    Raises InputError or MachineError with one line that says what is wrong.
    """
    method = make_method(recipe.method)
    opened = open_tasks(recipe)
    if backbone is None:
        from tunewright.runs.merged import load_model  # which reads what runs keep, and they are made of what is here

        backbone = load_model(recipe.local_model)
    trains = method.defaults_for(backbone.family) is not None
    mixture = open_mixture(recipe, backbone) if trains else None
    return replace(assemble_all(recipe, opened, method, backbone), mixture=mixture)


@dataclass(frozen=True)
class Opened:
    """An open task and its templates. `recipe` is that of this task alone."""

    recipe: Recipe
    task: Task
    templates: list[Template]
    template_accuracy: tuple[float, ...] | None = None


def open_tasks(recipe: Recipe, *, all_rows: bool = False) -> list[Opened]:
    """The recipe's task, or all of `tasks` (of a mixture those asked), opened; `all_rows` leaves `shots` aside."""
    found: list[Opened] = []
    for part in recipe.apart():
        shots = None if all_rows else part.shots
        if recipe.mixture is not None:
            task = open_asked(part)
        else:
            task = open_task(part.one_task, shots=shots, seed=recipe.training.seed)
        if recipe.several and task.name == SHARED:
            raise InputError(
                f"tasks: {SHARED!r} is what the slots of all tasks are called; give that task another name"
            )
        if task.name in {other.task.name for other in found}:
            raise InputError(f"tasks: two are called {task.name!r}; give one another name (task: {{name: …}})")
        under = task.name if recipe.several else None
        found.append(Opened(part, task, pick_templates(part, task, under)))
    return found


def assemble(recipe: Recipe, task: Task, templates: list[Template], method: Method, backbone: Backbone) -> Prepared:
    """Put the opened parts of a run of one task together: slots laid out, the tunable made."""
    return assemble_all(recipe, [Opened(recipe, task, templates)], method, backbone)


def assemble_all(
    recipe: Recipe,
    opened: Sequence[Opened],
    method: Method,
    backbone: Backbone,
    pools: Sequence[Sequence[PoolRow]] | None = None,
) -> Prepared:
    """The same for any number of tasks: one layout, one tunable.

    `pools`: what each task's in-context examples are taken from (None: its training rows), if the method wants any.
    """
    if backbone.family not in method.families:
        raise InputError(f"method {recipe.method['name']}: not for {backbone.family} models ({backbone.name})")
    if backbone.headless and recipe.method["name"] != "head":
        raise InputError(f"model {backbone.name}: it has no vocabulary head to answer with; use method head")
    check_evaluation(opened)
    if backbone.family == "masked" and not method.own_head:
        check_masked([one.task for one in opened], backbone)
    several = recipe.several
    if recipe.mixture is not None:
        check_mixture(recipe, method)
    if several and method.own_head:
        raise InputError(
            f"method {recipe.method['name']}: a head answers one task; for several use a method that answers in words"
        )
    shared = several and (method.shares_slots or recipe.mixture is not None)
    added = [slot_adder(method, one.task, one.templates, backbone, shared=shared) for one in opened]
    slots = [soft for _, mine in added for soft in mine]
    layout = SlotLayout.build(slots, lambda words: len(words_to_ids(backbone, words)))
    tunable = method.tune(backbone, layout, setting_of(recipe, [one.task for one in opened]))
    writes = next((one.task for one in opened if not chooses(one.task)), None)
    if tunable.members > 1 and writes is not None:
        raise InputError(
            f"method.ensemble: several prompts answer together by choices, and cannot write; the task {writes.name!r} "
            f"is of kind {writes.kind}: leave it out"
        )
    check_training(recipe.training, backbone, tunable)
    backbone.plain = recipe.training.plain
    use_attention(backbone, recipe.training.max_tokens)
    if recipe.training.gradient_checkpointing:
        checkpoint_blocks(backbone)
    tuner = Tuner(backbone, tunable, pick_precision(recipe.training.precision))
    tuner.eval()
    parts = [
        Prepared(
            one.recipe,
            one.task,
            one.templates,
            method,
            backbone,
            layout,
            tuner,
            change,
            template_accuracy=one.template_accuracy,
        )
        for one, (change, _) in zip(opened, added)
    ]
    parts = [
        replace(part, demonstrator=demonstrator_of(method, one, pools[number] if pools is not None else None))
        for number, (part, one) in enumerate(zip(parts, opened))
    ]
    return replace(parts[0], recipe=recipe, several=tuple(parts)) if several else parts[0]


def pick_templates(recipe: Recipe, task: Task, under: str | None = None) -> list[Template]:
    """The recipe's templates; the head method, asked nothing, reads the plain fields instead.

    `under`: see `choose_templates`.
    """
    if recipe.method["name"] == "head" and recipe.template is None:
        return [Template.from_block("fields", plain_fields(task), task)]
    return choose_templates(task, recipe.template, under=under)


def plain_fields(task: Task) -> TemplateBlock:
    """The text fields the task's default template shows, a pair split by the separator; of a tag task the words."""
    if task.kind == "tag":
        return TemplateBlock.model_validate({"jinja": "{{ tokens | join(' ') }}{{ answer }}"})
    shown: set[str] = set()
    if task.templates:
        shown = set(choose_templates(task, None)[0].fields_used())
    first = task.split("train")[0]
    names = [
        name
        for name in task.fields
        if name != task.target and isinstance(first[name], str) and (name in shown if shown else name != "id")
    ]
    if not names:
        raise InputError(f"task {task.name}: no text field to read")
    return TemplateBlock.model_validate(
        {"jinja": "{{ sep }}".join(f"{{{{ {name} }}}}" for name in names) + "{{ answer }}"}
    )


def slot_adder(
    method: Method, task: Task, templates: list[Template], backbone: Backbone, *, shared: bool = False
) -> tuple[Callable[[Prompt], Prompt], list[Soft]]:
    """How prompts get the method's own slots, and all slots in use. `shared`: they are those of all tasks."""
    mine = method.slots()
    in_templates = [soft for template in templates for soft in template.slots]
    if mine is None:
        return (without_slots if in_templates else _as_is), []
    soft, placement = mine
    soft = replace(soft, slot=f"{SHARED if shared else task.name}/{soft.slot}")
    bare = [template.name for template in templates if not template.slots]
    if in_templates and bare:
        raise InputError(f"template {bare[0]!r} has no soft slots, others of this run have: use one kind")
    if in_templates and shared and (own := [s.slot for s in in_templates if s.slot.startswith(f"{task.name}/")]):
        raise InputError(
            f"method.shared: the slots {own[0]!r} are one template's own; slots with the same name are shared: "
            'soft(4, slot="joint")'
        )
    if in_templates:
        return _as_is, in_templates
    where = placement or ("after-fields" if backbone.family == "causal" else "front")
    return (lambda prompt: with_slots(prompt, soft, where)), [soft]


def _as_is(prompt: Prompt) -> Prompt:
    return prompt


def validation_rows(recipe: Recipe, task: Task) -> Rows:
    """As many rows a class as `shots` (fewer where there are fewer), or `evaluation.validation_rows`."""
    rows, wanted = task.split("validation"), recipe.evaluation.validation_rows
    seed = recipe.training.seed
    if wanted is None and recipe.shots is not None:
        k = recipe.shots
        if task.kind == "classify" and task.labels:
            column = list(rows.columns[task.target])
            k = min(k, *(column.count(label) for label in task.labels))
            if k == 0:
                return rows
        return draw_shots(rows, task.kind, task.labels, min(k, len(rows)), seed, target=task.target, split="validation")
    return sample(rows, wanted or VALIDATION_ROWS, seed)


def asked_rows(recipe: Recipe, task: Task) -> Rows:
    """`evaluation.rows` rows of `evaluation.split`, drawn with a fixed seed: the same for every run."""
    rows = task.split(recipe.evaluation.split)
    return sample(rows, recipe.evaluation.rows or len(rows), 0)


def sample(rows: Rows, count: int, seed: int) -> Rows:
    """At most `count` rows, drawn with the seed, in shuffled order; all rows as they stand when they are fewer."""
    if count >= len(rows):
        return rows
    return draw_shots(rows, "generate", None, count, seed)
