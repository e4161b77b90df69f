"""A start made of the training rows themselves: one pass over some of them before the first step."""

import torch

from tunewright.errors import InputError
from tunewright.runs.prepare import Prepared
from tunewright.seeds import numpy_random
from tunewright.training.batches import cut

ROWS_A_LABEL = 64


def start_from_states(prepared: Prepared) -> None:
    """Give the tunable the states of up to 64 training rows of each label, drawn with the seed.

    Raises InputError for a label without any training row (or with none that the template does not skip).
    """
    task, rows, seed = prepared.task, prepared.task.split("train"), prepared.recipe.training.seed
    column = [str(label) for label in rows.columns[task.target]]
    wanted: list[int] = []
    for label in task.labels or ():
        mine = [i for i, other in enumerate(column) if other == label]
        order = numpy_random("start from states", seed, label).permutation(len(mine))
        wanted += [mine[i] for i in order[:ROWS_A_LABEL]]
    encoder = prepared.encoder(rows)
    examples = [e for e in encoder.examples(sorted(wanted), 0, "state") if e is not None]
    examples.sort(key=lambda e: -e.tokens)
    present = {example.gold for example in examples}
    for index, label in enumerate(task.labels or ()):
        if index not in present:
            raise InputError(f"task {task.name}: no training row of the label {label!r} to start from")
    states = []
    prepared.tuner.eval()
    for part in cut(examples, None, prepared.recipe.evaluation.batch_tokens):
        states.append(prepared.tuner.asked_states(prepared.backbone.collate(part)))
    gold = torch.tensor([example.gold for example in examples], device=states[0].device)
    prepared.tuner.tunable.start_from(torch.cat(states), gold)
