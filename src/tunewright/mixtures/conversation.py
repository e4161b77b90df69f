"""A whole conversation as one prompt: every turn of the assistant is an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.errors import InputError
from tunewright.prompts.segments import Answer, Demonstration, Prompt, Segment, Text

FIELD = "messages"


def pairs_of(messages: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """(what the user said, what the assistant answered), in order.

    The system's text stands before the user's first words. Turns of one speaker in a row are one turn; what the
    assistant says before any user has spoken, and what nobody answers, is left out.
    """
    system = "\n".join(turn["content"] for turn in messages if turn["role"] == "system")
    turns: list[tuple[str, str]] = []
    for turn in messages:
        role, text = turn["role"], turn["content"]
        if role == "system" or (not turns and role == "assistant"):
            continue
        if turns and turns[-1][0] == role:
            text = f"{turns.pop()[1]}\n{text}"
        turns.append((role, text))
    said = [(turns[i][1], turns[i + 1][1]) for i in range(0, len(turns) - 1, 2)]
    if said and system:
        said[0] = (f"{system}\n\n{said[0][0]}", said[0][1])
    return [pair for pair in said if pair[1].strip()]


class Turns:
    """Renders a row's `messages`. The last answer is the target; those before it are trained too.

    They stand in the prompt as demonstrations, the latest the most useful: what does not fit is dropped whole, from
    the beginning of the conversation on. `chat`: in the model's chat template, else after `User: ` and `Assistant: `.
    """

    name = "turns"

    def __init__(self, chat: bool) -> None:
        self.chat = chat

    def render(self, row: Mapping[str, Any], *, seed: int = 0) -> Prompt | None:
        """See Template. None for a conversation without an answer."""
        messages = row.get(FIELD)
        if not isinstance(messages, list):
            raise InputError(f"the field {FIELD!r} must be a list of turns, found {messages!r:.60}")
        pairs = pairs_of(messages)
        if not pairs:
            return None
        *earlier, (last, target) = pairs
        shown = tuple(
            Demonstration(
                f"turn {i + 1}", (*self._said(user), Answer(text=answer)), rank=len(earlier) - 1 - i, trained=True
            )
            for i, (user, answer) in enumerate(earlier)
        )
        return Prompt(
            (*self._said(last), Answer()), target, (target,), chat=self.chat, demonstrations=shown, separator="\n"
        )

    def _said(self, user: str) -> tuple[Segment, ...]:
        if self.chat:
            return (Text(user, FIELD),)
        return (Text("User: "), Text(user, FIELD), Text("\nAssistant: "))
