"""The one place that talks to a person: colours and progress on standard error, results on standard output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)
output = Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line of information (not a result) on standard error."""
    console.print(text, markup=False, soft_wrap=True)


class Bar(Protocol):
    """What a long piece of work reports to."""

    def advance(self, by: int = 1, note: str = "") -> None:
        """`by` more units are done; `note` is shown beside the bar."""


class _RichBar:
    def __init__(self, progress: Progress, task: int) -> None:
        self.progress, self.task = progress, task

    def advance(self, by: int = 1, note: str = "") -> None:
        self.progress.update(self.task, advance=by, note=note)  # type: ignore[arg-type]


class _PlainBar:
    """Plain lines where there is no terminal: one at each tenth of the work."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0

    def advance(self, by: int = 1, note: str = "") -> None:
        before, self.done = self.done, self.done + by
        if self.total and before * 10 // self.total != self.done * 10 // self.total:
            say(f"{self.title} {self.done}/{self.total} {note}".rstrip())


@contextmanager
def progress(title: str, total: int) -> Iterator[Bar]:
    """A live bar with time left on a terminal, plain lines elsewhere. `total` is in units of `advance`."""
    if not console.is_terminal:
        yield _PlainBar(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield _RichBar(bars, bars.add_task(title, total=total, note=""))
