"""Asking the model: choices scored, texts generated, heads read; one prediction a row."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Example, Purpose
from tunewright.console import progress
from tunewright.evaluation.predictions import Prediction
from tunewright.objectives.losses import choice_scores, label_scores
from tunewright.tasks.tagging import text_to_tags
from tunewright.tasks.task import Task
from tunewright.training.batches import cut
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

Normalisation = Literal["none", "token", "byte"]


@dataclass(frozen=True)
class Asking:
    """How the model is asked."""

    batch_tokens: int = 4096
    normalisation: Normalisation = "none"
    max_new_tokens: int = 64


def purpose_of(task: Task, tuner: Tuner) -> Purpose:
    """What rows of this task are encoded for when they are asked."""
    if tuner.tunable.head() is not None:
        return "pool"
    return "choices" if task.kind in ("classify", "choose") else "generate"


@torch.no_grad()
def predict(tuner: Tuner, encoder: RowEncoder, task: Task, asking: Asking, title: str = "asking") -> list[Prediction]:
    """Ask the model about every row of the encoder; rows that the template skips have no prediction."""
    tuner.eval()
    purpose = purpose_of(task, tuner)
    room = asking.max_new_tokens if purpose == "generate" else 0
    examples = encoder.examples(range(len(encoder.rows)), 0, purpose, room)
    present = [i for i, example in enumerate(examples) if example is not None]
    order = sorted(present, key=lambda i: -examples[i].tokens)  # type: ignore[union-attr]
    answers: dict[int, tuple[str | float, tuple[float, ...] | None]] = {}
    with progress(title, len(order)) as bar:
        at = 0
        for part in cut([example for i in order if (example := examples[i]) is not None], None, asking.batch_tokens):
            rows = order[at : at + len(part)]
            at += len(part)
            for i, answer in zip(rows, _ask(tuner, part, purpose, task, asking)):
                answers[i] = answer
            bar.advance(len(part))
    return [_prediction(encoder, task, i, *answers[i]) for i in present]


def _ask(
    tuner: Tuner, examples: Sequence[Example], purpose: Purpose, task: Task, asking: Asking
) -> list[tuple[str | float, tuple[float, ...] | None]]:
    if purpose == "generate":
        batch = tuner.backbone.collate(examples, "left")
        texts = tuner.generate(batch, asking.max_new_tokens)
        return [(text, None) for text in texts]
    batch = tuner.backbone.collate(examples)
    if purpose == "choices" and tuner.tunable.vote == "majority":
        members = tuner.member_log_probs(batch)  # [members, N]
        return _rows(voted([_scores(log_probs, batch, asking) for log_probs in members]))
    out = tuner(batch)
    if purpose == "pool":
        if task.kind == "regress":
            return [(float(value), None) for value in out.float().squeeze(-1)]
        return _rows(torch.log_softmax(out.float(), -1))
    return _rows(_scores(out, batch, asking))


def _scores(log_probs: Tensor, batch: Batch, asking: Asking) -> Tensor:
    """Log probabilities [N] of what is asked → a score a label [B, L]."""
    scores = choice_scores(log_probs, batch)  # [B, C]
    if asking.normalisation == "byte":
        scores = scores / batch.choice_bytes.clamp(min=1)
    elif asking.normalisation == "token":
        ones = torch.ones_like(log_probs)
        counts = torch.zeros(scores.numel(), device=ones.device).index_add(0, batch.ask_slot, ones)
        scores = scores / counts.view_as(scores).clamp(min=1)
    return label_scores(scores, batch.choice_labels)  # [B, L]


def voted(scores: Sequence[Tensor]) -> Tensor:
    """Scores [B, L] of several prompts → log shares [B, L] of their votes; equal votes are told apart by the mean
    probability."""
    means = torch.stack([s.softmax(-1) for s in scores]).mean(0)  # [B, L]
    votes = torch.stack([F.one_hot(s.argmax(-1), s.shape[-1]) for s in scores]).sum(0)  # [B, L]
    return ((votes + means) / (len(scores) + 1)).log()


def _rows(scores: Tensor) -> list[tuple[str | float, tuple[float, ...] | None]]:
    rows = [[float(s) for s in row if s > -math.inf] for row in scores]
    return [(float(max(range(len(row)), key=row.__getitem__)), tuple(row)) for row in rows]


def _prediction(
    encoder: RowEncoder, task: Task, index: int, answer: str | float, scores: tuple[float, ...] | None
) -> Prediction:
    row, name = encoder.rows[index], encoder.rows.ids[index]
    prompt = encoder.prompt(index)
    assert prompt is not None
    text = prompt.text()
    if scores is not None:
        names = task.labels if task.kind == "classify" and task.labels else tuple(row["choices"])
        gold = row.get(task.target)
        return Prediction(
            name, names[int(answer)], "" if gold is None else str(gold), text, choices=names, scores=scores
        )
    if task.kind == "regress":
        value = answer if isinstance(answer, float) else read_number(answer)
        if math.isnan(value):
            encoder.counts["no number"] += 1
            value = 0.0
        return Prediction(name, value, float(row[task.target]) if row.get(task.target) is not None else math.nan, text)
    if task.kind == "tag":
        tokens, gold_tags = tuple(row["tokens"]), tuple(row.get(task.target) or ())
        types = {label.partition("-")[2] for label in task.labels or () if "-" in label}
        predicted = tuple(text_to_tags(tokens, str(answer), types))
        return Prediction(
            name, str(answer), prompt.target, text, tokens=tokens, gold_tags=gold_tags, predicted_tags=predicted
        )
    return Prediction(name, str(answer), prompt.target, text, references=prompt.references)


def read_number(text: str) -> float:
    """The first number in a text, NaN without one."""
    found = re.search(r"[-+]?\d+(?:\.\d+)?", text)
    return float(found.group()) if found else math.nan
