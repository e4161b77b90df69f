"""The Jinja environments templates run in: only listed methods, functions, filters and tests, all charged.

Two of them: ours is strict (an undefined name is an error), the lenient one prints undefined names as nothing, as
PromptSource does. Leaving the sandbox raises in both.
"""

import operator
import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment, SandboxedFormatter, safe_range
from jinja2.utils import Cycler, Joiner, Namespace

from tunewright.prompts.filters import (
    check_join,
    check_printf,
    check_replace,
    check_strip,
    check_width,
    make_filters,
    make_tests,
)
from tunewright.prompts.limits import CHARACTERS, LONGEST_NUMBER, STATE, State, TooMuch
from tunewright.prompts.markers import capture

_STR = frozenset(
    {
        "capitalize", "casefold", "center", "count", "endswith", "find", "format", "format_map", "index",
        "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace",
        "istitle", "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix",
        "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split",
        "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill",
    }
)  # fmt: skip
_LIST = frozenset(
    {
        "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort",
    }
)  # fmt: skip
_DICT = frozenset(
    {
        "clear", "copy", "get", "items", "keys", "pop", "setdefault", "update", "values",
    }
)  # fmt: skip
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _STR),
    (list, _LIST),
    (dict, _DICT),
    (tuple, frozenset({"count", "index"})),
    (float, frozenset({"is_integer"})),
)
_FUNCTIONS = (safe_range, zip, dict, Namespace, Cycler, Joiner)
# Searching from the right, unlike from the left, may compare the whole needle at each place.
_SLOW_SEARCH = frozenset({"rfind", "rindex", "rpartition", "rsplit"})
_STRIPS = frozenset({"strip", "lstrip", "rstrip"})
_PADS = frozenset({"center", "ljust", "rjust", "zfill"})


class _Formatter(SandboxedFormatter):
    """`str.format` that refuses wide fields and stays in the sandbox; all fields have `left` characters in all."""

    def __init__(self, env: SandboxedEnvironment, left: int) -> None:
        super().__init__(env)
        self._left = left

    def format_field(self, value: Any, format_spec: str) -> Any:
        if re.search(r"\d{5,}", format_spec):
            raise TooMuch("a format with such a width is too long")
        text = super().format_field(value, format_spec)
        self._left -= len(text)
        if self._left < 0:  # a width may come from another field: `{:{}}`
            raise TooMuch("a format with so many wide fields is too long")
        return text


class BoundFormat:
    """`text.format` or `text.format_map` as a template may call it."""

    __name__ = "format"

    def __init__(self, env: SandboxedEnvironment, text: str, is_map: bool) -> None:
        self.text = text
        self.cap = CHARACTERS
        self._env = env
        self._is_map = is_map

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """The formatted text. Raises TooMuch where its fields have more than `cap` characters."""
        formatter = _Formatter(self._env, self.cap)
        if self._is_map:
            (values,) = args
            return formatter.vformat(self.text, (), values)
        return formatter.vformat(self.text, args, kwargs)


class PromptEnvironment(SandboxedEnvironment):
    """A sandbox with a list of what is allowed instead of a list of what is not."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})
    concat = staticmethod(capture)  # what Jinja joins captured blocks and macros with

    def __init__(self, lenient: bool) -> None:
        super().__init__(undefined=Undefined if lenient else StrictUndefined, cache_size=0)
        self.lenient = lenient
        self.filters = make_filters()
        self.tests = make_tests()  # type: ignore[assignment]
        self.globals: dict[str, Any] = {
            "range": safe_range,
            "zip": zip,
            "dict": dict,
            "namespace": Namespace,
            "cycler": Cycler,
            "joiner": Joiner,
        }

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Plain values not called `_…`, and the methods listed above."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        return not callable(value) or isinstance(obj, Namespace) or self.is_safe_callable(value)

    def is_safe_callable(self, obj: Any) -> bool:
        """Listed functions and methods, macros, and what belongs to loops."""
        if isinstance(obj, types.BuiltinMethodType):
            owner = obj.__self__
            return any(isinstance(owner, kind) and obj.__name__ in names for kind, names in _METHODS)
        if isinstance(obj, types.MethodType):
            return isinstance(obj.__self__, LoopContext | Cycler) and not obj.__name__.startswith("_")
        return isinstance(obj, Macro | Joiner | BoundFormat) or any(obj is known for known in _FUNCTIONS)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Raised at once: a lenient undefined value would only print nothing."""
        raise SecurityError(f"access to {attribute!r} of a {type(obj).__name__} is not allowed")

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """`str.format` reaches attributes, so it is replaced wherever a template gets hold of it."""
        if not isinstance(value, types.BuiltinMethodType | types.MethodType):
            return None
        if value.__name__ not in ("format", "format_map") or not isinstance(value.__self__, str):
            return None
        return BoundFormat(self, str(value.__self__), value.__name__ == "format_map")

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something from a template: refused, or charged and called."""
        if not __self.is_safe_callable(__obj):
            if isinstance(__obj, Undefined):
                str(__obj)
            raise SecurityError(f"{getattr(__obj, '__name__', type(__obj).__name__)!r} may not be called")
        state: State = __context.parent[STATE]
        state.spend(5)
        for value in (*args, *kwargs.values()):
            state.charge(value)
        if isinstance(__obj, BoundFormat):
            largest = max([state.charge(value) for value in (*args, *kwargs.values())], default=0)
            widths = sum(int(digits) for digits in re.findall(r"\d{1,4}", __obj.text))
            fields = __obj.text.count("{")
            state.allow(len(__obj.text) + widths + fields * largest)
            state.spend(3 * fields)
            __obj.cap = state.cap
        elif isinstance(__obj, types.BuiltinMethodType):
            if __obj.__name__ == "join" and len(args) == 1:
                args = (list(args[0]),)  # a generator can be read only once, and is checked before it is joined
            _check_method(state, __obj, args, kwargs)
        result = __context.call(__obj, *args, **kwargs)
        if not isinstance(__obj, Macro):  # their text was charged when it was printed
            state.charge(result)
        return result

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator on two values, refused where the result would be too large."""
        state: State = context.parent[STATE]
        size = state.charge(left), state.charge(right)
        if operator == "*":
            for value, times, length in ((left, right, size[0]), (right, left, size[1])):
                if isinstance(value, str | Sequence) and isinstance(times, int):
                    state.allow(length * times)
                    state.spend(length * times >> 7 if isinstance(value, str) else length * times)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > LONGEST_NUMBER:
                raise TooMuch("a power with such an exponent is too large")
        elif operator == "%" and isinstance(left, str):
            check_printf(state, left, right)
        result = _OPERATORS[operator](left, right)
        state.charge(result)
        return result


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": operator.pow,
    "%": operator.mod,
}


def _check_method(state: State, method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Charge a built-in method for its own object; refuse what would make too long a text."""
    owner, name = method.__self__, method.__name__
    if isinstance(owner, list) and name in ("append", "pop", "clear"):
        return  # constant time
    state.charge(owner)
    if not isinstance(owner, str):
        return
    if name in _PADS:
        check_width(state, owner, *args[:1])
    elif name == "replace":
        check_replace(state, owner, *args)
    elif name == "join":
        check_join(state, owner, *args)
    elif name in _STRIPS:
        check_strip(state, owner, *args)
    elif name in _SLOW_SEARCH:
        needle = args[0] if args else kwargs.get("sep")
        state.spend(len(owner) * len(needle) >> 12 if isinstance(needle, str) else 0)


@cache
def environment(lenient: bool) -> PromptEnvironment:
    """The strict environment for our own templates, or the lenient one for imported ones."""
    return PromptEnvironment(lenient)
