"""Text to ids, where special tokens inside a row's text stay characters."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from tunewright.errors import InputError

Part = tuple[str, bool]  # (text, came from the row)


@dataclass(frozen=True)
class Run:
    """Neighbouring pieces of text; they are tokenised together."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The pieces joined."""
        return "".join(text for text, _ in self.parts)

    def plus(self, text: str) -> "Run":
        """This run with a row's text after it."""
        return Run((*self.parts, (text, True)))

    def stripped(self) -> tuple["Run", str]:
        """(the run without its trailing spaces, those spaces): a trailing space belongs to the answer.

        Only spaces are moved: a newline before the answer stays with the prompt, so that a model asked to
        generate starts on the new line.
        """
        spaces = len(self.text) - len(self.text.rstrip(" "))
        parts = list(self.parts)
        left = spaces
        while left:
            text, from_row = parts.pop()
            keep = text[: max(0, len(text) - left)]
            left -= len(text) - len(keep)
            if keep:
                parts.append((keep, from_row))
        return Run(tuple(parts)), " " * spaces


@dataclass
class TextEncoder:
    """A tokenizer as this project uses it.

    `before` and `after` are the special tokens that the tokenizer itself puts around a single text, `between`
    those it puts between the two texts of a pair.
    """

    tokenizer: PreTrainedTokenizerBase
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    between: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.tokenizer.is_fast:
            raise InputError(f"{self.tokenizer.name_or_path}: a fast tokenizer (tokenizer.json) wanted")
        plain = self.tokenizer("x", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("x")["input_ids"]
        at = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
        self.before, self.after = whole[:at], whole[at + len(plain) :]
        pair = self.tokenizer("x", "x")["input_ids"]
        inner = pair[at + len(plain) : len(pair) - len(self.after)]
        self.between = inner[: len(inner) - len(plain)]
        words = sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True)
        self._added = re.compile("|".join(map(re.escape, words))) if words else None
        self._literal: Tokenizer | None = None

    def ids(self, runs: Sequence[Run]) -> list[list[int]]:
        """Token ids of each run, no special tokens added; added tokens count as such only in template words."""
        texts = [run.text for run in runs]
        found = [i for i, text in enumerate(texts) if self._added is not None and self._added.search(text)]
        encoded: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        for i in found:
            encoded[i] = self._with_literals(runs[i])
        return encoded

    def ids_of_words(self, text: str) -> list[int]:
        """Ids of one text by itself."""
        return self.ids([Run(((text, True),))])[0]

    def _with_literals(self, run: Run) -> list[int]:
        """Added tokens wholly inside template words become their id; all other text is just characters."""
        assert self._added is not None
        text, special = run.text, []
        start = 0
        for part, from_row in run.parts:
            if not from_row:
                special += [(start + m.start(), start + m.end()) for m in self._added.finditer(part)]
            start += len(part)
        ids: list[int] = []
        at = 0
        for begin, end in [*special, (len(text), len(text))]:
            if begin > at:
                ids += self._literal_tokenizer().encode(text[at:begin], add_special_tokens=False).ids
            if end > begin:
                ids.append(self.tokenizer.get_added_vocab()[text[begin:end]])
            at = end
        return ids

    def _literal_tokenizer(self) -> Tokenizer:
        """The same tokenizer without its added tokens; their vocabulary entries can no longer be matched."""
        if self._literal is None:
            tree = json.loads(self.tokenizer.backend_tokenizer.to_str())
            hidden = {token["content"]: chr(0xF0000 + i) for i, token in enumerate(tree["added_tokens"])}
            tree["added_tokens"] = []
            tree["post_processor"] = None
            model = tree["model"]
            model["vocab"] = _renamed(model["vocab"], hidden)
            if model.get("unk_token") in hidden:
                model["unk_token"] = hidden[model["unk_token"]]
            self._literal = Tokenizer.from_str(json.dumps(tree))
        return self._literal


def _renamed(vocab: Any, names: dict[str, str]) -> Any:
    if isinstance(vocab, dict):
        return {names.get(token, token): index for token, index in vocab.items()}
    return [[names.get(token, token), score] for token, score in vocab]
