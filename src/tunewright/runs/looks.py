"""Looks at the validation rows while tuning, and what a run's loss and rows are."""

from collections.abc import Sequence

import torch

from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.evaluation.entities import EntityCounts
from tunewright.evaluation.scoring import chooses
from tunewright.objectives.losses import answer_loss, choice_loss, choice_scores, head_loss, label_scores
from tunewright.runs.mixture import validate_on_mixture
from tunewright.runs.prepare import Prepared
from tunewright.task_block import Kind
from tunewright.training.batches import cut
from tunewright.training.loop import MeanLook, Objective, Validate
from tunewright.training.tuner import Tuner


def objective_of(prepared: Prepared) -> Objective:
    """The loss: a head's own, else what the recipe asks for."""
    if prepared.tuner.tunable.head() is not None:
        heads: dict[Kind, Objective] = {"regress": "number", "tag": "words"}
        return heads.get(prepared.task.kind, "head")
    if prepared.recipe.training.objective == "choice" and not chooses(prepared.task):
        raise InputError(f"training.objective: choice wants choices; the task's kind is {prepared.task.kind}")
    return prepared.recipe.training.objective


def purpose_in_training(prepared: Prepared, objective: Objective) -> Purpose:
    """What rows are encoded for while tuning: the answer, the choices, or what a head reads."""
    if objective in ("answer", "choice"):
        return "answer" if objective == "answer" else "choices"
    return prepared.tuner.tunable.reads


def make_validate(prepared: Prepared) -> Validate:
    """A look at validation: [accuracy, −loss] where there are labels to choose from, [entity F1, −loss] where words are
    labelled, else [−loss] (numbers among choices too: the nearest one is nearly right).

    Of several tasks it is the mean over them, whatever their sizes; of a mixture [−loss] on the mixture itself.
    """
    if prepared.mixture is not None:
        return validate_on_mixture(prepared)
    if prepared.several:
        looks = {part.task.name: make_validate(part) for part in prepared.parts}
        return lambda tuner: MeanLook({name: look(tuner) for name, look in looks.items()})
    rows = prepared.validation()
    encoder = prepared.encoder(rows)
    objective = objective_of(prepared)
    by_choice = objective in ("answer", "choice") and chooses(prepared.task)
    purpose: Purpose = "choices" if by_choice else purpose_in_training(prepared, objective)
    labelled = objective == "head" or (by_choice and prepared.task.kind != "regress")
    labels = prepared.task.labels or ()
    batch_tokens = prepared.recipe.evaluation.batch_tokens

    @torch.no_grad()
    def validate(tuner: Tuner) -> list[float]:
        tuner.eval()
        found = encoder.examples(range(len(rows)), 0, purpose)
        examples = sorted((e for e in found if e is not None), key=lambda e: -e.tokens)
        loss = right = asked = 0.0
        f1 = EntityCounts(labels)
        for part in cut(examples, None, batch_tokens):
            count: float
            if objective == "words":
                value, count = _words_look(tuner, part, f1)
                good = 0.0
            else:
                value, good, count = _look(tuner, part, objective, by_choice)
            loss, right, asked = loss + value, right + good, asked + count
        if not asked:
            raise InputError("validation: no row is left after the empty ones were skipped")
        if objective == "words":
            return [f1.value(), -loss / asked]
        return [right / asked, -loss / asked] if labelled else [-loss / asked]

    return validate


def _look(
    tuner: Tuner, examples: Sequence[Example], objective: Objective, by_choice: bool
) -> tuple[float, float, float]:
    """(Σ loss, Σ right, what they are divided by) of one batch."""
    batch = tuner.backbone.collate(examples)
    out = tuner(batch)
    if by_choice:
        scores = choice_scores(out, batch)
        right = label_scores(scores, batch.choice_labels).argmax(-1) == batch.gold
        return float(choice_loss(scores, batch)), float(right.sum()), len(examples)
    if objective == "answer":
        return float(answer_loss(out)), 0.0, batch.asked
    if objective == "head":
        return float(head_loss(out, batch.gold, None)), float((out.argmax(-1) == batch.gold).sum()), len(examples)
    return float(head_loss(out, batch.gold, batch.numbers)), 0.0, len(examples)


def _words_look(tuner: Tuner, examples: Sequence[Example], f1: EntityCounts) -> tuple[float, int]:
    """(Σ loss, labelled words) of one batch; its entities are counted in `f1`."""
    batch = tuner.backbone.collate(examples)
    out = tuner(batch)  # [N, labels]
    said = iter(out.argmax(-1).tolist())
    for example in examples:
        asks = [ask for view in example.views for ask in view.asks]
        f1.add([ask.token for ask in asks], [next(said) for _ in asks])
    return float(head_loss(out, batch.ask_token, None)), batch.asked
