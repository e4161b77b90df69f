"""What is empty in a rendered text, and its ends without white space."""

from collections.abc import Sequence

from tunewright.prompts.segments import Segment, Text


def is_blank(segments: Sequence[Segment]) -> bool:
    """True when nothing is asked: no words at all, or row text that is all white space."""
    texts = [segment for segment in segments if isinstance(segment, Text)]
    of_row = [text for text in texts if text.from_row]
    if of_row:
        return not any(text.text.strip() for text in of_row)
    return not any(text.text.strip() for text in texts)


def stripped(segments: list[Segment]) -> list[Segment]:
    """Without white space at both ends, up to the first thing that is not text."""
    found = list(segments)
    while found and isinstance(found[0], Text):
        text = found[0].text.lstrip()
        if text:
            found[0] = Text(text, found[0].field)
            break
        del found[0]
    while found and isinstance(found[-1], Text):
        text = found[-1].text.rstrip()
        if text:
            found[-1] = Text(text, found[-1].field)
            break
        del found[-1]
    return found
