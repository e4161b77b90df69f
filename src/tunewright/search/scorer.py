"""Rows scored with one template: is the answer right, and how likely is the right answer."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from tunewright.backbones.examples import Purpose
from tunewright.errors import InputError
from tunewright.evaluation.at_endpoint import prompts_of
from tunewright.evaluation.scoring import predict
from tunewright.prompts.rows import PlainRows
from tunewright.prompts.segments import Prompt
from tunewright.prompts.template import Template
from tunewright.runs.at_endpoint import AtEndpoint, Ready
from tunewright.runs.prepare import Prepared
from tunewright.runs.scores import asking_of
from tunewright.tasks.task import Rows
from tunewright.training.batches import cut
from tunewright.training.rows import RowEncoder


class RowScore(NamedTuple):
    """`score`: 1 where the model chose the right answer, else 0 (generate: `likelihood` again).

    `likelihood`: log probability of the right answer among the choices; generate: log probability of the target and
    its end, a byte of the target; 0 where an endpoint tells choices by the text, without scores.
    """

    score: float
    likelihood: float


class Scorer:
    """Asks the untuned model. Equal prompts are asked once, whichever templates they come from."""

    def __init__(self, prepared: Ready, rows: Rows) -> None:
        self.prepared, self.rows = prepared, rows
        self.known: dict[Prompt, RowScore] = {}
        self.asked = 0  # prompts the model has read

    def encoder(self, template: Template, rows: Rows) -> RowEncoder | PlainRows:
        """`rows` as the model reads them with this template."""
        encoder = self.prepared.encoder(rows, attached=False)
        encoder.templates = [template]
        return encoder

    def prompts(self, template: Template) -> list[Prompt]:
        """All rows rendered. InputError (the row named) where one gives an empty prompt."""
        encoder = self.encoder(template, self.rows)
        found: list[Prompt] = []
        for i, name in enumerate(self.rows.ids):
            prompt = encoder.prompt(i)
            if prompt is None:
                raise InputError(f"row {name}: an empty prompt")
            found.append(prompt)
        return found

    @property
    def purpose(self) -> Purpose:
        """What rows are encoded for."""
        return "answer" if self.prepared.task.kind == "generate" else "choices"

    def look(self, template: Template) -> None:
        """Encode the first row. Raises InputError where the model's family cannot do what the template asks."""
        part, encoder = self.prepared, self.encoder(template, self.rows.take([0]))
        if isinstance(part, AtEndpoint):
            assert isinstance(encoder, PlainRows)
            prompts_of(part.tuner, encoder, part.task, asking_of(part.recipe), choices=True).requests()
            return
        assert isinstance(encoder, RowEncoder)
        encoder.examples([0], 0, self.purpose)

    def score(self, template: Template, prompts: Sequence[Prompt], start: int, end: int) -> list[RowScore]:
        """The rows `start` … `end - 1`, whose prompts in this template are `prompts[start:end]`."""
        missing: dict[Prompt, int] = {}
        for i in range(start, end):
            if prompts[i] not in self.known:
                missing.setdefault(prompts[i], i)
        if missing:
            rows = self.rows.take(list(missing.values()))
            encoder = self.encoder(template, rows)
            found = self._texts(encoder) if self.purpose == "answer" else self._choices(encoder, list(missing))
            self.known |= dict(zip(missing, found))
            self.asked += len(missing)
        return [self.known[prompts[i]] for i in range(start, end)]

    def remember(self, prompts: Sequence[Prompt], start: int, scores: Sequence[RowScore]) -> None:
        """Scores of an earlier start, for rows from `start` on."""
        for i, score in enumerate(scores, start):
            self.known.setdefault(prompts[i], score)

    def _choices(self, encoder: RowEncoder | PlainRows, prompts: Sequence[Prompt]) -> list[RowScore]:
        found = predict(
            self.prepared.tuner, encoder, self.prepared.task, asking_of(self.prepared.recipe), bar=_Silent()
        )
        scores = []
        for prediction, prompt in zip(found, prompts):
            assert prompt.gold is not None
            if prediction.scores is None:  # an endpoint that has told the choice by the text
                scores.append(RowScore(float(prediction.prediction == prediction.target), 0.0))
                continue
            likely = torch.tensor(prediction.scores, dtype=torch.float64).log_softmax(0)
            best = max(range(len(likely)), key=prediction.scores.__getitem__)
            scores.append(RowScore(float(best == prompt.gold), float(likely[prompt.gold])))
        return scores

    @torch.no_grad()
    def _texts(self, encoder: RowEncoder | PlainRows) -> list[RowScore]:
        """Log probability of each target, a byte."""
        assert isinstance(self.prepared, Prepared) and isinstance(encoder, RowEncoder)
        tuner, block = self.prepared.tuner, self.prepared.recipe.evaluation
        examples = [e for e in encoder.examples(range(len(encoder.rows)), 0, "answer") if e is not None]
        order = sorted(range(len(examples)), key=lambda i: -examples[i].tokens)
        scores: dict[int, RowScore] = {}
        at = 0
        for part in cut([examples[i] for i in order], None, block.batch_tokens):
            batch = tuner.backbone.collate(part)
            log_probs = tuner(batch)  # [N]
            sums = torch.zeros(batch.examples * batch.choices).index_add(0, batch.ask_slot.cpu(), log_probs.cpu())
            for i, value in zip(order[at : at + len(part)], sums.tolist()):
                prompt = encoder.prompt(i)
                assert prompt is not None
                mean = value / max(1, len(prompt.target.encode()))
                scores[i] = RowScore(mean, mean)
            at += len(part)
        return [scores[i] for i in range(len(examples))]


class _Silent:
    """The leaderboard shows the work; no second bar."""

    def advance(self, by: int = 1, note: str = "") -> None:
        """Nothing is shown."""


def metric_name(kind: str) -> str:
    """What `RowScore.score` is the mean of."""
    return "log-likelihood a byte" if kind == "generate" else "accuracy"


def mean(scores: Sequence[float]) -> float:
    """Their mean, -inf of none."""
    return math.fsum(scores) / len(scores) if scores else -math.inf
