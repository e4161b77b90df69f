"""A look at the rows most likely to go wrong, before a run makes its folder or measures anything."""

from tunewright.backbones.examples import Purpose
from tunewright.errors import InputError
from tunewright.evaluation.calibration import free_examples
from tunewright.evaluation.scoring import asked_examples, purpose_of
from tunewright.runs.looks import objective_of, purpose_in_training
from tunewright.runs.mixture import look_at_mixture
from tunewright.runs.prepare import Prepared
from tunewright.runs.scores import asking_of
from tunewright.runs.tuning import training_rows
from tunewright.tasks.task import Rows

_LONGEST, _FIRST = 20, 3


def first_look(prepared: Prepared) -> None:
    """Encode the rows with the longest answers for training, and the first ones to be asked about, of each task.

    Raises InputError where a target passes the limit, or the model's family cannot do what the recipe asks.
    """
    for part in prepared.parts:
        try:
            _look(part, trains=prepared.recipe.mixture is None)
        except InputError as error:
            raise InputError(f"task {part.task.name}: {error}" if prepared.several else str(error)) from None
    if prepared.mixture is not None:
        look_at_mixture(prepared)
    else:
        training_rows(prepared)


def _look(prepared: Prepared, *, trains: bool) -> None:
    asked = prepared.asked_rows()
    some = asked.take(range(min(_FIRST, len(asked))))
    purpose, _ = asking_purpose(prepared)
    asking = asking_of(prepared.recipe)
    for attached in (False, True):
        encoder = prepared.encoder(some, attached=attached)
        wanted = asked_examples(encoder, prepared.task, asking, purpose)
        if purpose == "choices":
            free_examples(encoder, prepared.task, asking.calibration, [(row, template) for row, template, _ in wanted])
    if prepared.method.defaults_for(prepared.backbone.family) is None or not trains:
        return
    for rows in (prepared.task.split("train"), prepared.validation()):
        found = rows.take(_longest(rows, prepared.task.target))
        prepared.encoder(found).examples(range(len(found)), 0, training_purpose(prepared))


def asking_purpose(prepared: Prepared) -> tuple[Purpose, int]:
    """What rows are encoded for when the model is asked, and the tokens kept free for its answer."""
    purpose = purpose_of(prepared.task, prepared.tuner)
    return purpose, prepared.recipe.evaluation.max_new_tokens if purpose == "generate" else 0


def training_purpose(prepared: Prepared) -> Purpose:
    """What rows are encoded for while tuning."""
    return purpose_in_training(prepared, objective_of(prepared))


def _longest(rows: Rows, target: str) -> list[int]:
    """The rows with the longest answers, in characters; counting tokens of all would take too long."""
    lengths = [len(str(cell)) for cell in rows.columns[target]]
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])[:_LONGEST]
