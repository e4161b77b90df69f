"""Sentences that say the same of one task at several numbers of rows, said once."""

from collections.abc import Iterable


def together(sentences: Iterable[str], sizes: Iterable[tuple[str, str]]) -> list[str]:
    """`sizes`: (task, its name at a number of rows: "sst2, 4 shots"). A sentence is of a name where it begins with it
    and a colon. Those with equal ends stand where the first of them stood; all sizes of a task are its name alone.
    """
    of = {name: task for task, name in sizes}
    every: dict[str, list[str]] = {}
    for name, task in of.items():
        every.setdefault(task, []).append(name)
    groups: dict[tuple[str, str], list[str]] = {}
    for sentence in sentences:
        name, colon, end = sentence.partition(": ")
        key = (of[name], end) if colon and name in of else (sentence, "")
        groups.setdefault(key, []).append(name)
    return [_joined(task, names, every[task], end) if end else task for (task, end), names in groups.items()]


def _joined(task: str, names: list[str], every: list[str], end: str) -> str:
    if names == every:
        return f"{task}: {end}"
    return ", ".join([task, *(name.removeprefix(f"{task}, ") for name in names)]) + f": {end}"
