"""Conversations of several turns as rows: ShareGPT's form (`from`, `value`) and ChatML's (`role`, `content`)."""

from dataclasses import replace
from typing import Any

from tunewright.errors import InputError
from tunewright.tasks.raw import Columns, RawSplit

_ROLES = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
    "chatgpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip
FIELDS = ("system", "history", "message", "reply", "messages")


def split_turns(raw: RawSplit, column: str) -> RawSplit:
    """A row a conversation: `reply` is the assistant's last turn, `message` the user's before it, `history` the turns
    before that (a line each, "User: …"), `system` the system's text; `messages` keeps all turns as {role, content}.

    Conversations in which the assistant never answers are left out and counted in the notes. Only the last reply is a
    target; the ones before it are context. Raises InputError naming the row for turns of another form.
    """
    if column not in raw.columns:
        raise InputError(f"{raw.where}: no column {column!r} (conversations); the columns are {', '.join(raw.columns)}")
    made: Columns = {name: [] for name in FIELDS}
    kept = []
    for index, cell in enumerate(raw.columns[column]):
        messages = _messages(cell, raw.place(index), column)
        row = _row(messages)
        if row is not None:
            kept.append(index)
            for name, value in row.items():
                made[name].append(value)
    if not kept:
        raise InputError(f"{raw.where}: in no conversation does the assistant answer a user")
    taken = raw.take(kept)
    left_out = len(raw) - len(kept)
    notes = (f"conversations without an answer of the assistant left out: {left_out}",) if left_out else ()
    others = {name: cells for name, cells in taken.columns.items() if name not in (*FIELDS, column)}
    return replace(taken, columns={**others, **made}, notes=(*raw.notes, *notes))


def _messages(cell: Any, place: str, column: str) -> list[dict[str, str]]:
    if not isinstance(cell, list):
        raise InputError(f"{place}: {column!r} must be a list of turns, found {cell!r:.60}")
    found = []
    for number, turn in enumerate(cell, 1):
        role = (turn.get("role") or turn.get("from")) if isinstance(turn, dict) else None
        text = (turn.get("content", turn.get("value"))) if isinstance(turn, dict) else None
        if not isinstance(role, str) or not isinstance(text, str):
            raise InputError(
                f"{place} turn {number}: `role` and `content` (or `from` and `value`) wanted: {turn!r:.60}"
            )
        if role.lower() not in _ROLES:
            raise InputError(f"{place} turn {number}: role {role!r} is none of {', '.join(_ROLES)}")
        found.append({"role": _ROLES[role.lower()], "content": text})
    return found


def _row(messages: list[dict[str, str]]) -> dict[str, Any] | None:
    system = "\n".join(turn["content"] for turn in messages if turn["role"] == "system")
    turns = [turn for turn in messages if turn["role"] != "system"]
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()
    if len(turns) < 2 or turns[-2]["role"] != "user":
        return None
    names = {"user": "User", "assistant": "Assistant"}
    history = "\n".join(f"{names[turn['role']]}: {turn['content']}" for turn in turns[:-2])
    return {
        "system": system, "history": history, "message": turns[-2]["content"], "reply": turns[-1]["content"],
        "messages": messages,
    }  # fmt: skip
