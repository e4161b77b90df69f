"""A recipe whose model is behind an API, made ready: the same shape as `Prepared`, without a backbone."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewright.endpoints.client import Endpoint
from tunewright.methods.registry import make_method
from tunewright.prompts.detached import without_slots
from tunewright.prompts.rows import PlainRows
from tunewright.prompts.template import Template
from tunewright.recipe import EndpointBlock, Recipe
from tunewright.runs.prepare import Opened, Prepared, asked_rows, open_tasks
from tunewright.tasks.task import Rows, Task


@dataclass
class AtEndpoint:
    """What a run needs of a model that can only be asked. `tuner` is what answers; `parts` are as in `Prepared`."""

    recipe: Recipe
    task: Task
    templates: list[Template]
    tuner: Endpoint
    several: "tuple[AtEndpoint, ...]" = ()

    @property
    def parts(self) -> "tuple[AtEndpoint, ...]":
        """The tasks of the run, each made ready."""
        return self.several or (self,)

    def encoder(self, rows: Rows, *, attached: bool = True) -> PlainRows:
        """Rows as the endpoint reads them; nothing is ever attached."""
        training = self.recipe.training
        return PlainRows(rows, self.templates, training.seed, without_slots, training.max_tokens)

    def asked_rows(self) -> Rows:
        """The rows of `evaluation.split`, the same for every method and seed."""
        return asked_rows(self.recipe, self.task)


Ready = Prepared | AtEndpoint


def reach(recipe: Recipe) -> AtEndpoint:
    """Open the tasks; nothing is sent yet. Raises InputError for a method that wants weights, or without the key."""
    if make_method(recipe.method).wants_weights:
        recipe.local_model  # noqa: B018 - raises
    return assemble_at(recipe, open_tasks(recipe))


def assemble_at(recipe: Recipe, opened: Sequence[Opened]) -> AtEndpoint:
    """The same from opened tasks on."""
    assert isinstance(recipe.model, EndpointBlock)
    endpoint = Endpoint(recipe.model)
    parts = [AtEndpoint(one.recipe, one.task, one.templates, endpoint) for one in opened]
    several = tuple(parts) if recipe.tasks is not None else ()
    return AtEndpoint(recipe, parts[0].task, parts[0].templates, endpoint, several)
