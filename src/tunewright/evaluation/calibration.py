"""Calibration of choice scores: what the model would say without reading the row is taken off.

Both ways work on a label's score: the sum of log p over its word's tokens, divided by the word's length where
`normalisation` asks for it (the same for the row and for what it is compared with), summed over its words. Length
comes first because what is calibrated is what would be compared: for PMI the order makes no difference (both sides
are divided by the same length), and contextual calibration is defined on the probabilities of the choices. The
evaluation harness has the two apart: `acc_norm` divides by bytes, `acc_mutual_info` subtracts and divides by nothing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.prompts.content_free import content_free, domain_prompt
from tunewright.prompts.segments import Prompt
from tunewright.tasks.task import Task
from tunewright.training.rows import RowEncoder

Calibration = Literal["none", "contextual", "pmi"]

PROBES = ("N/A", "", "[MASK]")  # Zhao et al. 2021, §5; in a row's place "[MASK]" is six characters, also for BERT


def contextual(scores: Tensor, free: Sequence[Tensor]) -> Tensor:
    """Contextual calibration (Zhao et al. 2021, §5): [..., L] and content-free scores [..., L] each → [..., L].

    log (p / p_cf): p the probabilities of the labels among themselves, p_cf their mean over the content-free inputs.
    The paper's W is diag(p_cf)⁻¹ and b is 0; as in the authors' code the largest p / p_cf is the answer.
    """
    unread = torch.stack([f.log_softmax(-1) for f in free]).logsumexp(0) - torch.tensor(float(len(free))).log()
    return scores.log_softmax(-1) - unread


def pmi(scores: Tensor, domain: Tensor) -> Tensor:
    """PMI_DC (Holtzman et al. 2021, §3): log p(y | x) − log p(y | domain prompt), [..., L] each."""
    return scores - domain


def calibrated(scores: Tensor, free: Sequence[Tensor], how: Calibration) -> Tensor:
    """[..., L] → [..., L]; `free` are the scores of what `free_examples` gave."""
    return contextual(scores, free) if how == "contextual" else pmi(scores, free[0]) if how == "pmi" else scores


def free_examples(
    encoder: RowEncoder, task: Task, how: Calibration, places: Sequence[tuple[int, int]]
) -> list[list[Example]]:
    """What each (row, template) is compared with, encoded for its choices; rows that ask the same share an example.

    contextual: the prompt with "N/A", nothing and "[MASK]" in the place of the row's text; a row's own choices stay.
    pmi: the template's own words right before the answer. none: nothing, at no cost.
    Raises InputError where the family can ask nothing of such a prompt.
    """
    if how == "none":
        return [[] for _ in places]
    try:
        return encoder.changed(places, unread_changes(task, how), "choices")
    except InputError as error:
        raise unaskable(how, error) from None


def unread_changes(task: Task, how: Calibration) -> list[Callable[[Prompt], Prompt]]:
    """What makes of a row's prompt those that ask without its content."""
    if how == "pmi":
        return [domain_prompt]
    kept = ("choices",) if task.kind == "choose" else ()
    return [partial(content_free, text=text, kept=kept) for text in PROBES]


def unaskable(how: Calibration, error: InputError) -> InputError:
    """The same error of a prompt without content, for the user."""
    hint = "; pmi wants words of the template before the answer" if how == "pmi" else ""
    return InputError(f"evaluation.calibration {how}: {error}{hint}")
