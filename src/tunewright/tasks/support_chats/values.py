"""Amounts, dates, times, codes: the values that fill the scenarios' slots."""

import random
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
LONGEST = 4_500_000  # rows with codes that are sure to differ; the smallest code shape has more

# Any multiplier that shares no factor with a code shape's size (23^a · 9 · 10^b) makes k → k·m a permutation of it.
_STEP = 2_654_435_761


def code(shape: str, seed: int, index: int) -> str:
    """The code of row `index`: `L` in `shape` becomes a letter, `#` a digit (the first one not 0).

    Rows of one seed have different codes as long as `index` stays below `LONGEST`.
    """
    first = shape.find("#")
    alphabets = [LETTERS if c == "L" else "123456789" if i == first else "0123456789" for i, c in enumerate(shape)]
    size = 1
    for sign, alphabet in zip(shape, alphabets):
        size *= len(alphabet) if sign in "L#" else 1
    number = (index * _STEP + seed * 7_919 + 1_234_577) % size
    out = []
    for sign, alphabet in zip(reversed(shape), reversed(alphabets)):
        if sign in "L#":
            number, digit = divmod(number, len(alphabet))
            out.append(alphabet[digit])
        else:
            out.append(sign)
    return "".join(reversed(out))


def misread(text: str, rng: random.Random) -> str:
    """`text` with one digit after the first replaced: a slip that the speaker corrects."""
    places = [i for i, sign in enumerate(text) if sign.isdigit()][1:]
    place = rng.choice(places)
    digit = rng.choice([d for d in "0123456789" if d != text[place]])
    return text[:place] + digit + text[place + 1 :]


def with_article(noun: str) -> str:
    """`noun` after "a" or "an", by its first letter (the scenarios' nouns have no silent h or spoken "yu")."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


class Draw:
    """Draws the values of one row; how money, dates and times are written stays the same within it."""

    def __init__(self, rng: random.Random, seed: int, index: int) -> None:
        self.rng = rng
        self.seed = seed
        self.index = index
        self.currency = rng.choice("$£€")
        self.month_first = rng.random() < 0.5
        self.half_days = rng.random() < 0.5
        self._days: dict[str, date] = {}

    def values(self, kinds: Mapping[str, Any]) -> dict[str, str]:
        """One text per slot. A list of mappings is a choice that fills several slots at once."""
        out: dict[str, str] = {}
        for slot, kind in kinds.items():
            if not isinstance(kind, list):
                out[slot] = self._one(slot, kind)
                continue
            drawn = self.rng.choice(kind)
            if isinstance(drawn, dict):
                out.update(drawn)
            else:
                out[slot] = drawn
        return out

    def _one(self, slot: str, kind: Any) -> str:
        if kind == "date":
            return self._date(slot, date(2023, 1, 3) + timedelta(days=self.rng.randrange(300)))
        if "after" in kind:
            low, high = kind["days"]
            return self._date(slot, self._days[kind["after"]] + timedelta(days=self.rng.randint(low, high)))
        if "hours" in kind:
            return self._time(*kind["hours"])
        if "code" in kind:
            return code(kind["code"], self.seed, self.index)
        if "amount" in kind:
            return self._amount(*kind["amount"])
        if "streets" in kind:
            return f"{self.rng.randint(2, 98)} {self.rng.choice(kind['streets'])}"
        if "number" in kind:
            return str(self.rng.randint(*kind["number"]))
        low, high = kind["range"]
        number = self.rng.randint(low, high)
        return f"{number} {kind['count']}" if number == 1 else f"{number} {kind['plural']}"

    def _amount(self, low: int, high: int) -> str:
        whole = self.rng.randint(low, high)
        cents = f".{self.rng.randint(1, 19) * 5:02d}" if self.rng.random() < 0.6 else ""
        return f"{self.currency}{whole}{cents}"

    def _date(self, slot: str, day: date) -> str:
        self._days[slot] = day
        return f"{day:%B} {day.day}" if self.month_first else f"{day.day} {day:%B}"

    def _time(self, first: int, last: int) -> str:
        hour, minute = self.rng.randint(first, last), self.rng.choice(("00", "15", "30", "45"))
        if self.half_days:
            return f"{(hour - 1) % 12 + 1}:{minute} {'am' if hour < 12 else 'pm'}"
        return f"{hour}:{minute}"
