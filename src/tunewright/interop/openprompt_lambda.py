"""OpenPrompt's `post_processing` as Jinja: the few lambdas that only cut, strip, case or join a field's text.

A lambda is read as a syntax tree and never run. Whatever is not listed here is an error.
"""

import ast
import json
import string
from collections.abc import Sequence

from tunewright.errors import InputError

_METHODS = frozenset(
    {
        "capitalize", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "split", "strip", "title",
        "upper",
    }
)  # fmt: skip
_STRING = frozenset({"punctuation", "whitespace", "digits", "ascii_letters", "ascii_lowercase", "ascii_uppercase"})
LONGEST = 500  # characters of a lambda

Part = tuple[bool, str]  # (is it words?, the words or a Jinja expression)


def processed(source: str, field: str) -> list[Part]:
    """What the lambda makes of `field`: words and Jinja expressions in order, e.g. `x` and `.` of `lambda x: x + "."`.

    Raises InputError where it is no lambda, or does more than Jinja's methods of a text can say.
    """
    text = source.strip()
    if len(text) > LONGEST:
        raise InputError(f"post_processing: a function of {len(text)} characters (at most {LONGEST})")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InputError(f"post_processing: {text!r:.60} is no lambda") from None
    if not isinstance(tree, ast.Lambda):
        raise InputError(f"post_processing: a lambda wanted, found {text!r:.60}")
    arguments = tree.args
    names = [argument.arg for argument in arguments.args]
    if len(names) != 1 or any(
        (arguments.defaults, arguments.posonlyargs, arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    ):
        raise InputError(f"post_processing: a lambda of one argument wanted, found {text!r:.60}")
    try:
        return [
            (True, word) if (word := _constant(part)) is not None else (False, _jinja(part, names[0], field))
            for part in _summands(tree.body)
        ]
    except _CannotSay as error:
        raise InputError(
            f"post_processing: `{ast.unparse(error.node)[:60]}` has no form in a template (allowed: "
            f"slices, +, join, string.punctuation, {', '.join(sorted(_METHODS))})"
        ) from None


class _CannotSay(Exception):
    def __init__(self, node: ast.AST) -> None:
        self.node = node


def _summands(node: ast.expr) -> Sequence[ast.expr]:
    """`a + b + c` taken apart."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), *_summands(node.right)]
    return [node]


def _jinja(node: ast.expr, name: str, field: str) -> str:
    """The expression in Jinja, `field` in the place of the lambda's argument."""
    if isinstance(node, ast.Name) and node.id == name:
        return field
    if isinstance(node, ast.Subscript):
        return f"{_jinja(node.value, name, field)}[{_index(node.slice)}]"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.keywords:
        raise _CannotSay(node)
    method, owner = node.func.attr, node.func.value
    if method == "join" and (separator := _constant(owner)) is not None and len(node.args) == 1:
        return f"{quoted(separator)}.join({_jinja(node.args[0], name, field)})"
    if method not in _METHODS:
        raise _CannotSay(node)
    arguments = []
    for argument in node.args:
        if (word := _constant(argument)) is None:
            raise _CannotSay(argument)
        arguments.append(quoted(word))
    return f"{_jinja(owner, name, field)}.{method}({', '.join(arguments)})"


def _constant(node: ast.expr) -> str | None:
    """The text of a constant, or of `string.punctuation` and its kin."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "string":
        return str(getattr(string, node.attr)) if node.attr in _STRING else None
    return None


def _index(node: ast.expr) -> str:
    if isinstance(node, ast.Slice):
        ends = ["" if end is None else _number(end) for end in (node.lower, node.upper)]
        return ":".join(ends if node.step is None else [*ends, _number(node.step)])
    return _number(node)


def _number(node: ast.expr) -> str:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _CannotSay(node) from None
    if type(value) is not int:
        raise _CannotSay(node)
    return str(value)


def quoted(text: str) -> str:
    """`text` as a constant of Jinja, which reads JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
