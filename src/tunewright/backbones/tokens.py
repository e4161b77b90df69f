"""Text to ids, where special tokens inside a row's text stay characters."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tunewright.errors import InputError

Part = tuple[str, bool]  # (text, came from the row)

_CHUNK = 32  # characters that are worth being tokenised by themselves
_KEPT = 4096  # tokenised stretches that are remembered


@dataclass(frozen=True)
class Run:
    """Neighbouring pieces of text; they are tokenised together.

    `trained`: an earlier answer that has a part in the loss, with the spaces before it.
    """

    parts: tuple[Part, ...]
    trained: bool = False

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
        self._added = {token: i for token, i in self.tokenizer.get_added_vocab().items() if token.strip()}
        self._never = set(self._added.values()) - {self.tokenizer.unk_token_id}  # ids that no plain text gives
        longest_first = sorted(self._added, key=len, reverse=True)
        self._spelled = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._properties = {token.content: token for token in self.tokenizer.added_tokens_decoder.values()}
        self._known: dict[tuple[Part, ...], list[int]] = {}
        self._words_alone = _splits_as_gpt2(self.tokenizer)
        self._literal: Tokenizer | None = None
        self._moved: dict[int, int] = {}

    def ids(self, runs: Sequence[Run]) -> list[list[int]]:
        """Token ids of each run, no special tokens added; added tokens count as such only in template words."""
        if not self._words_alone:
            return self._ids(runs)
        chunks = [self._chunks(run.parts) for run in runs]
        new = [c for c in dict.fromkeys(chunk for mine in chunks for chunk in mine) if c not in self._known]
        if len(self._known) + len(new) > _KEPT:
            new, self._known = list(dict.fromkeys(chunk for mine in chunks for chunk in mine)), {}
        known = self._known
        known.update(zip(new, self._ids([Run(chunk) for chunk in new])))
        return [[i for chunk in mine for i in known[chunk]] for mine in chunks]

    def _ids(self, runs: Sequence[Run]) -> list[list[int]]:
        encoded = self._encoded([run.text for run in runs]) if runs else []
        return [
            [i for i, _ in self._literals(run)] if self._forged(run, ids) else ids for run, ids in zip(runs, encoded)
        ]

    def _chunks(self, parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
        """The parts in stretches that can be tokenised by themselves: what several runs begin with is read once."""
        found, start, length = [], 0, 0
        for i, (text, _) in enumerate(parts):
            if length >= _CHUNK and self.cut_between(parts[i - 1][0], text):
                found.append(parts[start:i])
                start, length = i, 0
            length += len(text)
        return [*found, parts[start:]]

    def _encoded(self, texts: list[str]) -> list[list[int]]:
        if not self._words_alone:
            found: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
            return found
        backend = self.tokenizer.backend_tokenizer  # as the call above, without offsets, masks and its own dicts
        if backend.truncation is not None:
            backend.no_truncation()
        if backend.padding is not None:
            backend.no_padding()
        if backend.encode_special_tokens != self.tokenizer.split_special_tokens:
            backend.encode_special_tokens = self.tokenizer.split_special_tokens
        return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def cut_between(self, before: str, after: str) -> bool:
        """Whether the ids of the two texts, one behind the other, are those of their joined text.

        Known of byte-level tokenizers that split words as GPT-2 does: a word or mark ends before white space whatever
        follows, and one line break stands alone between two words. False where it is not known.
        """
        if not self._words_alone or not before or not after:
            return False
        if after[0] in " \n":
            return _visible(before[-1])
        return before[-1] == "\n" and _visible(before[-2:-1]) and _visible(after[0])

    def ids_of_words(self, text: str) -> list[int]:
        """Ids of one text by itself."""
        return self.ids([Run(((text, True),))])[0]

    def starts(self, text: str) -> list[int]:
        """The character at which each token of a row's text starts."""
        encoding = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoding["offset_mapping"]
        if self._forged(Run(((text, True),)), encoding["input_ids"]):
            offsets = self._literally().encode(text, add_special_tokens=False).offsets
        return [start for start, _ in offsets]

    def spans(self, run: Run) -> list[tuple[int, int]]:
        """(start, end) of each of the run's ids in its text, in characters; some cover the space before a word."""
        encoding = self.tokenizer(run.text, add_special_tokens=False, return_offsets_mapping=True)
        if self._forged(run, encoding["input_ids"]):
            return [span for _, span in self._literals(run)]
        return [(start, end) for start, end in encoding["offset_mapping"]]

    def _forged(self, run: Run, ids: list[int]) -> bool:
        """Whether `ids` hold other added tokens than those that the template's words spell."""
        unknown = self.tokenizer.unk_token
        if unknown is not None and any(from_row and unknown in text for text, from_row in run.parts):
            return True
        wanted = [
            self._added[m[0]] for text, from_row in run.parts if not from_row for m in self._spelled.finditer(text)
        ]
        found = [] if self._never.isdisjoint(ids) else [i for i in ids if i in self._never]
        return found != [i for i in wanted if i in self._never]

    def _literals(self, run: Run) -> list[tuple[int, tuple[int, int]]]:
        """Ids with their spans: added tokens wholly inside template words become their id, all other text is just
        characters."""
        text, special, start = run.text, [], 0
        for part, from_row in run.parts:
            if not from_row:
                special += [(start + m.start(), start + m.end()) for m in self._spelled.finditer(part)]
            start += len(part)
        found: list[tuple[int, tuple[int, int]]] = []
        at, blanks_gone = 0, False
        for begin, end in [*special, (len(text), len(text))]:
            token = self._properties.get(text[begin:end])
            plain = text[at:begin].lstrip() if blanks_gone else text[at:begin]
            shift = begin - len(plain)
            plain = plain.rstrip() if token is not None and token.lstrip else plain  # RoBERTa's <mask>
            if plain:
                encoding = self._literally().encode(plain, add_special_tokens=False)
                found += [
                    (self._moved.get(i, i), (shift + a, shift + b)) for i, (a, b) in zip(encoding.ids, encoding.offsets)
                ]
            if end > begin:
                found.append((self._added[text[begin:end]], (begin, end)))
            at, blanks_gone = end, token is not None and token.rstrip
        return found

    def _literally(self) -> Tokenizer:
        """The same tokenizer without its added tokens; their vocabulary entries can no longer be matched.

        They get names with a blank in them, which no pre-tokenizer lets through. Added runs of white space
        (GPT-NeoX has them) stay: they are ordinary text.
        """
        if self._literal is None:
            tree = json.loads(self.tokenizer.backend_tokenizer.to_str())
            hidden = {token: f"hidden {i}" for token, i in self._added.items()}
            tree["added_tokens"] = [token for token in tree["added_tokens"] if token["content"] not in hidden]
            tree["post_processor"] = None
            model = tree["model"]
            model["vocab"] = _renamed(model["vocab"], hidden)
            if model.get("unk_token") in hidden:
                model["unk_token"] = hidden[model["unk_token"]]
            if model["type"] == "BPE":  # Gemma's added tokens also come out of merges
                model["merges"] = [
                    m for m in model["merges"] if hidden.keys().isdisjoint({*_pair(m), "".join(_pair(m))})
                ]
            self._literal = Tokenizer.from_str(json.dumps(tree))
            for token in tree["added_tokens"]:  # those that stayed may have moved up
                if (place := self._literal.token_to_id(token["content"])) is not None:
                    self._moved[place] = token["id"]
        return self._literal


def _visible(character: str) -> bool:
    """Whether it is surely no white space, in any table of it."""
    return character.isalnum() or (character.isascii() and character.isprintable() and character not in ("", " "))


def _splits_as_gpt2(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Byte level, cut into words by GPT-2's expression (after single digits or not), nothing normalised, and no added
    token that has or takes white space.
    """
    overridden = getattr(type(tokenizer), "_encode_plus", None) is not getattr(
        PreTrainedTokenizerFast, "_encode_plus", None
    )
    tree = json.loads(tokenizer.backend_tokenizer.to_str())
    steps = tree["pre_tokenizer"] or {}
    steps = steps["pretokenizers"] if steps.get("type") == "Sequence" else [steps]
    if steps and steps[0].get("type") == "Digits":
        steps = steps[1:]
    last = steps[0] if len(steps) == 1 else {}
    if overridden or tree["normalizer"] is not None or last.get("type") != "ByteLevel":
        return False
    if not last.get("use_regex", True) or last.get("add_prefix_space", True) or tree["model"].get("dropout"):
        return False
    return not any(
        token["lstrip"] or token["rstrip"] or token["single_word"] or any(map(str.isspace, token["content"]))
        for token in tree["added_tokens"]
    )


def _pair(merge: Any) -> list[str]:
    """The two sides of a merge, which older files write as one string."""
    return merge.split(" ", 1) if isinstance(merge, str) else merge


def _renamed(vocab: Any, names: dict[str, str]) -> Any:
    if isinstance(vocab, dict):
        return {names.get(token, token): index for token, index in vocab.items()}
    return [[names.get(token, token), score] for token, score in vocab]
