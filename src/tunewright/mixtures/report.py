"""What was drawn of a mixture beside what was asked of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any

from tunewright.mixtures.stream import Draws, Mixture

Cell = tuple[int, int, str]  # member, wording, form


def form(few_shot: bool, options: bool) -> str:
    """What a form is called, beside the wording's kind."""
    return ("few-shot" if few_shot else "zero-shot") + (", options" if options else "")


def asked(mixture: Mixture) -> dict[Cell, float]:
    """The probability of every member, wording and form that can be drawn; they sum to 1."""
    found = {}
    for m, member in enumerate(mixture.members):
        for w, wording in enumerate(member.wordings):
            few = mixture.few_shot(m, w)
            for shown, listed in product((False, True), repeat=2):
                share = (few if shown else 1 - few) * (wording.options if listed else 1 - wording.options)
                if share:
                    found[m, w, form(shown, listed)] = member.share * wording.share * share
    return found


def drawn(draws: Draws) -> Counter[Cell]:
    """How often each was drawn."""
    forms = [form(bool(s), bool(o)) for s, o in zip(draws.shots, draws.options)]
    return Counter(zip(draws.member.tolist(), draws.wording.tolist(), forms))


@dataclass
class Sums:
    """Shares asked and numbers drawn, summed by some name."""

    asked: Counter[str]
    drawn: Counter[str]

    def to_json(self, total: int) -> dict[str, Any]:
        """{NAME: {"asked", "drawn", "n"}}: two shares of all examples, and a number."""
        return {
            name: {"asked": self.asked[name], "drawn": self.drawn[name] / max(1, total), "n": self.drawn[name]}
            for name in self.asked
        }


def mixture_json(mixture: Mixture, draws: Draws, notes: Iterable[str] = ()) -> dict[str, Any]:
    """The content of mixture.json: how many examples, and shares by task, kind of wording, form, and template."""
    wanted, found = asked(mixture), drawn(draws)

    def summed(name_of: Any) -> dict[str, Any]:
        sums = Sums(Counter(), Counter())
        for cell in wanted:
            sums.asked[name_of(cell)] += wanted[cell]  # type: ignore[assignment]
            sums.drawn[name_of(cell)] += found[cell]
        return sums.to_json(len(draws))

    def template(cell: Cell) -> Any:
        return mixture.members[cell[0]].wordings[cell[1]]

    return {
        "examples": len(draws),
        "epoch": len(mixture),
        "notes": list(notes),
        "tasks": summed(lambda cell: mixture.members[cell[0]].name),
        "kinds": summed(lambda cell: template(cell).kind),
        "forms": summed(lambda cell: cell[2]),
        "templates": summed(lambda cell: f"{mixture.members[cell[0]].name}: {template(cell).template.name}"),
    }
