"""In-context examples: which training rows stand before a prompt, and in which order (Brown et al. 2020)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tunewright.prompts.segments import Answer, Demonstration, Prompt, Segment, Text, text_of
from tunewright.seeds import numpy_random

Choose = Literal["fixed", "random", "nearest"]
Order = Literal["random", "given", "similar-last"]
Vectors = Callable[[Sequence[str]], np.ndarray]  # texts → [texts, d], each of length one


@dataclass(frozen=True)
class Demonstrations:
    """How a method wants them: `examples` for each prompt, chosen and ordered so, `separator` behind each."""

    examples: int
    choose: Choose
    balanced: bool
    order: Order
    separator: str


@dataclass(frozen=True)
class PoolRow:
    """A training row that may be shown. `rendered[t]`: its segments in template t, with the answer.

    `label` is its class, None for a task without classes.
    """

    row: str
    label: str | None
    rendered: tuple[tuple[Segment, ...], ...]


@dataclass(frozen=True)
class Undemonstrated:
    """A prompt that wants its demonstrations, and the number of its template."""

    template: int
    prompt: Prompt


def answered(prompt: Prompt) -> tuple[Segment, ...]:
    """The segments of a training row's prompt with its target at the answer's place."""
    target = Answer(trained=False, text=prompt.target)
    return tuple(target if isinstance(segment, Answer) else segment for segment in prompt.segments)


def row_words(segments: Sequence[Segment]) -> str:
    """What came from the row, a line for each piece: what likeness is measured on."""
    return "\n".join(segment.text for segment in segments if isinstance(segment, Text) and segment.from_row)


def question(segments: Sequence[Segment]) -> str:
    """The rendered text with nothing at the answer's place."""
    return text_of(segment for segment in segments if not isinstance(segment, Answer))


def most_useful(prompt: Prompt, count: int) -> Prompt:
    """The prompt with its `count` most useful demonstrations, in the order they had."""
    kept = sorted(one.rank for one in prompt.demonstrations)[:count]
    return replace(prompt, demonstrations=tuple(one for one in prompt.demonstrations if one.rank in kept))


def draw(
    order: Sequence[int],
    labels: Sequence[str | None],
    count: int,
    *,
    balanced: bool,
    allowed: Callable[[int], bool] = lambda index: True,
) -> list[int]:
    """`count` of the rows in `order` (fewer where fewer are allowed), the first ones first.

    `balanced`: one of each class in turn, the class that comes first in `order` first: the counts of two classes differ
    by one at most, unless a class has no more rows.
    """
    groups: dict[str | None, list[int]] = {}
    waiting = set(labels) if balanced else {None}
    for index in order:
        label = labels[index] if balanced else None
        if label in waiting and allowed(index):
            groups.setdefault(label, []).append(index)
            if len(groups[label]) == count:
                waiting.discard(label)
                if not waiting:
                    break
    turns = [(place, i, index) for i, group in enumerate(groups.values()) for place, index in enumerate(group)]
    return [index for _, _, index in sorted(turns)[:count]]


class Demonstrator:
    """Puts demonstrations before prompts.

    A pool row that asks the same as the prompt is never shown to it. `fixed`: the pool, before every prompt; `random`:
    drawn from the seed and what came from the row (so that a row is shown the same when it stands in another file);
    `nearest`: by the cosine of sentence vectors of what came from the rows (Liu et al. 2022), balanced: one of each
    class in turn (Gao et al. 2021, §6). All of it depends on seed, pool and prompt alone.
    """

    def __init__(
        self,
        wanted: Demonstrations,
        pool: Sequence[PoolRow],
        seed: int,
        vectors: Vectors,
        places: Sequence[int] | None = None,
    ) -> None:
        """`pool` in the order of the training rows. `vectors` are called for where likeness is wanted only.

        `places` [pool] says where each stands among those shown, in the place of `wanted.order`.
        """
        self._places = places
        self.wanted, self.pool, self.seed = wanted, list(pool), seed
        self._vectors = vectors
        self._labels = [one.label for one in pool]
        self._balanced = wanted.balanced and None not in self._labels
        self._questions: dict[int, list[tuple[str, str]]] = {}
        self._pool_vectors: dict[int, np.ndarray] = {}

    def only(self, template: int) -> "Demonstrator":
        """The same for prompts of this template alone, which is number 0 there."""
        pool = [replace(row, rendered=(row.rendered[template],)) for row in self.pool]
        return Demonstrator(self.wanted, pool, self.seed, self._vectors, self._places)

    def __call__(self, asked: Sequence[Undemonstrated]) -> list[Prompt]:
        """The prompts with their demonstrations, in the order given."""
        cosines: Sequence[np.ndarray | None] = [None] * len(asked)
        if self.wanted.choose == "nearest" or self.wanted.order == "similar-last":
            cosines = self._cosines(asked)
        return [self._one(one, near) for one, near in zip(asked, cosines)]

    def _one(self, asked: Undemonstrated, near: np.ndarray | None) -> Prompt:
        """`near` [pool]: how alike each pool row is to this one."""
        wanted = self.wanted
        words, whole = row_words(asked.prompt.segments), question(asked.prompt.segments)
        key = () if wanted.choose == "fixed" else (words or whole,)
        if wanted.choose == "nearest":
            assert near is not None
            order = np.argsort(-near, kind="stable")
        else:
            order = numpy_random("demonstrations", self.seed, *key).permutation(len(self.pool))
        questions = self._asked_by_pool(asked.template)

        def allowed(index: int) -> bool:
            theirs = questions[index]
            return theirs[1] != whole and not (words and theirs[0] == words)

        found = draw(order.tolist(), self._labels, wanted.examples, balanced=self._balanced, allowed=allowed)
        if near is not None and wanted.choose == "nearest":
            found.sort(key=lambda index: (-float(near[index]), index))  # the farthest is dropped first
        shown = self._shown_order(found, near, key)
        rank = {index: place for place, index in enumerate(found)}
        demonstrations = [
            Demonstration(self.pool[index].row, self.pool[index].rendered[asked.template], rank[index])
            for index in shown
        ]
        return replace(asked.prompt, demonstrations=tuple(demonstrations), separator=wanted.separator)

    def _shown_order(self, found: list[int], near: np.ndarray | None, key: tuple[str, ...]) -> list[int]:
        if (given := self._places) is not None:
            return sorted(found, key=lambda index: given[index])
        if self.wanted.order == "given":
            return sorted(found)
        if self.wanted.order == "similar-last":
            assert near is not None
            return sorted(found, key=lambda index: (float(near[index]), -index))
        places = numpy_random("demonstrations order", self.seed, *key).permutation(len(self.pool))
        return sorted(found, key=lambda index: int(places[index]))

    def _asked_by_pool(self, template: int) -> list[tuple[str, str]]:
        """(row's words, whole question) of each pool row."""
        if template not in self._questions:
            rendered = [one.rendered[template] for one in self.pool]
            self._questions[template] = [(row_words(one), question(one)) for one in rendered]
        return self._questions[template]

    def _cosines(self, asked: Sequence[Undemonstrated]) -> list[np.ndarray]:
        """For each prompt its likeness [pool] to the pool's rows."""
        texts = [row_words(one.prompt.segments) or question(one.prompt.segments) for one in asked]
        vectors = self._vectors(texts) if texts else ()  # all at once: the encoder reads them in batches
        return [self._pool_of(one.template) @ vector for one, vector in zip(asked, vectors)]

    def _pool_of(self, template: int) -> np.ndarray:
        """The vectors [pool, d] of the pool's rows."""
        if template not in self._pool_vectors:
            texts = [words or whole for words, whole in self._asked_by_pool(template)]
            self._pool_vectors[template] = self._vectors(texts)
        return self._pool_vectors[template]
