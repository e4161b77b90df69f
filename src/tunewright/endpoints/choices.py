"""Choices from what an endpoint answers: by scores, by the first token's, by the text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tunewright.endpoints import forms
from tunewright.endpoints.constrained import named
from tunewright.errors import InputError
from tunewright.prompts.segments import Prompt

Normalisation = Literal["none", "token", "byte"]


@dataclass(frozen=True)
class Choice:
    """`label`: the index of a label (or of a row's option), None: the answer named no choice.

    `scores`: a log probability a label, None where choices were told by the text. `bounded`: some are upper bounds.
    """

    label: int | None
    scores: tuple[float, ...] | None = None
    bounded: bool = False


def by_text(text: str, prompt: Prompt) -> Choice:
    """The choice that a text names."""
    place = named(text, prompt.choices or ())
    return Choice(None if place is None else _labels(prompt)[place])


def by_scores(scores: Sequence[tuple[float, int]], prompt: Prompt, normalisation: Normalisation) -> Choice:
    """From (Σ log p, tokens) a choice; a label's probability is that any of its words is the answer."""
    values = []
    for (value, tokens), choice in zip(scores, prompt.choices or ()):
        by = {"none": 1, "token": tokens, "byte": len(choice.encode())}[normalisation]
        values.append(value / max(by, 1))
    labels = _labels(prompt)
    found = tuple(_log_sum([v for v, label in zip(values, labels) if label == k]) for k in range(max(labels) + 1))
    return Choice(max(range(len(found)), key=found.__getitem__), found)


def by_first_token(listed: dict[str, float], prompt: Prompt, normalisation: Normalisation) -> Choice:
    """A choice that is not listed is at most as probable as the last one listed; where none is, no choice is named."""
    choices = [choice.strip() for choice in prompt.choices or ()]
    seen = [choice in listed for choice in choices]
    if not any(seen):
        return Choice(None)
    least = math.nextafter(min(listed.values()), -math.inf)  # a listed one goes before it
    scored = by_scores([(listed.get(choice, least), 1) for choice in choices], prompt, normalisation)
    return replace(scored, bounded=not all(seen))


def never_listed(prompts: Sequence[Prompt], listed: Sequence[dict[str, float]]) -> None:
    """Raise InputError for a choice that no answer lists: it may have several tokens, and then has no score."""
    seen = set().union(*listed)
    missing = [choice for choice in prompts[0].choices or () if choice.strip() not in seen]
    if missing:
        raise InputError(
            f"model.choices: {missing[0]!r} is never among the {forms.TOP} most probable first tokens of an answer; "
            "it may have several tokens, which a chat does not score: use other label words, or model.choices: text"
        )


def _labels(prompt: Prompt) -> Sequence[int]:
    return prompt.choice_labels or range(len(prompt.choices or ()))


def _log_sum(values: Sequence[float]) -> float:
    """log Σ exp: a label's probability is that any of its words is the answer."""
    top = max(values)
    return values[0] if len(values) == 1 else top + math.log(sum(math.exp(value - top) for value in values))
