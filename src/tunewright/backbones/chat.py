"""A model's chat template as text around the user's words."""

import re
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tunewright.errors import InputError

_USER, _ANSWER, _NEXT = "\uf8ffuser\uf8ff", "\uf8ffanswer\uf8ff", "\uf8ffnext\uf8ff"


@dataclass(frozen=True)
class ChatFrame:
    """What stands before the user's words, between them and the answer, and right after the answer."""

    before: str
    between: str
    end: str


def chat_frame(tokenizer: PreTrainedTokenizerBase) -> ChatFrame:
    """The frame of the tokenizer's chat template for one user turn and one answer.

    Raises InputError where the tokenizer has no chat template, or one that changes the words.
    """
    if not tokenizer.chat_template:
        raise InputError(f"{tokenizer.name_or_path}: the template asks for a chat, the model has no chat template")
    user = [{"role": "user", "content": _USER}]
    asked = str(tokenizer.apply_chat_template(user, add_generation_prompt=True, tokenize=False))
    whole = str(tokenizer.apply_chat_template([*user, {"role": "assistant", "content": _ANSWER}], tokenize=False))
    if asked.count(_USER) != 1 or whole.count(_ANSWER) != 1:
        raise InputError(f"{tokenizer.name_or_path}: its chat template does not keep the words as they are")
    before, between = asked.split(_USER)
    return ChatFrame(before, between, whole.split(_ANSWER)[1])


@dataclass(frozen=True)
class EarlierTurns:
    """What stands between the user's words and an earlier answer, and between that and the user's next words."""

    between: str
    after: str


def earlier_turns(tokenizer: PreTrainedTokenizerBase, frame: ChatFrame) -> EarlierTurns:
    """How the chat template writes turns that were answered already; `frame` is that of the last one.

    Raises InputError where it does not keep their words, or writes the last turn in another way after them.
    """
    turns = [(_USER, "user"), (_ANSWER, "assistant"), (_NEXT, "user")]
    messages = [{"role": role, "content": words} for words, role in turns]
    text = str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
    found = re.fullmatch(f"(.*){_USER}(.*){_ANSWER}(.*){_NEXT}(.*)", text, re.DOTALL)
    once = all(text.count(words) == 1 for words, _ in turns)
    if found is None or not once or (found[1], found[4]) != (frame.before, frame.between):
        raise InputError(
            f"{tokenizer.name_or_path}: its chat template does not keep earlier turns as they are; use in-context "
            "examples with a template without chat"
        )
    return EarlierTurns(found[2], found[3])
