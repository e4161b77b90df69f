"""Puts a dialogue and its summary together from a scenario's wording and drawn values."""

import random
from typing import Any

from tunewright.tasks.support_chats.people import People, draw_people
from tunewright.tasks.support_chats.values import Draw, misread, with_article
from tunewright.tasks.support_chats.wording import Exchange, Outcome, Scenario, common, slots_of

LONGEST_DIALOGUE = 12
# How often a dialogue is meant to have 2, 3, … 12 lines; short ones happen only where the opening says it all.
_LENGTHS = range(2, LONGEST_DIALOGUE + 1)
_LENGTH_WEIGHTS = (2, 2, 4, 6, 9, 11, 13, 13, 14, 13, 13)
_OUTCOMES = ("solved", "escalated", "refused")
_OUTCOME_WEIGHTS = (50, 25, 25)


def compose(scenario: Scenario, seed: int, index: int, rng: random.Random) -> dict[str, Any]:
    """One row. The same arguments (with `rng` in the same state) give the same row."""
    people = draw_people(rng)
    outcome = rng.choice(scenario.outcomes[rng.choices(_OUTCOMES, _OUTCOME_WEIGHTS)[0]])
    values = Draw(rng, seed, index).values(scenario.values)
    values.update(name=people.name, first=people.first, agent=people.agent, desk=rng.choice(scenario.desks))
    values["wrong"] = misread(values["code"], rng)
    for thing in ("item", "bag"):
        if thing in values:
            values[f"a_{thing}"] = with_article(values[thing])
            values[f"A_{thing}"] = capital(values[f"a_{thing}"])
    facts = [people.name, *(values[slot] for slot in (*scenario.facts, *outcome.facts))]
    return {
        "id": f"chat-{index}",
        "dialogue": _Dialogue(scenario, outcome, people, values, facts, rng).text(),
        "summary": _summary(scenario, outcome, values, rng),
        "scenario": scenario.name,
        "facts": facts,
        "outcome": outcome.kind,
    }


def capital(text: str) -> str:
    """`text` with a capital first letter."""
    return text[0].upper() + text[1:]


def _summary(scenario: Scenario, outcome: Outcome, values: dict[str, str], rng: random.Random) -> str:
    problem = rng.choice(scenario.problems).format_map(values)
    told = rng.choice(outcome.told).format_map(values)
    joins = ["; ", ". "] if outcome.kind == "solved" else ["; ", ". ", ", but "]
    join = rng.choice(joins)
    return f"{problem}{join}{capital(told) if join == '. ' else told}."


class _Dialogue:
    """The lines of one dialogue: opening, questions, what distracts, outcome, goodbye."""

    def __init__(
        self,
        scenario: Scenario,
        outcome: Outcome,
        people: People,
        values: dict[str, str],
        facts: list[str],
        rng: random.Random,
    ) -> None:
        self.scenario = scenario
        self.outcome = outcome
        self.people = people
        self.values = values
        self.facts = " ".join(facts)
        self.rng = rng
        self.lines = common()
        self.said: set[str] = set()  # the kinds of aside already made: one of each is enough

    def text(self) -> str:
        rng, people = self.rng, self.people
        wanted = rng.choices(_LENGTHS, _LENGTH_WEIGHTS)[0]
        before = [self.outcome.before] if self.outcome.before else []
        opening, stated = self._opening(wanted - 2 - 2 * len(before))
        needed = self._needed(stated)
        room = max(0, wanted - 2 - 2 * (len(before) + len(needed)))

        greeted = room >= 1 and rng.random() < 0.85
        room -= greeted
        closing = rng.choice(self.lines["closings"][self.outcome.kind])[: max(0, min(rng.randint(0, 2), room))]
        room -= len(closing)
        extras, holds = self._extras(room // 2)

        out: list[tuple[str, str]] = []
        if greeted:
            out.append((people.agent_label, self._fill(rng.choice(self.lines["greetings"]))))
        out.append((people.label, self._first_words(opening, greeted)))
        for exchange, acknowledge in [*self._mixed(needed, extras), *((e, False) for e in (*holds, *before))]:
            asked = self._asked(exchange[0], acknowledge, first=len(out) <= 2)
            out.append((people.agent_label, asked))
            out.append((people.label, self._with_aside(self._fill(exchange[1]), "customer_asides", 0.06)))
        finding = "" if before else self._maybe("sympathy" if len(out) <= 2 else "findings", 0.7)
        out.append((people.agent_label, _joined(finding, self._fill(rng.choice(self.outcome.says)))))
        for label, line in zip((people.label, people.agent_label), closing):
            out.append((label, self._fill(line)))
        return "\n".join(f"{label}: {line}" for label, line in out)

    def _opening(self, room: int) -> tuple[str, frozenset[str]]:
        """An opening that leaves no more questions than `room` lines hold; else the one that says most."""
        openings = self.scenario.openings
        missing = [2 * len(self.scenario.questions.keys() - stated) for _, stated in openings]
        limit = max(room, min(missing))
        return self.rng.choice([found for found, lines in zip(openings, missing) if lines <= limit])

    def _needed(self, stated: frozenset[str]) -> list[Exchange]:
        """Questions for what the opening left out; what the customer wants is asked last."""
        slots = [slot for slot in self.scenario.questions if slot not in stated and slot != "ask"]
        self.rng.shuffle(slots)
        if "ask" not in stated:
            slots.append("ask")
        out: list[Exchange] = []
        known = set(stated)
        for slot in slots:
            if slot not in known:
                out.append(self.rng.choice(self.scenario.questions[slot]))
                known |= slots_of(out[-1][1])
        return out

    def _extras(self, count: int) -> tuple[list[tuple[Exchange, bool]], list[Exchange]]:
        """`count` exchanges that the summary leaves out: of the scenario, small talk, at most one wait."""
        rng = self.rng
        holds = [tuple(rng.choice(self.lines["holds"]))] if count and rng.random() < 0.25 else []
        count -= len(holds)
        small_talk = min(count, rng.choices((0, 1, 2), (4, 5, 1))[0])
        middles = min(count - small_talk, len(self.scenario.middles))
        extras = [(exchange, True) for exchange in rng.sample(self.scenario.middles, middles)]
        extras += [((a, c), False) for a, c in rng.sample(self.lines["distractions"], small_talk)]
        rng.shuffle(extras)
        return extras, holds

    def _mixed(self, needed: list[Exchange], extras: list[tuple[Exchange, bool]]) -> list[tuple[Exchange, bool]]:
        """Questions in their order, extras between and after them."""
        mixed: list[tuple[Exchange, bool]] = [(exchange, True) for exchange in needed]
        for extra in extras:
            mixed.insert(self.rng.randint(min(1, len(mixed)), len(mixed)), extra)
        return mixed

    def _first_words(self, opening: str, greeted: bool) -> str:
        hello = self._fill(self.rng.choice(self.lines["answers" if greeted else "hellos"]))
        introduction = self._fill(self.rng.choice(self.lines["introductions"])) if self.people.introduces else ""
        return self._with_aside(_joined(hello, introduction, self._fill(opening)), "customer_asides", 0.2)

    def _asked(self, question: str, acknowledge: bool, first: bool) -> str:
        acknowledged = self._maybe("sympathy" if first else "thanks", 0.6) if acknowledge or first else ""
        aside = self._with_aside("", "agent_asides", 0.07) if acknowledge else ""
        return _joined(acknowledged, aside, self._fill(question))

    def _with_aside(self, text: str, kind: str, share: float) -> str:
        if kind in self.said or self.rng.random() >= share:
            return text
        self.said.add(kind)
        return _joined(text, self._fill(self.rng.choice(self.lines[kind])))

    def _maybe(self, kind: str, share: float) -> str:
        return self.rng.choice(self.lines[kind]) if self.rng.random() < share else ""

    def _fill(self, text: str) -> str:
        if "{n_" in text:
            for slot, low, high in (("n_two", 12, 59), ("n_four", 1000, 9999), ("n_five", 10000, 99999)):
                self.values[slot] = self._other_number(low, high)
        return text.format_map(self.values)

    def _other_number(self, low: int, high: int) -> str:
        """A number that is part of no fact."""
        while True:
            number = str(self.rng.randint(low, high))
            if number not in self.facts:
                return number


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
