"""A recipe whose model is behind an API, made ready: the same shape as `Prepared`, without a backbone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunewright.backbones.base import Family
from tunewright.endpoints.client import Endpoint
from tunewright.methods.base import Method
from tunewright.methods.registry import make_method
from tunewright.prompts.demonstrations import Demonstrator, PoolRow
from tunewright.prompts.detached import without_slots
from tunewright.prompts.rows import PlainRows
from tunewright.prompts.template import Template
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.runs.demonstrations import demonstrator_of
from tunewright.runs.prepare import Opened, Prepared, asked_rows, open_tasks, validation_rows
from tunewright.runs.several_templates import check_evaluation
from tunewright.tasks.task import Rows, Task


@dataclass
class AtEndpoint:
    """What a run needs of a model that can only be asked. `tuner` is what answers; `parts` are as in `Prepared`."""

    recipe: Recipe
    task: Task
    templates: list[Template]
    tuner: Endpoint
    several: "tuple[AtEndpoint, ...]" = ()
    template_accuracy: tuple[float, ...] | None = None
    demonstrator: Demonstrator | None = None

    @property
    def parts(self) -> "tuple[AtEndpoint, ...]":
        """The tasks of the run, each made ready."""
        return self.several or (self,)

    @property
    def family(self) -> Family:
        """It reads left to right."""
        return "causal"

    @property
    def tuned(self) -> bool:
        """Whether the method asks otherwise than with the template alone."""
        return self.demonstrator is not None and not self.recipe.exemplars

    def encoder(self, rows: Rows, *, attached: bool = True) -> PlainRows:
        """Rows as the endpoint reads them; in-context examples are all that is ever attached."""
        training = self.recipe.training
        shown = self.demonstrator if attached or self.recipe.exemplars else None
        return PlainRows(rows, self.templates, training.seed, without_slots, training.max_tokens, shown)

    def validation(self) -> Rows:
        """The validation rows that the method may look at."""
        return validation_rows(self.recipe, self.task)

    def asked_rows(self) -> Rows:
        """The rows of `evaluation.split`, the same for every method and seed."""
        return asked_rows(self.recipe, self.task)


Ready = Prepared | AtEndpoint


def reach(recipe: Recipe) -> AtEndpoint:
    """Open the tasks; nothing is sent yet. Raises InputError for a method that wants weights, or without the key."""
    method = make_method(recipe.method)
    if method.wants_weights:
        recipe.local_model  # noqa: B018 - raises
    return assemble_at(recipe, open_tasks(recipe), method)


def assemble_at(
    recipe: Recipe, opened: Sequence[Opened], method: Method, pools: Sequence[Sequence[PoolRow]] | None = None
) -> AtEndpoint:
    """The same from opened tasks on.

    `pools`: what each task's in-context examples are taken from (None: its training rows), if the method wants any.
    """
    assert isinstance(recipe.model, EndpointBlock)
    check_evaluation(opened)
    endpoint = Endpoint(recipe.model)
    parts = [
        AtEndpoint(one.recipe, one.task, one.templates, endpoint, template_accuracy=one.template_accuracy)
        for one in opened
    ]
    parts = [
        replace(part, demonstrator=demonstrator_of(method, one, pools[number] if pools is not None else None))
        for number, (part, one) in enumerate(zip(parts, opened))
    ]
    several = tuple(parts) if recipe.several else ()
    return replace(parts[0], recipe=recipe, several=several) if several else parts[0]
