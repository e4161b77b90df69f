"""Trigger words in a template: places for them, tokens that may stand there, and the way back to plain text."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, View
from tunewright.errors import InputError
from tunewright.methods.base import Tunable
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt, Soft, Text
from tunewright.search.words import escaped, texts_of

_QUOTED = r"'[^']*'|\"[^\"]*\""
_SOFT = re.compile(rf" *\{{\{{-?\s*soft\((?:[^(){{}}'\"]|{_QUOTED})*\)\s*-?\}}\}}")
_BLANK = r"(?:\s|\{\{-?\s*(?:' +'|\" +\")\s*-?\}\})*"
_ANSWER = re.compile(rf"(?P<blank>{_BLANK})(?:\{{\{{-?\s*answer\s*-?\}}\}}|\|\|\|)")


def with_places(source: str, triggers: int, at: Literal["front", "end"]) -> str:
    """A template's text with `triggers` slots in front of it, or before the answer and the white space before it.

    A template with `soft(…)` of its own keeps its places. No spaces stand before a slot: its words bring theirs.
    """
    if not _SOFT.search(source):
        slots = f'{{{{ soft({triggers}, slot="autoprompt") }}}}'
        if at == "front":
            return f"{slots} {source}"
        found = _ANSWER.search(source)
        start = found.start() if found else len(source.rstrip())
        blank = found["blank"] if found else source[start:]
        return source[:start] + slots + ("" if blank else " ") + source[start:]
    return _SOFT.sub(lambda match: match[0].lstrip(" "), source)


def filled(source: str, words: Sequence[str]) -> str:
    """The text with the words in the place of each `soft(…)`, in the order written.

    Raises InputError where one stands in a larger expression.
    """
    if len(_SOFT.findall(source)) != len(words):
        raise InputError("autoprompt: each soft(…) of the template must stand alone in its braces: {{ soft(3) }}")
    rest = iter(words)
    return _SOFT.sub(lambda match: escaped(next(rest)), source)


def usable_tokens(backbone: Backbone, banned: set[int]) -> dict[int, str]:
    """Ids, and texts, of the whole words of the vocabulary that are the same one token when read again.

    Whole words begin with a space where they follow another. Special and added tokens, and what is `banned`, are left
    out, and so is what cannot be written in a template.
    """
    ids = [i for i in backbone.ordinary_tokens() if i not in banned]
    texts = texts_of(backbone, [[i] for i in ids])
    plain = [(i, text) for i, text in zip(ids, texts) if text[:1] == " " and _readable(text[1:])]
    again = backbone.tokenizer([text for _, text in plain], add_special_tokens=False)["input_ids"] if plain else []
    return {i: text for (i, text), found in zip(plain, again) if found == [i]}


def _readable(word: str) -> bool:
    return word != "" and word.isprintable() and not re.search(r"\s|\ufffd|[{}|]|[\ue000-\uf8ff]", word)


def as_text(prompt: Prompt, words: dict[str, str]) -> Prompt:
    """The prompt with each slot group's words in its place."""
    segments = [Text(words[s.slot]) if isinstance(s, Soft) else s for s in prompt.segments]
    return replace(prompt, segments=tuple(segments))


def reads_the_same(soft: Example, hard: Example, ids: Sequence[int]) -> bool:
    """Whether the hard example has at each slot the id of its row, and all else alike."""
    if len(soft.views) != len(hard.views):
        return False
    return all(_alike(a, b, ids) for a, b in zip(soft.views, hard.views))


def _alike(soft: View, hard: View, ids: Sequence[int]) -> bool:
    def put(tokens: Sequence[int], rows: Sequence[int]) -> list[int]:
        return [ids[row] if row >= 0 else token for token, row in zip(tokens, rows)]

    decoders = [put(*decoder) for decoder in soft.decoders]
    return put(soft.ids, soft.soft) == hard.ids and soft.asks == hard.asks and decoders == [d for d, _ in hard.decoders]


def group_words(layout: SlotLayout, texts: Sequence[str]) -> dict[str, str]:
    """The words of each slot group, from the text of each row of the table."""
    return {group.name: "".join(texts[row] for row in layout.indices(group.name)) for group in layout.groups}


class TriggerVectors(Tunable):
    """n sets of trigger vectors, [n, S, d], asked side by side as an ensemble's members are."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.sets = torch.zeros(1, 0, backbone.width)

    @property
    def members(self) -> int:
        """n."""
        return len(self.sets)

    def table(self) -> Tensor | None:
        """[n · S, d]."""
        return self.sets.flatten(0, 1)
