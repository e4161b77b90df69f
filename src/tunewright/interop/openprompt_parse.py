"""One line of an OpenPrompt template file (Ding et al. 2022): literal text and groups in braces.

`{"placeholder": "text_a"}`, `{"mask"}`, `{"soft": "It was", "soft_id": 1}` …: Python's dictionaries or sets. They are
read with `ast.literal_eval`; a lambda is kept as text, for nothing in a file is ever run.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.errors import InputError, did_you_mean

KINDS = ("placeholder", "meta", "mask", "text", "special", "soft", "soft_id")
_OPTIONS = frozenset({"soft_id", "duplicate", "same", "shortenable", "post_processing", "add_prefix_space"})
LONGEST_GROUP = 2_000  # characters
LONGEST_LINE = 100_000
MOST_BRACES = 30  # closing braces inside one group


def text_of(path: Path, what: str) -> str:
    """A file's text. Raises InputError for one that cannot be read; `what` it should hold."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; a file of {what} wanted") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None


@dataclass(frozen=True)
class Piece:
    """A group or a run of text. `space`: white space stands before it; OpenPrompt makes it one space, or none."""

    kind: str
    value: Any
    space: bool
    options: dict[str, Any] = field(default_factory=dict)


def pieces_of(line: str) -> list[Piece]:
    """The pieces of a line, the text without spaces at its ends. Raises InputError naming the column."""
    if len(line) > LONGEST_LINE:
        raise InputError(f"{len(line)} characters are too many for a template (at most {LONGEST_LINE})")
    found = []
    place = 0
    while place < len(line):
        start = place
        while place < len(line) and line[place] == " ":
            place += 1
        if place == len(line):
            break
        space = place > start
        if line[place] != "{":
            end = line.find("{", place)
            end = len(line) if end < 0 else end
            text = line[place:end].rstrip(" ")
            found.append(Piece("text", text, space))
            place += len(text)
            continue
        end, keys = _group(line, place)
        try:
            found.append(_piece(keys, space))
        except InputError as error:
            raise InputError(f"column {place + 1}: {error}") from None
        place = end
    return found


def _group(line: str, start: int) -> tuple[int, ast.Dict | ast.Set]:
    """Where the group that begins at `start` ends, and its tree: up to the first `}` that makes it Python."""
    end = line.find("}", start)
    for _ in range(MOST_BRACES):
        if not 0 <= end < start + LONGEST_GROUP:
            break
        try:
            tree = ast.parse(line[start : end + 1], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            end = line.find("}", end + 1)
            continue
        if isinstance(tree, ast.Dict | ast.Set):
            return end + 1, tree
        break
    shown = line[start : start + 40]
    raise InputError(f'column {start + 1}: {shown!r} is no group such as {{"placeholder": "text_a"}} or {{"mask"}}')


def _piece(tree: ast.Dict | ast.Set, space: bool) -> Piece:
    keys = _values(tree)
    kinds = [key for key in keys if key in KINDS and not (key == "soft_id" and "soft" in keys)]
    for key in keys:
        if key not in KINDS and key not in _OPTIONS:
            raise InputError(f"unknown key {key!r}{did_you_mean(str(key), [*KINDS, *_OPTIONS])}")
    if len(kinds) != 1:
        raise InputError(f"one of {', '.join(KINDS[:-1])} wanted, found {' and '.join(kinds) or 'none of them'}")
    kind = kinds[0]
    value = keys.pop(kind)
    if kind == "soft_id":  # a group named before, or slots of its own
        keys["soft_id"] = value
        kind, value = "soft", None
    if kind in ("placeholder", "meta", "text", "special") and not isinstance(value, str):
        raise InputError(f"{kind}: text wanted, found {value!r:.40}")
    return Piece(kind, value, space, keys)


def _values(tree: ast.Dict | ast.Set) -> dict[str, Any]:
    """The keys and values; a set's members have the value None. A lambda stays text."""
    pairs = [(key, None) for key in tree.elts] if isinstance(tree, ast.Set) else list(zip(tree.keys, tree.values))
    found: dict[str, Any] = {}
    for key, value in pairs:
        name = None if key is None else _literal(key)
        if not isinstance(name, str):
            raise InputError("a key is no text")
        if name in found:
            raise InputError(f"the key {name!r} stands there twice")
        found[name] = None if value is None else ast.unparse(value) if name == _CODE else _literal(value)
        if name == _CODE and isinstance(value, ast.Constant):
            found[name] = value.value  # a lambda inside quotation marks
    return found


_CODE = "post_processing"


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise InputError(f"`{ast.unparse(node)[:60]}` is no constant; files are read, not run") from None
