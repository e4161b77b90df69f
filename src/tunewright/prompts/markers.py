"""Marks inside rendered text: what came from which field, and where slots, separators and the answer stand.

A mark is `OPEN key MID text CLOSE` (row text) or `OPEN key CLOSE` (no text), made of private-use characters.
Every value is escaped when it is printed, whatever made it, so neither a row nor a template can forge a mark
and those characters stay what they are. Captured text (`{% set x %}…{% endset %}`, a macro's result) is a `Marked`:
a plain string without marks for every filter and comparison, which prints with its marks.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context

from tunewright.prompts.limits import STATE, State
from tunewright.prompts.segments import Segment, Text

OPEN, MID, CLOSE, ESCAPE, BAR = "\U0010f7e0", "\U0010f7e1", "\U0010f7e2", "\U0010f7e3", "\U0010f7e4"

# The filters that rewriting puts into a template; no template can spell these names after a `|`.
MARK, WORDS, TICK, TOUCH, CONCAT = ("tunewright:" + name for name in ("mark", "words", "tick", "touch", "concat"))

_BAR_REPR = repr(BAR)[1:-1]
_SPECIAL = re.compile(f"[{OPEN}{MID}{CLOSE}{ESCAPE}]")
_ESCAPED = re.compile(f"{ESCAPE}([0-3])")
_BAR_SPECIAL = re.compile(f"[{BAR}{ESCAPE}]")
_BAR_ESCAPED = re.compile(f"{ESCAPE}([45])")
_MARK = re.compile(f"{OPEN}([^{MID}{CLOSE}]*)(?:{MID}([^{CLOSE}]*))?{CLOSE}")


class Marked(str):
    """Captured text: the string itself has no marks, `with_marks()` has them."""

    __slots__ = ("_raw",)
    _raw: str  # the underscore keeps templates away from it

    @classmethod
    def of(cls, raw: str) -> "Marked":
        """Captured output, with its marks."""
        self = cls(unescape(_MARK.sub(lambda match: match[2] or "", raw)))
        self._raw = raw
        return self

    def with_marks(self) -> str:
        """The text as it was captured."""
        return self._raw


def escape(text: str) -> str:
    """`text` with marker characters made harmless; most text is returned as it is."""
    # Four searches are quicker than one for a set: in text without such characters at all they end at once.
    if OPEN not in text and MID not in text and CLOSE not in text and ESCAPE not in text:
        return text
    return _SPECIAL.sub(lambda match: ESCAPE + str(ord(match[0]) - ord(OPEN)), text)


def unescape(text: str) -> str:
    """The inverse of `escape`."""
    if ESCAPE not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(ord(OPEN) + int(match[1])), text)


def hide_bars(text: str) -> str:
    """`text` without `|`: a row's bars are hidden while a template joins strings that hold its own `|||`."""
    if not text.isascii() and _BAR_SPECIAL.search(text):
        text = _BAR_SPECIAL.sub(lambda match: ESCAPE + ("4" if match[0] == BAR else "5"), text)
    return text.replace("|", BAR)


def show_bars(text: str) -> str:
    """The inverse of `hide_bars`."""
    if BAR in text:
        text = text.replace(BAR, "|")
    if ESCAPE not in text:
        return text
    return _BAR_ESCAPED.sub(lambda match: BAR if match[1] == "4" else ESCAPE, text)


def atom(key: str) -> str:
    """The mark of something without text: a slot group, a separator, the answer."""
    return f"{OPEN}{key}{CLOSE}"


def capture(parts: Iterable[str]) -> str:
    """Join the output of a captured block or macro; stands in for Jinja's own `concat`."""
    raw = "".join(parts)
    if OPEN not in raw and ESCAPE not in raw:
        return raw
    return Marked.of(raw)


def _printed(context: Context, value: Any) -> tuple[str, bool]:
    """The escaped text of a value, and whether it already holds its marks."""
    state: State = context.parent[STATE]
    if isinstance(value, Marked):
        raw = value.with_marks()
        state.charge(raw)
        return raw, True
    state.charge(value)
    if value is None and not context.environment.lenient:  # type: ignore[attr-defined]
        return "", False
    text = str(value)
    if _BAR_REPR in text and not isinstance(value, str):  # a list writes hidden bars as `\\U0010f7e4`
        text = hide_bars(str(_with_bars(value)))
    return escape(text), False


def _with_bars(value: Any) -> Any:
    """A row's list or dict with its bars shown."""
    if isinstance(value, str):
        return show_bars(value)
    if isinstance(value, dict):
        return {_with_bars(key): _with_bars(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_with_bars(item) for item in value)
    return value


@pass_context
def mark_row(context: Context, value: Any, key: str) -> str:
    """Print a value that came from the row; `key` stands for the field."""
    if type(value) is str:  # the common case, without the detours
        context.parent[STATE].charge(value)
        return f"{OPEN}{key}{MID}{escape(value)}{CLOSE}"
    text, marked = _printed(context, value)
    return text if marked else f"{OPEN}{key}{MID}{text}{CLOSE}"


@pass_context
def mark_words(context: Context, value: Any) -> str:
    """Print a value made of the template's own words."""
    if isinstance(value, Undefined):
        return str(value)
    return _printed(context, value)[0]


def read(raw: str, fields: Mapping[str, str], atoms: Mapping[str, Segment]) -> list[Segment]:
    """The segments of a rendered text, still escaped. A field that printed nothing gives an empty Text."""
    pieces = _MARK.split(raw)
    found: list[Segment] = []
    # split gives: words, key, text, words, key, text, …, words
    for i in range(0, len(pieces) - 1, 3):
        words, key, text = pieces[i : i + 3]
        if words:
            found.append(Text(words))
        found.append(Text(text, fields[key]) if text is not None else atoms[key])
    if pieces[-1]:
        found.append(Text(pieces[-1]))
    return found


def joined(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments with neighbouring text of one kind put together and empty text left out."""
    found: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Text):
            if not segment.text:
                continue
            last = found[-1] if found else None
            if isinstance(last, Text) and last.field == segment.field:
                segment = Text(last.text + segment.text, segment.field)
                found.pop()
        found.append(segment)
    return tuple(found)
