"""A recipe's choices and templates at evaluation: what fits together, and what each template is worth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asked, Asking, chooses, predict_all

if TYPE_CHECKING:
    from tunewright.runs.at_endpoint import Ready
    from tunewright.runs.prepare import Opened


def check_evaluation(opened: "Sequence[Opened | Ready]") -> None:
    """Raise InputError where the evaluation asks for what none of the tasks has: choices, several templates."""
    evaluation = opened[0].recipe.evaluation
    choosing = [one for one in opened if chooses(one.task)]
    for key, value in (("calibration", evaluation.calibration), ("ensemble", evaluation.ensemble)):
        if value != "none" and not choosing:
            raise InputError(f"evaluation.{key}: {value} wants choices; the task's kind is {opened[0].task.kind}")
    if evaluation.ensemble == "weighted" and any(one.task.kind == "regress" for one in opened):
        raise InputError("evaluation.ensemble: weighted wants an accuracy; numbers have none: mean or vote")
    if evaluation.ensemble != "none" and all(len(one.templates) == 1 for one in choosing):
        raise InputError(f"evaluation.ensemble: {evaluation.ensemble} wants several templates (template: [A, B])")


def template_accuracy(part: "Ready", asking: Asking, *, attached: bool = True) -> tuple[float, ...]:
    """Each template's share of right answers on the validation rows, asked just as `asking` says but one by one.

    Of the rows that a template does not skip; 0 where it skips all. The test rows have no part in it.
    """
    if "validation" not in part.task.splits:
        raise InputError(
            "evaluation.ensemble: weighted: the run was tuned without it, so it keeps no accuracies of its templates"
        )
    rows = part.validation()
    shown = part.demonstrator
    alone = [
        replace(part, templates=[template], demonstrator=shown and shown.only(number))
        for number, template in enumerate(part.templates)
    ]
    asking = replace(asking, ensemble="none")
    asked = [Asked(one.encoder(rows, attached=attached), one.task, asking) for one in alone]
    found = predict_all(part.tuner, asked, f"weighing {len(alone)} templates on validation")
    return tuple(sum(p.prediction == p.target for p in mine) / max(1, len(mine)) for mine in found)
