"""Examples that wait for the model's answer: equal ones are read once, those asked alike share batches."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Example, Purpose
from tunewright.objectives.losses import choice_scores, label_scores
from tunewright.training.batches import cut
from tunewright.training.tuner import Tuner

Normalisation = Literal["none", "token", "byte"]

# A text, a number, scores [members, L] of the labels, or the labels of the words that have one, by their number.
Raw = str | float | Tensor | dict[int, int]


class Way(NamedTuple):
    """What examples of one batch have in common. `number`: a head gives a number."""

    purpose: Purpose
    normalisation: Normalisation
    max_new_tokens: int
    number: bool


class Distinct:
    """What is to be answered, by number, each once; what differs by normalisation alone is read once."""

    def __init__(self) -> None:
        self._readings: dict[tuple[Way, Hashable], int] = {}
        self._examples: list[Example] = []  # by reading
        self._groups: dict[Way, list[int]] = {}
        self._batch_tokens: dict[Way, int] = {}
        self._numbers: list[dict[Normalisation, int]] = []  # by reading: the numbers of its answers
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, way: Way, batch_tokens: int, example: Example) -> int:
        """The number of the example's answer, which is that of an equal one where there is one already."""
        read = way._replace(normalisation="none")
        reading = self._readings.setdefault((read, example.content), len(self._examples))
        if reading == len(self._examples):
            self._examples.append(example)
            self._groups.setdefault(read, []).append(reading)
            self._numbers.append({})
        self._batch_tokens[read] = min(batch_tokens, self._batch_tokens.get(read, batch_tokens))
        number = self._numbers[reading].setdefault(way.normalisation, self._count)
        self._count += number == self._count
        return number

    def answers(self, tuner: Tuner, done: Callable[[int], None]) -> list[Raw]:
        """What the model says to each example, by number; `done` hears of each as it is answered."""
        found: dict[int, Raw] = {}
        for way, group in self._groups.items():
            order = sorted(group, key=lambda reading: -self._examples[reading].tokens)
            at = 0
            for part in cut([self._examples[reading] for reading in order], None, self._batch_tokens[way]):
                numbers = [self._numbers[reading] for reading in order[at : at + len(part)]]
                answers = _ask(tuner, part, way, list(dict.fromkeys(one for mine in numbers for one in mine)))
                for i, mine in enumerate(numbers):
                    for normalisation, number in mine.items():
                        found[number] = answers[normalisation][i]
                        done(number)
                at += len(part)
        return [found[number] for number in range(self._count)]


def _ask(
    tuner: Tuner, examples: Sequence[Example], way: Way, normalisations: Sequence[Normalisation]
) -> Mapping[Normalisation, Sequence[Raw]]:
    """One batch's answers, for choices in each of the normalisations; else there is only "none"."""
    if way.purpose == "generate":
        batch = tuner.backbone.collate(examples, "left")
        return {"none": tuner.generate(batch, way.max_new_tokens)}
    batch = tuner.backbone.collate(examples)
    if way.purpose in ("words", "word-ends"):
        said = iter(tuner(batch).argmax(-1).tolist())
        return {
            "none": [{ask.choice: next(said) for view in example.views for ask in view.asks} for example in examples]
        }
    if way.purpose in ("pool", "state"):
        out = tuner(batch).float().cpu()
        if way.number:
            mean, deviation = tuner.tunable.standard
            return {"none": [float(value) * deviation + mean for value in out.squeeze(-1)]}
        return {"none": list(torch.log_softmax(out, -1).unsqueeze(1))}  # [1, L] each
    majority = tuner.tunable.vote == "majority"
    members = tuner.member_log_probs(batch) if majority else tuner(batch).unsqueeze(0)  # [members, N]
    found: dict[Normalisation, Sequence[Raw]] = {}
    for one in normalisations:
        scores = torch.stack([_scores(log_probs, batch, one) for log_probs in members], 1).cpu()
        found[one] = [mine[:, : max(example.choice_labels) + 1] for mine, example in zip(scores, examples)]
    return found  # [members, L] each


def _scores(log_probs: Tensor, batch: Batch, normalisation: Normalisation) -> Tensor:
    """Log probabilities [N] of what is asked → a score a label [B, L]."""
    scores = choice_scores(log_probs, batch)  # [B, C]
    if normalisation == "byte":
        scores = scores / batch.choice_bytes.clamp(min=1)
    elif normalisation == "token":
        ones = torch.ones_like(log_probs)
        counts = torch.zeros(scores.numel(), device=ones.device).index_add(0, batch.ask_slot, ones)
        scores = scores / counts.view_as(scores).clamp(min=1)
    return label_scores(scores, batch.choice_labels)  # [B, L]
