"""The rows of one task as prompts for a model behind an API, and what it says to them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tunewright.console import Bar
from tunewright.endpoints import asking as at_endpoint
from tunewright.endpoints.cache import Request
from tunewright.endpoints.client import Endpoint
from tunewright.endpoints.forms import TOP
from tunewright.errors import InputError
from tunewright.evaluation.calibration import unaskable, unread_changes
from tunewright.prompts.rows import Place, PlainRows
from tunewright.prompts.segments import Prompt
from tunewright.tasks.task import Task

if TYPE_CHECKING:
    from tunewright.evaluation.scoring import Asking


@dataclass(frozen=True)
class Named:
    """A choice that was told by the text of an answer: the index of its label, None where the text names none."""

    label: int | None


Said = str | Tensor | Named  # a text, scores [1, L] of the labels, or a choice without scores


@dataclass
class Prompts:
    """What is asked about rows of a task: `places[i]` is the (row, template) of `prompts[i]`.

    Behind those stand the prompts that calibrate; `free[i]` are the numbers of those of `prompts[i]`.
    """

    endpoint: Endpoint
    task: Task
    asking: "Asking"
    choices: bool
    places: list[Place] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    free: list[list[int]] = field(default_factory=list)

    def requests(self) -> list[Request]:
        """What will be sent, as far as it is known; an endpoint without log probabilities takes one more.

        Raises InputError where it is known already that what wants scores will have none.
        """
        endpoint, limit = self.endpoint, self.asking.max_new_tokens
        if not self.choices:
            return at_endpoint.generations(endpoint, self.prompts, self.names, limit)
        if at_endpoint.known_way(endpoint, self.prompts, self.names) == "text":
            at_endpoint.need_scores(endpoint, _scores_for(self.asking))
            return at_endpoint.questions(endpoint, self.prompts, self.names, limit)
        return at_endpoint.scorings(endpoint, self.prompts, self.names)

    def answers(self, bar: Bar) -> tuple[list[Said], list[bool]]:
        """What the model says to each prompt, and whether some of its scores are upper bounds.

        Raises InputError where calibration or an ensemble is asked for, and there are no scores.
        """
        asking, limit = self.asking, self.asking.max_new_tokens
        if not self.choices:
            texts = at_endpoint.generate(self.endpoint, self.prompts, self.names, limit, bar)
            return list(texts), [False] * len(texts)
        choices = at_endpoint.choose(
            self.endpoint, self.prompts, self.names, normalisation=asking.normalisation, max_new_tokens=limit, bar=bar,
            scores_for=_scores_for(asking),
        )  # fmt: skip
        said: list[Said] = [Named(c.label) if c.scores is None else torch.tensor([c.scores]) for c in choices]
        for number in range(len(self.places), len(said)):
            if isinstance(said[number], Named):
                raise InputError(
                    f"evaluation.calibration {asking.calibration}: {self.names[number]}: none of the choices is among "
                    f"the {TOP} most probable first tokens of the answer to the prompt without the row's text"
                )
        return said, [choice.bounded for choice in choices]


def prompts_of(endpoint: Endpoint, rows: PlainRows, task: Task, asking: "Asking", *, choices: bool) -> Prompts:
    """Rows that are skipped or cut, and demonstrations left out, are counted. Raises InputError naming a row."""
    found = Prompts(endpoint, task, asking, choices)
    room = 0 if choices else asking.max_new_tokens
    every = range(len(rows.templates)) if asking.ensemble != "none" and choices else None
    wanted = [(i, t) for i in range(len(rows.rows)) for t in (every or [rows.template_of(i)])]
    cuts: dict[int, bool] = {}
    for place, prompt in zip(wanted, rows.prompts(wanted)):
        if prompt is None:
            continue
        name = f"row {rows.rows.ids[place[0]]}"
        fitted, cut = at_endpoint.fitted(endpoint, prompt, name, rows.max_tokens, room, choices=choices)
        if prompt.demonstrations:
            stand = rows.stand[place] = len(fitted.demonstrations)
            if place[0] not in cuts:  # of several templates the first one's
                dropped = len(prompt.demonstrations) - stand
                rows.counts.update({"stand": stand, "dropped": dropped, "short of": int(dropped > 0)})
        cuts[place[0]] = cuts.get(place[0], False) or cut
        found.places.append(place)
        found.prompts.append(fitted)
        found.names.append(name)
    rows.counts.update({"skipped": len(rows.rows) - len(cuts), "shortened": sum(cuts.values())})
    found.free = [[] for _ in found.places]
    if asking.calibration != "none" and choices:
        _calibrating(found, rows)
    return found


def _calibrating(found: Prompts, rows: PlainRows) -> None:
    """Put the prompts that calibrate behind the others, equal ones once."""
    how, numbers = found.asking.calibration, dict[Prompt, int]()
    changed = rows.changed_prompts(found.places, unread_changes(found.task, how))
    for i, mine in enumerate(changed):
        for prompt in mine:
            if prompt not in numbers:
                try:
                    fitted, _ = at_endpoint.fitted(
                        found.endpoint, prompt, found.names[i], rows.max_tokens, 0, choices=True
                    )
                    at_endpoint.scorings(found.endpoint, [fitted], [found.names[i]])  # it can be asked
                except InputError as error:
                    raise unaskable(how, error) from None
                numbers[prompt] = len(found.prompts)
                found.prompts.append(fitted)
                found.names.append(found.names[i])
            found.free[i].append(numbers[prompt])


def _scores_for(asking: "Asking") -> str:
    if asking.calibration != "none":
        return f"evaluation.calibration {asking.calibration}"
    return f"evaluation.ensemble {asking.ensemble}" if asking.ensemble != "none" else ""
