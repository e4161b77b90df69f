"""What one rendering may cost: a budget of steps and a cap on text, counted, so no clock decides.

A step is about a microsecond of work. Loop bodies, macro calls, filters, calls, operators and the text they
touch are all charged, so no template can run or grow without end, whatever its author wrote.
"""

from typing import Any

from jinja2.utils import Namespace

STEPS = 400_000
CHARACTERS = 4_000_000
LONGEST_NUMBER = 10_000  # bits of an integer
STATE = "tunewright:state"  # its place in a Jinja context; no template can spell this name

_CONTAINERS: Any = (list, tuple, set, frozenset, type({}.keys()), type({}.values()), type({}.items()))


class TooMuch(Exception):
    """A template asked for more work or text than one rendering may cost."""


class State:
    """One rendering's budget and its random numbers: `left` steps, at most `cap` characters in one text."""

    __slots__ = ("cap", "draws", "left", "salt", "seed")

    def __init__(self, seed: int = 0, salt: str = "", size: int = 0) -> None:
        """`size` is the row's own size in characters: a long row may cost more than a short one."""
        self.left = STEPS + (size >> 1)
        self.cap = CHARACTERS + 8 * size
        self.seed = seed
        self.salt = salt
        self.draws = 0

    def spend(self, steps: int) -> None:
        """Take `steps` from the budget; raises TooMuch when it is used up."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch("too many steps in one rendering (endless or deeply nested loops?)")

    def allow(self, characters: int) -> None:
        """Raise TooMuch when a text of so many characters would be too long; called before it is made."""
        if characters > self.cap:
            raise TooMuch(f"a text of {characters} characters is too long (at most {self.cap})")

    def charge(self, value: Any) -> int:
        """Pay for looking at `value` once; returns about how many characters its text has.

        Containers are walked: nested ones that share their parts cost what their text would cost.
        """
        if isinstance(value, str):
            size = len(value)
            self.spend(1 + (size >> 7))
            self.allow(size)
            return size
        if isinstance(value, int):
            bits = value.bit_length()
            self.spend(1)
            if bits > LONGEST_NUMBER:
                raise TooMuch(f"a number of {bits} bits is too large")
            return 8 + bits // 3
        if isinstance(value, range):  # `in` and `max` walk it, although it holds no text
            self.spend(1 + (len(value) >> 4))
            return 32
        if isinstance(value, Namespace):
            value = object.__getattribute__(value, "_Namespace__attrs")
        if isinstance(value, dict):
            self.spend(1)
            return 2 + sum(self.charge(key) + self.charge(item) + 4 for key, item in value.items())
        if isinstance(value, _CONTAINERS):
            self.spend(1)
            return 2 + sum(self.charge(item) + 4 for item in value)
        self.spend(1)
        return 32
