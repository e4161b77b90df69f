"""The errors a user sees: one clear line and a documented exit code.

0 done, 2 the user's input, 3 the environment (disk, network, missing package), 130 interrupted.
"""

import difflib
from collections.abc import Iterable


class TunewrightError(Exception):
    """An error with a message for the user; the command line prints it without a traceback."""

    exit_code = 3


class InputError(TunewrightError):
    """The user's input is wrong: a recipe, a task file, a row, a template, a checkpoint."""

    exit_code = 2


class MachineError(TunewrightError):
    """The surroundings fail: disk full, no network, a package that cannot be had."""

    exit_code = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known word, or what is known when nothing is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f" (known: {shown})" if names else ""
