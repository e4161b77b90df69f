"""The leaderboard while a search runs: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tunewright.console import console, say


class Place(NamedTuple):
    """One line of the board."""

    score: float
    rows: int
    how: str
    text: str

    @property
    def shown(self) -> str:
        """The text in one line."""
        return self.text.replace("\n", "⏎")


class Board(Protocol):
    """What a search reports to."""

    def update(self, done: int, best: Sequence[Place]) -> None:
        """`done` units of the work are done; `best` are the first places so far."""


class _Live:
    def __init__(self, title: str, total: int, live: Live) -> None:
        self.title, self.total, self.live = title, total, live

    def update(self, done: int, best: Sequence[Place]) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("", "score", "rows", "how", "template"):
            table.add_column(name, no_wrap=True, overflow="ellipsis")
        for rank, place in enumerate(best, 1):
            how, text = Text(place.how), Text(place.shown)
            table.add_row(str(rank), f"{place.score:.3f}", str(place.rows), how, text)
        self.live.update(Group(Text(f"{self.title}: {done} of {self.total}"), table))


class _Plain:
    """One line at each tenth of the work."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.tenth = title, total, 0

    def update(self, done: int, best: Sequence[Place]) -> None:
        tenth = done * 10 // self.total
        if tenth == self.tenth or not best:
            return
        self.tenth, first = tenth, best[0]
        say(f"{self.title}: {done} of {self.total}, best {first.score:.3f} on {first.rows} rows, {first.how}")


@contextmanager
def board(title: str, total: int) -> Iterator[Board]:
    """A board for `total` units of work."""
    if not console.is_terminal:
        yield _Plain(title, total)
        return
    with Live(console=console, transient=True) as live:
        yield _Live(title, total, live)
