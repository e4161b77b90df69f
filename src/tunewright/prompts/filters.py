"""The filters and tests a template may use.

Each is charged for what it reads and makes; those that could blow up are checked first.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import pass_context
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import _PassArg

from tunewright.prompts.limits import STATE, State, TooMuch
from tunewright.prompts.markers import CONCAT, MARK, TICK, TOUCH, WORDS, mark_row, mark_words
from tunewright.seeds import python_random

# Jinja's own filters whose result is about as large as what they are given. Left out: random (see `choice`), and those
# for web pages (urlize, xmlattr, striptags, wordwrap, pprint, filesizeformat, forceescape).
_PLAIN = (
    "abs", "attr", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "groupby", "int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "reverse", "safe", "select", "selectattr", "sort", "string", "truncate", "unique", "upper", "urlencode",
)  # fmt: skip
_TESTS: dict[str, Callable[..., Any]] = dict(TESTS)  # type: ignore[arg-type]
_WIDTH = re.compile(r"%(?:\([^()]*\))?[-+ #0]*(?:\d{5,}|\*|\d*\.(?:\d{5,}|\*))|%\([^)]*\(")

Guard = Callable[..., None]


def guarded(function: Callable[..., Any], guard: Guard | None = None) -> Callable[..., Any]:
    """`function` (a filter or test) charged for its arguments and result; `guard` may refuse it before it runs."""
    wants = _PassArg.from_obj(function)

    @pass_context
    def run(context: Context, *args: Any, **kwargs: Any) -> Any:
        state: State = context.parent[STATE]
        state.spend(3)
        for value in (*args, *kwargs.values()):
            state.charge(value)
        if guard is not None:
            guard(state, *args, **kwargs)
        if wants is _PassArg.context:
            result = function(context, *args, **kwargs)
        elif wants is _PassArg.eval_context:
            result = function(context.eval_ctx, *args, **kwargs)
        elif wants is _PassArg.environment:
            result = function(context.environment, *args, **kwargs)
        else:
            result = function(*args, **kwargs)
        state.charge(result)
        return result

    return run


def check_printf(state: State, text: str, values: Any) -> None:
    """Refuse `text % values` when it could be too long: widths of five digits or `*`, many large values."""
    if _WIDTH.search(text):
        raise TooMuch("a % format with such a width is too long")
    widths = sum(int(digits) for digits in re.findall(r"\d{1,4}", text))
    state.allow(len(text) + widths + text.count("%") * state.charge(values))


def check_replace(state: State, text: Any, old: Any, new: Any, count: int | None = None) -> None:
    """Refuse a replacement whose result would be too long."""
    text, old, new = str(text), str(old), str(new)
    found = text.count(old)
    if count is not None and count >= 0:
        found = min(found, count)
    state.allow(len(text) + found * (len(new) - len(old)))


def check_join(state: State, separator: Any, items: list[Any]) -> None:
    """Refuse to join items into a text that would be too long."""
    state.allow(state.charge(items) + len(str(separator)) * len(items))


def check_width(state: State, text: Any, width: int = 80, *_: Any, **__: Any) -> None:
    """Refuse padding to a width that is too large."""
    state.allow(int(width))


def check_strip(state: State, text: Any, chars: str | None = None) -> None:
    """Stripping many characters costs their number for each character of the text."""
    state.spend(len(str(text)) * len(chars or "") >> 10)


def _check_words(state: State, text: Any, *_: Any, **__: Any) -> None:
    """What takes a text apart word by word costs far more than a look at it."""
    state.spend(len(str(text)) >> 2)


def _check_indent(state: State, text: Any, width: int | str = 4, *_: Any, **__: Any) -> None:
    step = len(width) if isinstance(width, str) else int(width)
    state.allow((str(text).count("\n") + 1) * step + len(str(text)))


def _check_count(state: State, value: Any, count: int, *_: Any, **__: Any) -> None:
    state.spend(abs(int(count)))


def _check_round(state: State, value: Any, precision: int = 0, *_: Any, **__: Any) -> None:
    if abs(precision) > 30:
        raise TooMuch("round with a precision above 30")


def _check_tojson(state: State, value: Any, indent: int | None = None) -> None:
    if indent is not None and indent > 16:
        raise TooMuch("tojson with an indent above 16")


def _check_format(state: State, text: Any, *args: Any, **kwargs: Any) -> None:
    check_printf(state, str(text), [*args, *kwargs.values()])


@pass_context
def _join(context: Context, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = list(value)
    if attribute is not None:
        items = list(map(make_attrgetter(context.environment, attribute), items))
    check_join(context.parent[STATE], d, items)
    return str(d).join(map(str, items))


@pass_context
def _sum(context: Context, value: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    items = list(value)
    if attribute is not None:
        items = list(map(make_attrgetter(context.environment, attribute), items))
    if isinstance(start, list):  # joined at once: adding lists one by one takes quadratic time
        context.parent[STATE].charge(items)
        return [*start, *itertools.chain.from_iterable(items)]
    if any(isinstance(item, list | tuple) for item in items):
        raise TypeError("sum of lists needs start=[]")
    return sum(items, start)


@pass_context
def choice(context: Context, value: Iterable[Any]) -> Any:
    """One of the items; the same one for the same template, seed and place in the order of calls."""
    state: State = context.parent[STATE]
    state.spend(40)
    state.draws += 1
    return python_random("choice", state.salt, state.seed, state.draws).choice(list(value))


def most_frequent(items: Iterable[Any]) -> list[Any] | None:
    """The items that appear most often, in order of first appearance (PromptSource's filter)."""
    counts = Counter(items).most_common()
    return [item for item, count in counts if count == counts[0][1]] if counts else None


def highlight(text: str) -> str:
    """PromptSource's filter: the text inside a coloured span."""
    return "<span style='color: #F08080'>" + text + "</span>"


@pass_context
def tick(context: Context, value: bool, cost: int) -> bool:
    """Count one turn of a loop or one call of a macro."""
    context.parent[STATE].spend(cost)
    return value


@pass_context
def touch(context: Context, value: Any) -> Any:
    """Pay for a value that is compared, sliced or put into a list."""
    context.parent[STATE].charge(value)
    return value


@pass_context
def concat(context: Context, value: list[Any]) -> str:
    """`a ~ b` inside an expression."""
    check_join(context.parent[STATE], "", value)
    return "".join(map(str, value))


def make_filters() -> dict[str, Callable[..., Any]]:
    """All filters by name."""
    filters: dict[str, Callable[..., Any]] = {name: guarded(FILTERS[name]) for name in _PLAIN}
    filters |= {
        "batch": guarded(FILTERS["batch"], _check_count),
        "center": guarded(FILTERS["center"], check_width),
        "choice": guarded(choice),
        "format": guarded(FILTERS["format"], _check_format),
        "highlight": guarded(highlight),
        "indent": guarded(FILTERS["indent"], _check_indent),
        "join": guarded(_join),
        "most_frequent": guarded(most_frequent),
        "random": guarded(choice),
        "replace": guarded(FILTERS["replace"], check_replace),
        "round": guarded(FILTERS["round"], _check_round),
        "slice": guarded(FILTERS["slice"], _check_count),
        "sum": guarded(_sum),
        "title": guarded(FILTERS["title"], _check_words),
        "tojson": guarded(FILTERS["tojson"], _check_tojson),
        "trim": guarded(FILTERS["trim"], check_strip),
        "wordcount": guarded(FILTERS["wordcount"], _check_words),
        MARK: mark_row,
        WORDS: mark_words,
        TICK: tick,
        TOUCH: touch,
        CONCAT: concat,
    }
    return filters


def make_tests() -> dict[str, Callable[..., Any]]:
    """All tests (`is defined`, `is in`, …) by name."""
    return {name: guarded(test) for name, test in _TESTS.items()}
