"""A model's chat template as text around the user's words."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tunewright.errors import InputError

_USER, _ANSWER = "\uf8ffuser\uf8ff", "\uf8ffanswer\uf8ff"


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
