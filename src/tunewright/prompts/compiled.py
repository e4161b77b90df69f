"""A template compiled once and run on rows: text in, marked segments out. It knows fields, not tasks."""

import re
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from jinja2 import TemplateSyntaxError, UndefinedError, nodes
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.limits import STATE, State, TooMuch
from tunewright.prompts.markers import BAR, ESCAPE, hide_bars, read, show_bars, unescape
from tunewright.prompts.rewrite import Found, Rewriter, check_tags
from tunewright.prompts.sandbox import environment
from tunewright.prompts.segments import Segment, Soft, Text
from tunewright.prompts.sources import Sources

LONGEST_SOURCE = 50_000  # characters: the time to compile grows with them
DEEPEST = 20  # blocks inside blocks: Jinja's own compiler takes more than twice the time for each more
_BLOCKS = (nodes.For, nodes.If, nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.With, nodes.AssignBlock)
# What a template's own code may raise while it runs.
_RUNTIME = (
    TooMuch, SecurityError, UndefinedError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError,
    RecursionError, MemoryError, TemplateSyntaxError,
)  # fmt: skip
_BUILD = (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError, TypeError)


class Compiled:
    """`names`: what is read from the row (fields and `answer_choices`). `where` begins every error."""

    def __init__(
        self,
        where: str,
        source: str,
        *,
        prefix: str,
        lenient: bool,
        fields_of: Callable[[str], tuple[str, ...]],
    ) -> None:
        """Parse, rewrite and compile; `fields_of(name)` tells which fields a name stands for (none: our own words)."""
        self.where = where
        self.lenient = lenient
        self._source = source
        self._env = environment(lenient)
        if len(source) > LONGEST_SOURCE:
            raise InputError(
                f"{where}: {len(source)} characters are too many for a template (at most {LONGEST_SOURCE})"
            )
        try:
            tree = self._env.parse(source)
            if (depth := _depth(tree)) > DEEPEST:
                raise InputError(f"{where}: {depth} blocks inside each other are too many (at most {DEEPEST})")
            check_tags(tree)
            free = find_undeclared_variables(tree) - set(self._env.globals)
            sources = Sources(tree, free, fields_of)
            rewriter = Rewriter(sources, prefix, special=not lenient)
            tree = rewriter.visit(tree)
            assert isinstance(tree, nodes.Template)
            tree.set_environment(self._env)
            self.names = find_undeclared_variables(tree) - set(self._env.globals)
            self._template = self._env.from_string(tree)
        except TemplateSyntaxError as error:
            raise InputError(f"{where} line {error.lineno}: {self._hint(error.message or str(error))}") from None
        except _BUILD as error:
            raise InputError(f"{where}: cannot be compiled: {_told(error)}") from None
        self.local = sources.bound  # a name may be set in one branch and still look undeclared
        self.found: Found = rewriter.found
        self.slots: tuple[Soft, ...] = tuple(self.found.slots)

    def at(self, where: str) -> "Compiled":
        """The same, with errors that begin with `where`."""
        found = copy(self)
        found.where = where
        return found

    @property
    def may_split(self) -> bool:
        """True where the rendered text may fall into prompt and target."""
        return self.found.splits or self.found.joins

    def run(self, values: Mapping[str, Any], seed: int) -> list[list[Segment]]:
        """Render with `values` for `names`; the segments of each part between `|||` (one part without).

        Raises InputError naming the template and the line where it went wrong.
        """
        size = [0]
        given = {name: self._copied(value, size) for name, value in values.items()}
        given[STATE] = State(seed, self._source, size[0])
        try:
            # Made straight: `new_context` goes through a ChainMap and takes as long as all the rest.
            context = self._env.context_class(self._env, {**self._env.globals, **given}, None, {})
            raw = "".join(self._template.root_render_func(context))
            given[STATE].allow(len(raw))
        except _RUNTIME as error:
            raise InputError(f"{self.where}{self._line(error)}: {_told(error)}") from None
        segments = read(raw, self.found.fields, self.found.atoms)
        if not self.may_split:
            return [self._shown(segments) if ESCAPE in raw else segments]
        parts: list[list[Segment]] = [[]]
        for segment in segments:
            if isinstance(segment, Text) and (segment.field is None or self.found.joins):
                first, *others = segment.text.split("|||")
                parts[-1].append(Text(first, segment.field))
                parts.extend([Text(text, segment.field)] for text in others)
            else:
                parts[-1].append(segment)
        return [self._shown(part) if ESCAPE in raw or BAR in raw else part for part in parts]

    def _shown(self, segments: list[Segment]) -> list[Segment]:
        """The segments with what was escaped as it was."""
        show = (lambda text: show_bars(unescape(text))) if self.found.joins else unescape
        return [Text(show(s.text), s.field) if isinstance(s, Text) else s for s in segments]

    def _copied(self, value: Any, size: list[int]) -> Any:
        """`value` as a template may have it: lists and dicts copied, for templates append to them."""
        if isinstance(value, str):
            size[0] += len(value)
            return hide_bars(value) if self.found.joins and type(value) is str else value
        if isinstance(value, dict):
            return {self._copied(key, size): self._copied(item, size) for key, item in value.items()}
        if isinstance(value, list | tuple):
            size[0] += 16 * len(value)
            return [self._copied(item, size) for item in value]
        if hasattr(value, "tolist"):  # an array or a number of NumPy
            return self._copied(value.tolist(), size)
        return value

    def _line(self, error: BaseException) -> str:
        """` line 3`: where in the template the error arose."""
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals.get("__jinja_template__") is self._template or (
                trace.tb_frame.f_code.co_filename == "<template>"
            ):
                line = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return f" line {line}" if line else ""

    def _hint(self, message: str) -> str:
        found = re.match(r"No (filter|test) named '([^']*)'", message)
        if found is None:
            return message[:1].lower() + message[1:].rstrip(".")
        known = self._env.filters if found[1] == "filter" else self._env.tests
        return f"unknown {found[1]} {found[2]!r}{did_you_mean(found[2], [n for n in known if ':' not in n])}"


def _depth(node: nodes.Node) -> int:
    """How many blocks (loops, conditions, macros …) stand inside each other at the deepest place."""
    deepest, waiting = 0, [(node, 0)]
    while waiting:
        found, depth = waiting.pop()
        depth += isinstance(found, _BLOCKS)
        deepest = max(deepest, depth)
        waiting += [(child, depth) for child in found.iter_child_nodes()]
    return deepest


def _told(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "out of memory"
    text = (error.msg if isinstance(error, SyntaxError) else str(error)).strip().splitlines()
    return text[0].partition("; use sys.")[0].rstrip(".") if text else type(error).__name__
