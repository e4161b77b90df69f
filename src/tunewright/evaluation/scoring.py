"""Asking the model: choices scored, texts generated, heads read; one prediction a row."""

import math
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Example, Purpose
from tunewright.console import Bar, progress
from tunewright.endpoints import asking as at_endpoint
from tunewright.endpoints.client import Endpoint
from tunewright.evaluation.predictions import Prediction
from tunewright.objectives.losses import choice_scores, label_scores
from tunewright.prompts.rows import PlainRows, RowPrompts
from tunewright.prompts.segments import Prompt
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
    return "choices" if scores_choices(task) else "generate"


def scores_choices(task: Task) -> bool:
    """Whether the model chooses, or writes a text."""
    return task.kind in ("classify", "choose")


@dataclass(frozen=True)
class Asked:
    """Rows of one task to be asked about. `name` is what their predictions call the task (runs of several)."""

    encoder: RowPrompts
    task: Task
    asking: Asking
    name: str = ""


Answered = tuple[str | float, tuple[float, ...] | None]
NO_CHOICE = "(no choice)"  # the prediction where an endpoint's answer names none of the choices


def predict(
    tuner: Tuner, encoder: RowEncoder, task: Task, asking: Asking, title: str = "asking", bar: Bar | None = None
) -> list[Prediction]:
    """Ask the model about every row of the encoder; rows that the template skips have no prediction.

    `bar`: the caller's own, where this is a part of its work.
    """
    return predict_all(tuner, [Asked(encoder, task, asking)], title, bar)[0]


@torch.no_grad()
def predict_all(
    tuner: Tuner | Endpoint, asked: Sequence[Asked], title: str = "asking", bar: Bar | None = None
) -> list[list[Prediction]]:
    """Ask the model about the rows of several tasks, mixed in its batches; a list of predictions a task.

    What is done alike shares batches: choices are scored with choices, texts generated with texts of the same limit.
    An endpoint is asked about a task's rows after the other's.
    """
    if isinstance(tuner, Endpoint):
        return _predict_at(tuner, asked, title, bar)
    tuner.eval()
    alike: dict[tuple[Purpose, int | Normalisation], list[tuple[int, int, Example]]] = {}  # (task, row, its example)
    for t, one in enumerate(asked):
        purpose = purpose_of(one.task, tuner)
        room = one.asking.max_new_tokens if purpose == "generate" else 0
        way = one.asking.max_new_tokens if purpose == "generate" else one.asking.normalisation
        assert isinstance(one.encoder, RowEncoder)
        examples = one.encoder.examples(range(len(one.encoder.rows)), 0, purpose, room)
        group = alike.setdefault((purpose, way), [])
        group += [(t, i, example) for i, example in enumerate(examples) if example is not None]
    answers: list[dict[int, Answered]] = [{} for _ in asked]
    total = sum(map(len, alike.values()))
    with progress(title, total) if bar is None else nullcontext(bar) as shown:
        for (purpose, _), group in alike.items():
            group.sort(key=lambda entry: -entry[2].tokens)
            batch_tokens = min((asked[t].asking.batch_tokens for t, _, _ in group), default=0)
            at = 0
            for part in cut([example for _, _, example in group], None, batch_tokens):
                rows = group[at : at + len(part)]
                at += len(part)
                first = asked[rows[0][0]]
                for (t, i, _), answer in zip(rows, _ask(tuner, part, purpose, first.task, first.asking)):
                    answers[t][i] = answer
                shown.advance(len(part))
    return [[_prediction(one, i, *answers[t][i]) for i in sorted(answers[t])] for t, one in enumerate(asked)]


def _predict_at(endpoint: Endpoint, asked: Sequence[Asked], title: str, bar: Bar | None) -> list[list[Prediction]]:
    """`predict_all` of a model behind an API."""
    prompts = [endpoint_prompts(endpoint, one) for one in asked]
    found = []
    with progress(title, sum(map(len, prompts))) if bar is None else nullcontext(bar) as shown:
        for one, mine in zip(asked, prompts):
            names, texts = [f"row {one.encoder.rows.ids[i]}" for i in mine], list(mine.values())
            limit = one.asking.max_new_tokens
            if not scores_choices(one.task):
                answers = at_endpoint.generate(endpoint, texts, names, limit, shown)
                found.append([_prediction(one, i, text, None) for i, text in zip(mine, answers)])
                continue
            choices = at_endpoint.choose(
                endpoint, texts, names, normalisation=one.asking.normalisation, max_new_tokens=limit, bar=shown
            )
            one.encoder.counts["no choice"] += sum(choice.label is None for choice in choices)
            one.encoder.counts["bounded"] += sum(choice.bounded for choice in choices)
            found.append([_chosen(one, i, choice) for i, choice in zip(mine, choices)])
    return found


def endpoint_prompts(endpoint: Endpoint, one: Asked) -> dict[int, Prompt]:
    """Row by row what an endpoint is asked; rows that are skipped or cut are counted."""
    rows, found = one.encoder, {}
    assert isinstance(rows, PlainRows)
    choices = scores_choices(one.task)
    room = 0 if choices else one.asking.max_new_tokens
    for i, name in enumerate(rows.rows.ids):
        prompt = rows.prompt(i)
        if prompt is None:
            rows.counts["skipped"] += 1
            continue
        found[i], cut = at_endpoint.fitted(endpoint, prompt, f"row {name}", rows.max_tokens, room, choices=choices)
        rows.counts["shortened"] += cut
    return found


def _chosen(asked: Asked, index: int, choice: at_endpoint.Choice) -> Prediction:
    """Without a choice it is `NO_CHOICE`, which is never right."""
    if choice.label is not None and choice.scores is not None:
        return _prediction(asked, index, float(choice.label), choice.scores)
    first = _prediction(asked, index, 0.0, (0.0,))
    said = NO_CHOICE if choice.label is None else first.choices[choice.label]
    return replace(first, prediction=said, scores=None)


def _ask(tuner: Tuner, examples: Sequence[Example], purpose: Purpose, task: Task, asking: Asking) -> list[Answered]:
    """One batch's answers. Of `task` and `asking` only what its rows have in common is read."""
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


def _rows(scores: Tensor) -> list[Answered]:
    rows = [[float(s) for s in row if s > -math.inf] for row in scores]
    return [(float(max(range(len(row)), key=row.__getitem__)), tuple(row)) for row in rows]


def _prediction(asked: Asked, index: int, answer: str | float, scores: tuple[float, ...] | None) -> Prediction:
    encoder, task = asked.encoder, asked.task
    row, name = encoder.rows[index], encoder.rows.ids[index]
    prompt = encoder.prompt(index)
    assert prompt is not None
    text, of = prompt.text(), asked.name
    if scores is not None:
        names = task.labels if task.kind == "classify" and task.labels else tuple(row["choices"])
        gold = "" if row.get(task.target) is None else str(row[task.target])
        return Prediction(name, names[int(answer)], gold, text, choices=names, scores=scores, task=of)
    if task.kind == "regress":
        value = answer if isinstance(answer, float) else read_number(answer)
        if math.isnan(value):
            encoder.counts["no number"] += 1
            value = 0.0
        number = float(row[task.target]) if row.get(task.target) is not None else math.nan
        return Prediction(name, value, number, text, task=of)
    if task.kind == "tag":
        tokens, gold_tags = tuple(row["tokens"]), tuple(row.get(task.target) or ())
        types = {label.partition("-")[2] for label in task.labels or () if "-" in label}
        predicted = tuple(text_to_tags(tokens, str(answer), types))
        return Prediction(
            name, str(answer), prompt.target, text, tokens=tokens, gold_tags=gold_tags, predicted_tags=predicted,
            task=of,
        )  # fmt: skip
    return Prediction(name, str(answer), prompt.target, text, references=prompt.references, task=of)


def read_number(text: str) -> float:
    """The first number in a text, NaN without one."""
    found = re.search(r"[-+]?\d+(?:\.\d+)?", text)
    return float(found.group()) if found else math.nan
