"""Tokens of a model behind an API, counted with its tokenizer on this machine."""

from collections.abc import Sequence
from pathlib import Path

from tunewright.backbones.fetch import hush, model_folder
from tunewright.backbones.shorten import shortened
from tunewright.backbones.tokens import TextEncoder
from tunewright.errors import InputError
from tunewright.prompts.demonstrations import most_useful
from tunewright.prompts.segments import Prompt


class TokenCounter:
    """The tokenizer of a catalog name, a hub id or a folder. Raises InputError where there is none."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer

        hush()
        folder = Path(name).expanduser()
        try:
            found = AutoTokenizer.from_pretrained(folder if folder.is_dir() else model_folder(name))
        except (ValueError, OSError, KeyError) as error:
            raise InputError(f"model.tokenizer {name!r}: cannot be read: {str(error).splitlines()[0]}") from None
        self.encoder = TextEncoder(found)
        self._tokenizer = found

    def count(self, before: str, text: str) -> tuple[int, int]:
        """(tokens of `text` with the tokenizer's own first ones, those of them that stand behind `before`)."""
        whole, context = (len(self._tokenizer(t, add_special_tokens=False)["input_ids"]) for t in (text, before))
        return len(self.encoder.before) + whole, whole - context

    def fitted(self, prompt: Prompt, answers: Sequence[str], limit: int) -> tuple[Prompt, bool]:
        """The prompt with fewer demonstrations, then the row's text cut, until it has, with its longest answer, at most
        `limit` tokens; and whether text was cut.

        Raises InputError where the template's words alone pass the limit.
        """

        def length(one: Prompt) -> int:
            return max(self.count("", one.text() + answer)[0] for answer in answers or ("",))

        for count in range(len(prompt.demonstrations) - 1, -1, -1):
            if length(prompt) <= limit:
                break
            prompt = most_useful(prompt, count)
        cut = False
        while (now := length(prompt)) > limit:
            prompt, cut = shortened(prompt, now - limit, now, limit, self.encoder), True
        return prompt, cut
