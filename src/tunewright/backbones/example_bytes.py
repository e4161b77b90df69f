"""An encoded row as bytes, and back."""

from array import array
from collections.abc import Sequence
from zlib import crc32

from tunewright.backbones.examples import Ask, Example, View

_NONE = -1  # in the place of a length: there is no list


def to_bytes(example: Example) -> bytes:
    """The example as `encode_many` makes it, as 32-bit whole numbers behind their checksum.

    What a row is given later (`number`, `weight`, `drawn`) is left out.
    """
    numbers = [
        example.choices, example.gold, example.unread, int(example.shortened), example.demonstrations, example.dropped,
        *_listed(example.choice_labels), *_listed(example.choice_bytes), len(example.views),
    ]  # fmt: skip
    for view in example.views:
        numbers += [*_listed(view.ids), *_slots(view.soft), len(view.asks)]
        for ask in view.asks:
            numbers += ask
        numbers += [*_listed(view.types), *_listed(view.branches), len(view.decoders)]
        for ids, soft in view.decoders:
            numbers += [*_listed(ids), *_slots(soft)]
    body = array("i", numbers).tobytes()
    return crc32(body).to_bytes(4, "little") + body


def from_bytes(kept: bytes) -> Example | None:
    """The inverse of `to_bytes`; None where the bytes are not what was written."""
    body = kept[4:]
    if crc32(body).to_bytes(4, "little") != kept[:4]:
        return None
    reader = _Reader(body)
    choices, gold, unread, shortened, demonstrations, dropped = reader.take(6)
    labels, sizes = reader.listed(), reader.listed()
    example = Example(
        [], choices=choices, gold=gold, unread=unread, shortened=bool(shortened), demonstrations=demonstrations,
        dropped=dropped, choice_labels=tuple(labels or ()), choice_bytes=tuple(sizes or ()),
    )  # fmt: skip
    for _ in range(reader.one()):
        ids = reader.listed() or []
        view = View(ids, reader.slots(len(ids)))
        asks = reader.take(4 * reader.one())
        view.asks = [Ask(*asks[i : i + 4]) for i in range(0, len(asks), 4)]
        view.types, view.branches = reader.listed(), reader.listed()
        for _ in range(reader.one()):
            ids = reader.listed() or []
            view.decoders.append((ids, reader.slots(len(ids))))
        example.views.append(view)
    return example


def _listed(values: Sequence[int] | None) -> list[int]:
    return [_NONE] if values is None else [len(values), *values]


def _slots(soft: Sequence[int]) -> list[int]:
    """Only the slots of a row, which are few: (position, row of the table) pairs behind their number."""
    found = [number for i, row in enumerate(soft) if row != -1 for number in (i, row)]
    return [len(found) // 2, *found]


class _Reader:
    def __init__(self, body: bytes) -> None:
        numbers = array("i")
        numbers.frombytes(body)
        self._numbers, self._at = numbers.tolist(), 0

    def take(self, count: int) -> list[int]:
        self._at += count
        return self._numbers[self._at - count : self._at]

    def one(self) -> int:
        return self.take(1)[0]

    def listed(self) -> list[int] | None:
        count = self.one()
        return None if count == _NONE else self.take(count)

    def slots(self, length: int) -> list[int]:
        soft = [-1] * length
        found = self.take(2 * self.one())
        for i in range(0, len(found), 2):
            soft[found[i]] = found[i + 1]
        return soft
