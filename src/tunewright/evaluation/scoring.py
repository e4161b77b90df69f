"""Asking the model: choices scored, texts generated, heads read; one prediction a row."""

import math
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from tunewright.backbones.examples import Example, Purpose
from tunewright.console import Bar, progress
from tunewright.endpoints.client import Endpoint
from tunewright.evaluation.at_endpoint import Named, Said, prompts_of
from tunewright.evaluation.calibration import Calibration, calibrated, free_examples
from tunewright.evaluation.distinct import Distinct, Normalisation, Raw, Way
from tunewright.evaluation.ensembles import Ensemble, combined, voted
from tunewright.evaluation.predictions import Prediction
from tunewright.prompts.rows import PlainRows, RowPrompts
from tunewright.tasks.tagging import repaired, tags_to_text, text_to_tags
from tunewright.tasks.task import Task
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner


@dataclass(frozen=True)
class Asking:
    """How the model is asked. `weights`: of an ensemble `weighted`, a number for each of the encoder's templates."""

    batch_tokens: int = 4096
    normalisation: Normalisation = "none"
    max_new_tokens: int = 64
    calibration: Calibration = "none"
    ensemble: Ensemble = "none"
    weights: tuple[float, ...] = ()
    number: Literal["expected", "best"] = "expected"  # of the numbers that a regression chooses from


def purpose_of(task: Task, tuner: Tuner) -> Purpose:
    """What rows of this task are encoded for when they are asked."""
    if tuner.tunable.head() is not None:
        return tuner.tunable.reads
    return "choices" if chooses(task) else "generate"


def chooses(task: Task) -> bool:
    """Whether its rows are answered by one of several labels, options or numbers."""
    return task.kind in ("classify", "choose") or bool(task.numbers)


@dataclass(frozen=True)
class Asked:
    """Rows of one task to be asked about. `name` is what their predictions call the task (runs of several)."""

    encoder: RowPrompts
    task: Task
    asking: Asking
    name: str = ""


NO_CHOICE = "(no choice)"  # the prediction where an endpoint's answer names none of the choices


@dataclass(frozen=True)
class _Question:
    """A row in one template, and by number the distinct examples that answer it and calibrate the answer."""

    task: int
    row: int
    template: int
    example: int
    free: Sequence[int] = ()


def predict(
    tuner: Tuner | Endpoint,
    encoder: RowPrompts,
    task: Task,
    asking: Asking,
    title: str = "asking",
    bar: Bar | None = None,
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
    Equal examples, of whatever row, template or task, are read once. Each row is asked with the template it draws, or
    (`asking.ensemble`) with all; scores are calibrated template by template, before they are put together.
    An endpoint is asked about one task's rows after the other's.
    """
    if isinstance(tuner, Endpoint):
        return _predict_at(tuner, asked, title, bar)
    tuner.eval()
    distinct = Distinct()
    questions = [q for t, one in enumerate(asked) for q in _questions(t, one, purpose_of(one.task, tuner), distinct)]
    waiting = [0] * len(distinct)  # rows that the bar counts with an example: a row goes with its last template
    last = {(q.task, q.row): q.example for q in questions}
    for example in last.values():
        waiting[example] += 1
    with progress(title, len(last)) if bar is None else nullcontext(bar) as shown:
        raw = distinct.answers(tuner, lambda number: shown.advance(waiting[number]) if waiting[number] else None)
    return [_together(one, [q for q in questions if q.task == t], raw) for t, one in enumerate(asked)]


def _together(asked: Asked, questions: Sequence[_Question], raw: Sequence[Raw | Said]) -> list[Prediction]:
    """A prediction a row, from what was said to its questions."""
    rows: dict[int, list[_Question]] = {}
    for question in questions:
        rows.setdefault(question.row, []).append(question)
    return [_answered(asked, rows[i], [_settled(q, raw, asked.asking) for q in rows[i]]) for i in sorted(rows)]


def _predict_at(endpoint: Endpoint, asked: Sequence[Asked], title: str, bar: Bar | None) -> list[list[Prediction]]:
    """`predict_all` of a model behind an API."""
    found, plans = [], []
    for one in asked:
        assert isinstance(one.encoder, PlainRows)
        plans.append(prompts_of(endpoint, one.encoder, one.task, one.asking, choices=chooses(one.task)))
    with progress(title, sum(len(plan.prompts) for plan in plans)) if bar is None else nullcontext(bar) as shown:
        for t, (one, plan) in enumerate(zip(asked, plans)):
            said, bounded = plan.answers(shown)
            questions = [_Question(t, i, template, n, plan.free[n]) for n, (i, template) in enumerate(plan.places)]
            beyond = {q.row for q in questions if any(bounded[number] for number in (q.example, *q.free))}
            one.encoder.counts["bounded"] += len(beyond)
            found.append(_together(one, questions, said))
    return found


def asked_examples(encoder: RowEncoder, task: Task, asking: Asking, purpose: Purpose) -> list[tuple[int, int, Example]]:
    """(row, template, example) of all that is asked; what a template skips is left out."""
    indices = range(len(encoder.rows))
    room = asking.max_new_tokens if purpose == "generate" else 0
    if asking.ensemble != "none" and chooses(task):
        found = [list(enumerate(row)) for row in encoder.in_all_templates(indices, purpose, room)]
    else:
        examples = encoder.examples(indices, 0, purpose, room)
        found = [[(encoder.template_of(i), example)] for i, example in zip(indices, examples)]
    return [(i, t, example) for i, row in enumerate(found) for t, example in row if example is not None]


def _questions(number: int, asked: Asked, purpose: Purpose, distinct: Distinct) -> list[_Question]:
    """The rows of one task in the templates they are asked with; their examples go into `distinct`."""
    encoder, task, asking = asked.encoder, asked.task, asked.asking
    assert isinstance(encoder, RowEncoder)
    scored, written = purpose == "choices", purpose == "generate"
    way = Way(
        purpose,
        asking.normalisation if scored else "none",
        asking.max_new_tokens if written else 0,
        task.kind == "regress",
    )
    wanted = asked_examples(encoder, task, asking, purpose)
    free: list[list[Example]] = [[]] * len(wanted)
    if scored:
        free = free_examples(encoder, task, asking.calibration, [(i, t) for i, t, _ in wanted])
    return [
        _Question(
            number, i, t, distinct.add(way, asking.batch_tokens, example),
            [distinct.add(way, asking.batch_tokens, one) for one in unread],
        )
        for (i, t, example), unread in zip(wanted, free)
    ]  # fmt: skip


def _settled(question: _Question, raw: Sequence[Raw | Said], asking: Asking) -> Raw | Named:
    """A template's answer: its scores [L] calibrated, the votes of a prompt ensemble's members counted."""
    found = raw[question.example]
    if not isinstance(found, Tensor):
        return found
    free = [f for number in question.free if isinstance(f := raw[number], Tensor)]
    scores = calibrated(found, free, asking.calibration) if free else found  # [members, L]
    return voted(list(scores)) if len(scores) > 1 else scores[0]


def _answered(asked: Asked, questions: Sequence[_Question], found: Sequence[Raw | Named]) -> Prediction:
    """One row's prediction from what each of its templates answered; it shows the first one's prompt."""
    row, template = questions[0].row, questions[0].template
    scored = [(q, f) for q, f in zip(questions, found) if isinstance(f, Tensor)]
    if not scored:
        answer = found[0]
        if isinstance(answer, Named):
            return _named(asked, row, template, answer)
        assert not isinstance(answer, Tensor)
        return _prediction(asked, row, template, answer, None)
    asking, scores = asked.asking, [f for _, f in scored]
    together = scores[0]
    if asking.ensemble != "none":
        weights = [asking.weights[q.template] for q, _ in scored] if asking.ensemble == "weighted" else ()
        together = combined(scores, asking.ensemble, weights)
    values = tuple(together.tolist())
    return _prediction(asked, row, template, float(max(range(len(values)), key=values.__getitem__)), values)


def _named(asked: Asked, row: int, template: int, answer: Named) -> Prediction:
    """A choice without scores. Where none was named it is `NO_CHOICE`, which is never right, and counted."""
    if asked.task.kind == "regress":
        number = math.nan if answer.label is None else float(asked.task.numbers[answer.label])
        return _prediction(asked, row, template, number, None)
    asked.encoder.counts["no choice"] += answer.label is None
    first = _prediction(asked, row, template, 0.0, (0.0,))
    said = NO_CHOICE if answer.label is None else first.choices[answer.label]
    return replace(first, prediction=said, scores=None)


def _prediction(
    asked: Asked,
    index: int,
    template: int,
    answer: str | float | dict[int, int],
    scores: tuple[float, ...] | None,
) -> Prediction:
    encoder, task = asked.encoder, asked.task
    row, name = encoder.rows[index], encoder.rows.ids[index]
    prompt = encoder.prompt(index, template=template)
    assert prompt is not None
    text, of = prompt.text(), asked.name
    if scores is not None and task.kind == "regress":
        numbers = [float(word) for word in task.numbers]
        shares = torch.tensor(scores, dtype=torch.float64).softmax(-1)
        if asked.asking.number == "expected":
            answer = float(shares @ torch.tensor(numbers, dtype=torch.float64))
        else:
            answer = numbers[int(shares.argmax())]
        scores = None
    if scores is not None:
        assert isinstance(answer, float)
        names = task.labels if task.kind == "classify" and task.labels else tuple(row["choices"])
        gold = "" if row.get(task.target) is None else str(row[task.target])
        return Prediction(name, names[int(answer)], gold, text, choices=names, scores=scores, task=of)
    if task.kind == "regress":
        value = answer if isinstance(answer, float) else read_number(str(answer))
        if math.isnan(value):
            encoder.counts["no number"] += 1
            value = 0.0
        number = float(row[task.target]) if row.get(task.target) is not None else math.nan
        return Prediction(name, value, number, text, task=of)
    if task.kind == "tag":
        tokens, gold_tags = tuple(row["tokens"]), tuple(row.get(task.target) or ())
        predicted = _tags(encoder, task, tokens, answer)
        said = answer if isinstance(answer, str) else tags_to_text(tokens, predicted)
        return Prediction(
            name, said, prompt.target, text, tokens=tokens, gold_tags=gold_tags, predicted_tags=predicted, task=of
        )
    return Prediction(name, str(answer), prompt.target, text, references=prompt.references, task=of)


def _tags(
    encoder: RowPrompts, task: Task, tokens: Sequence[str], answer: str | float | dict[int, int]
) -> tuple[str, ...]:
    """One IOB2 tag a token: read from a text (what could not be read is counted), or of a head (unread words: `O`)."""
    labels = task.labels or ()
    if isinstance(answer, dict):
        outside = "O" if "O" in labels else labels[0]
        return tuple(repaired([labels[answer[i]] if i in answer else outside for i in range(len(tokens))]))
    types = {label.partition("-")[2] for label in labels if "-" in label}
    found = text_to_tags(tokens, str(answer), types)
    encoder.counts["unknown type"] += found.unknown_type
    encoder.counts["not there"] += found.not_there
    encoder.counts["malformed"] += found.malformed
    return tuple(found.tags)


def read_number(text: str) -> float:
    """The first number in a text, NaN without one."""
    found = re.search(r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)", text)
    return float(found.group()) if found else math.nan
