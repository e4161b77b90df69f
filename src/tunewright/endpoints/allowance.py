"""How many requests a command may make, and how fast."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MINUTE = 60.0


class BudgetSpent(Exception):
    """No request is left."""


@dataclass
class Tries:
    """The attempts of one request: how many it may make, how many it has made."""

    granted: int
    made: int = 0


class Allowance:
    """A budget of `requests`, at most `per_minute` of them in any 60 seconds (None: no limit). For several threads.

    A request that the client repeats counts each time, so its repeats are set aside before it starts: the budget is
    never passed.
    """

    def __init__(self, requests: int, per_minute: int | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests, self.per_minute = requests, per_minute
        self.used = 0
        self._aside = 0
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._clock = clock
        self._times: deque[float] = deque()
        self._turn = threading.Lock()
        self._stopped = threading.Event()

    @contextmanager
    def attempts(self, wanted: int) -> Iterator[Tries]:
        """Set up to `wanted` attempts aside for this thread, at least one.

        Waits while others hold the rest. Raises BudgetSpent where none is left.
        """
        with self._changed:
            while self.used + self._aside >= self.requests:
                if not self._aside:
                    raise BudgetSpent
                self._changed.wait()
            got = min(wanted, self.requests - self.used - self._aside)
            self._aside += got
        tries = self._mine.tries = Tries(got)
        try:
            yield tries
        finally:
            with self._changed:
                self._aside -= tries.granted - tries.made
                self._changed.notify_all()

    def count(self) -> None:
        """An attempt of this thread starts: wait for its turn, take it off the budget."""
        self._wait()
        with self._changed:
            self.used += 1
            self._aside -= 1
            self._mine.tries.made += 1

    def stop(self) -> None:
        """Let nobody wait for a turn any longer."""
        self._stopped.set()

    def _wait(self) -> None:
        if self.per_minute is None:
            return
        with self._turn:  # those who come later queue here
            while not self._stopped.is_set():
                now = self._clock()
                while self._times and now - self._times[0] >= MINUTE:
                    self._times.popleft()
                if len(self._times) < self.per_minute:
                    self._times.append(now)
                    return
                self._stopped.wait(self._times[0] + MINUTE - now)
        raise RuntimeError("stopped")
