"""Cutting what came from the row, longest field first, so that a prompt fits."""

from dataclasses import replace

from tunewright.backbones.tokens import TextEncoder
from tunewright.errors import InputError
from tunewright.prompts.segments import Prompt, Text


class TooLong(InputError):
    """A row of which too much may not be cut."""


def shortened(prompt: Prompt, excess: int, length: int, limit: int, encoder: TextEncoder) -> Prompt:
    """The prompt with `excess` tokens less, all taken from the ends of row texts, the longest first.

    Template words, slots and the answer are never cut. `length` and `limit` are for the message.
    Raises TooLong where the row's texts have not that many tokens.
    """
    found = [(i, s) for i, s in enumerate(prompt.segments) if isinstance(s, Text) and s.from_row]
    starts = [encoder.starts(segment.text) for _, segment in found]
    counts = [len(start) for start in starts]
    if sum(counts) < excess or not found:
        raise TooLong(
            f"{length} tokens where the limit is {limit}, and only {sum(counts)} of them are row text that may be cut: "
            "raise training.max_tokens, or use a shorter template or fewer slots"
        )
    cap = _cap(counts, sum(counts) - excess)
    segments = list(prompt.segments)
    spare = sum(counts) - excess - sum(min(count, cap) for count in counts)
    for (i, segment), start, count in zip(found, starts, counts):
        keep = min(count, cap)
        if count > cap and spare > 0:
            keep, spare = keep + 1, spare - 1
        if keep < count:
            segments[i] = Text(segment.text[: start[keep]].rstrip(), segment.field)
    return replace(prompt, segments=tuple(segments))


def _cap(counts: list[int], total: int) -> int:
    """The largest cap with sum(min(count, cap)) ≤ total."""
    low, high = 0, max(counts)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(count, middle) for count in counts) <= total:
            low = middle
        else:
            high = middle - 1
    return low
