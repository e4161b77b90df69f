"""How a search ends: templates.yaml, leaderboard.json, and what the command prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.files import write_json
from tunewright.prompts.template_file import TemplateFile, write_templates
from tunewright.task_block import TemplateBlock

NAMES = ("best", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
NOTE = "the best of many on the rows that chose it: its score there is flattered; measure it on test rows with `tune`"


@dataclass(frozen=True)
class Found:
    """A finished search. `places` are the leaderboard's lines, best first, as plain values."""

    folder: Path
    metric: str
    places: list[dict[str, Any]]
    facts: Mapping[str, Any]

    @property
    def templates(self) -> Path:
        """The file with the winners."""
        return self.folder / "templates.yaml"

    def to_json(self) -> dict[str, Any]:
        """The content of leaderboard.json."""
        return {**self.facts, "metric": self.metric, "note": NOTE, "places": self.places}


def name_of(rank: int) -> str:
    """`best`, `second`, … `tenth`, `rank-11`; ranks count from 0."""
    return NAMES[rank] if rank < len(NAMES) else f"rank-{rank + 1}"


def write_found(found: Found, blocks: Sequence[TemplateBlock], about: str) -> None:
    """Write the winners as a file of templates, and the leaderboard."""
    file = TemplateFile(about=about, templates={name_of(rank): block for rank, block in enumerate(blocks)})
    write_templates(found.templates, file)
    write_json(found.folder / "leaderboard.json", found.to_json())
