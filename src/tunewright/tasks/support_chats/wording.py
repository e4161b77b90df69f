"""The wording, read from the YAML files: one file a scenario, one with the lines common to all, one of names."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any

import yaml

Exchange = tuple[str, str]  # what the agent asks, what the customer answers


def slots_of(text: str) -> frozenset[str]:
    """The values a text states: `{a_item}` and `{A_item}` ("a kettle", "A kettle") state `item`."""
    names = (name for _, name, _, _ in Formatter().parse(text) if name)
    return frozenset(name[2:] if name[:2] in ("a_", "A_") else name for name in names)


@dataclass(frozen=True)
class Outcome:
    """One way a dialogue may end: the agent's words, the summary's words, the facts that both state."""

    kind: str
    says: tuple[str, ...]
    told: tuple[str, ...]
    facts: tuple[str, ...] = ()
    before: Exchange | None = None


@dataclass(frozen=True)
class Scenario:
    """One reason to write to customer service. Every slot in `questions` is stated in the dialogue."""

    name: str
    desks: tuple[str, ...]
    values: dict[str, Any]
    facts: tuple[str, ...]
    openings: tuple[tuple[str, frozenset[str]], ...]
    questions: dict[str, tuple[Exchange, ...]]
    middles: tuple[Exchange, ...]
    problems: tuple[str, ...]
    outcomes: dict[str, tuple[Outcome, ...]]


@cache
def common() -> dict[str, Any]:
    """The lines that fit every scenario."""
    return _read("common.yaml")


@cache
def names() -> dict[str, list[str]]:
    """Names of customers (`first_names`, `surnames`) and of `agents`."""
    return _read("people.yaml")


@cache
def scenarios() -> tuple[Scenario, ...]:
    """All scenarios, in the order of their names."""
    folder = files(__package__) / "scenarios"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(_scenario(name.removesuffix(".yaml"), _read(f"scenarios/{name}")) for name in names)


def _read(path: str) -> dict[str, Any]:
    text = (files(__package__) / path).read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    assert isinstance(tree, dict)
    return tree


def _scenario(name: str, tree: dict[str, Any]) -> Scenario:
    outcomes: dict[str, list[Outcome]] = {"solved": [], "escalated": [], "refused": []}
    for entry in tree["outcomes"]:
        before = tuple(entry["before"]) if "before" in entry else None
        outcomes[entry["kind"]].append(
            Outcome(entry["kind"], tuple(entry["says"]), tuple(entry["told"]), tuple(entry.get("facts", ())), before)
        )
    return Scenario(
        name=name,
        desks=tuple(tree["desks"]),
        values=tree["values"],
        facts=tuple(tree["facts"]),
        openings=tuple((text, slots_of(text)) for text in tree["openings"]),
        questions={slot: tuple((a, c) for a, c in pairs) for slot, pairs in tree["questions"].items()},
        middles=tuple((a, c) for a, c in tree["middles"]),
        problems=tuple(tree["problems"]),
        outcomes={kind: tuple(found) for kind, found in outcomes.items()},
    )
