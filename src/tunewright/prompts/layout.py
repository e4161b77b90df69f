"""Which rows of the prompt table belong to which group of slots."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tunewright.errors import InputError
from tunewright.prompts.segments import Side, Soft


@dataclass(frozen=True)
class SlotGroup:
    """A contiguous run of the prompt table: rows `start` … `start + length - 1`."""

    name: str
    start: int
    length: int
    words: str | None = None
    side: Side = "encoder"


@dataclass(frozen=True)
class SlotLayout:
    """All groups of a run, made once from its templates and saved with it. `names` are unique."""

    groups: tuple[SlotGroup, ...] = ()

    @property
    def rows(self) -> int:
        """S: the number of rows of the prompt table."""
        return sum(group.length for group in self.groups)

    def indices(self, slot: str) -> range:
        """The table rows of the group `slot`."""
        for group in self.groups:
            if group.name == slot:
                return range(group.start, group.start + group.length)
        raise KeyError(slot)

    @classmethod
    def build(cls, slots: Iterable[Soft], count_tokens: Callable[[str], int]) -> "SlotLayout":
        """Lay out the groups in order of first appearance; equal names share their rows.

        `count_tokens(words)` is the tokenizer's number of sub-tokens, the length of a group started from words.
        Raises InputError when two groups of one name differ.
        """
        groups: dict[str, SlotGroup] = {}
        start = 0
        for soft in slots:
            length = soft.length if soft.length is not None else count_tokens(soft.words or "")
            if length < 1:
                raise InputError(f"soft slot group {soft.slot!r} has no slots")
            old = groups.get(soft.slot)
            if old is None:
                groups[soft.slot] = SlotGroup(soft.slot, start, length, soft.words, soft.side)
                start += length
            elif (old.length, old.words, old.side) != (length, soft.words, soft.side):
                raise InputError(f"soft slot group {soft.slot!r} is used with two lengths, words or sides")
        return cls(tuple(groups.values()))

    def to_json(self) -> list[dict[str, object]]:
        """The groups as plain values, for the run's folder."""
        return [
            {"name": g.name, "start": g.start, "length": g.length, "words": g.words, "side": g.side}
            for g in self.groups
        ]

    @classmethod
    def from_json(cls, groups: Sequence[dict[str, object]]) -> "SlotLayout":
        """The inverse of `to_json`."""
        return cls(tuple(SlotGroup(**group) for group in groups))  # type: ignore[arg-type]
