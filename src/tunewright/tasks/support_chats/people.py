"""Names of customers and agents."""

import random
from dataclasses import dataclass

from tunewright.tasks.support_chats.wording import names


@dataclass(frozen=True)
class People:
    """The two speakers.

    `label` and `agent_label` stand before the colon; `name` is what a summary calls the customer, `first` the first
    name in it. `introduces`: the name is said once in the text, because the label has the first name only.
    """

    label: str
    first: str
    name: str
    introduces: bool
    agent: str
    agent_label: str


def draw_people(rng: random.Random) -> People:
    """Draw a customer and an agent; lists of customers' and agents' names do not overlap."""
    known = names()
    first = rng.choice(known["first_names"])
    full = f"{first} {rng.choice(known['surnames'])}"
    agent = rng.choice(known["agents"])
    agent_label = agent if rng.random() < 0.5 else f"Agent {agent}"
    style = rng.random()
    if style < 0.5:
        return People(first, first, first, False, agent, agent_label)
    if style < 0.75:
        return People(full, first, full, False, agent, agent_label)
    return People(first, first, full, True, agent, agent_label)
