"""Candidates of a template search: what generators yield, and the table of generators."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.template import Template
from tunewright.settings import Strict, validate
from tunewright.task_block import TemplateBlock

if TYPE_CHECKING:
    from tunewright.runs.at_endpoint import Ready


@dataclass(frozen=True)
class Candidate:
    """A template that may be good. `how` names what made it, e.g. "rule: cloze", "lm-bff", "induced", "autoprompt".

    Without `answer_choices` it is answered with the words of the template the search starts from. `score` is the
    generator's own, if it has one. `chat`: asked inside the model's chat template.
    """

    jinja: str
    how: str
    answer_choices: tuple[str, ...] | None = None
    score: float | None = None
    chat: bool = False

    def block(self, start: Template) -> TemplateBlock:
        """The template as a file of templates holds it; `start` is the one the search starts from."""
        if self.answer_choices is not None:
            return TemplateBlock(jinja=self.jinja, chat=self.chat, answer_choices=list(self.answer_choices))
        words = start.block()
        return TemplateBlock(
            jinja=self.jinja, chat=self.chat, answer_choices=words.answer_choices, label_words=words.label_words
        )

    def template(self, name: str, start: Template) -> Template:
        """The template compiled for the task of `start`. Raises InputError for what is no template of it."""
        return Template.from_block(name, self.block(start), start.task)


class Generator(Protocol):
    """Yields candidates one by one; the search takes as many as it wants.

    `prepared` has train and validation rows and no test rows. `settings` is the generator's own model (SETTINGS), made
    of the keys beside `name` of its entry in the recipe. Equal arguments give equal candidates.
    """

    def __call__(self, prepared: "Ready", settings: Any, seed: int) -> Iterator[Candidate]:
        """The candidates in the order they are to be tried."""


GENERATORS = {
    "autoprompt": "tunewright.search.autoprompt:autoprompt",
    "induce": "tunewright.search.induce:induce",
    "lm-bff": "tunewright.search.generate_lmbff:lm_bff",
    "rules": "tunewright.search.heuristics:rules",
}

SETTINGS = {
    "autoprompt": "tunewright.search.autoprompt:AutoPromptSettings",
    "induce": "tunewright.search.induce:InduceSettings",
    "lm-bff": "tunewright.search.generate_lmbff:LMBFFSettings",
    "rules": "tunewright.search.heuristics:RulesSettings",
}


READ_WEIGHTS = frozenset({"autoprompt", "lm-bff"})  # these cannot do with what an API answers


def generator(name: str, keys: Mapping[str, Any]) -> tuple[Generator, Strict]:
    """The generator of that name and its settings. InputError with a did-you-mean for an unknown name or key."""
    if name not in GENERATORS:
        raise InputError(f"unknown generator {name!r}{did_you_mean(name, GENERATORS)}")
    made: Generator = _found(GENERATORS[name])
    return made, validate(_found(SETTINGS[name]), dict(keys), f"generator {name}")


def _found(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
