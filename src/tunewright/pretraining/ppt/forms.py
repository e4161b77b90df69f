"""The four forms of questions that a prompt is pretrained on (Gu et al. 2022, sections 3.1 to 3.3)."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, ClassVar, Literal

from tunewright.pretraining.ppt.draw import Anchor, Deal
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import LabelName, Row

if TYPE_CHECKING:
    from tunewright.backbones.base import Family

FormName = Literal["sentence-pair", "multiple-choice", "single-sentence", "unified"]

PAIR_WORDS = ("yes", "maybe", "no")  # adjacent, of the same document but not adjacent, of another document
SENTENCE_WORDS = ("terrible", "bad", "maybe", "good", "great")
LETTERS = tuple("ABCDEFGHIJKLMNOP")
CHOICES = 6
_OPTIONS = "{% for choice in choices %}{{ answer_choices[loop.index0] }}. {{ choice }}\n{% endfor %}"
_CORRECT = "The correct one is {{ answer }}"


class Form(ABC):
    """What the rows of a form are. The k-th row of an epoch is a function of (seed, epoch, k) and the documents."""

    name: ClassVar[FormName]
    kind: ClassVar[Literal["classify", "choose"]]
    fields: ClassVar[tuple[str, ...]]
    labels: ClassVar[tuple[str, ...] | None] = None
    letters: ClassVar[tuple[str, ...] | None] = None  # what the choices of a row are called

    @abstractmethod
    def template(self, family: "Family") -> TemplateBlock:
        """The hard words around a question, where the recipe gives none; the method puts its slots in."""

    @abstractmethod
    def rows(self, anchors: Iterator[Anchor], pool: Iterator[Row] | None, seed: int, epoch: int) -> Iterator[Row]:
        """The questions of one epoch; `pool` are single sentences with their labels, in turn."""

    def probes(self) -> list[Row]:
        """Rows with the shortest pair of texts: what is left of a prompt's length belongs to its frame."""
        return []


def label(names: tuple[str, ...], at: int) -> LabelName:
    """Label `at` of `names`, as rows hold it."""
    return LabelName(names[at], at)


class SentencePair(Form):
    """Do two sentences belong together? A third each: adjacent, of one document but not adjacent, of two documents.

    An adjacent sentence may stand before or after, as in the authors' code; one that is not adjacent stands at least
    two places away.
    """

    name = "sentence-pair"
    kind = "classify"
    fields = ("text_a", "text_b", "label")
    labels = PAIR_WORDS

    def template(self, family: "Family") -> TemplateBlock:
        """The paper's `s1 <X>. s2`; a causal model, which answers at the end only, is asked a question."""
        cloze = "{{ text_a }} {{ answer }}. {{ text_b }}"
        question = "Question: Does the second sentence go with the first? Yes, maybe or no?\nAnswer: {{ answer }}"
        return TemplateBlock(jinja="{{ text_a }}\n{{ text_b }}\n" + question if family == "causal" else cloze)

    def rows(self, anchors: Iterator[Anchor], pool: Iterator[Row] | None, seed: int, epoch: int) -> Iterator[Row]:
        """One question a sentence."""
        for k, anchor in enumerate(anchors):
            second, word = paired(anchor, Deal(seed, epoch, k, self.name))
            yield {"text_a": anchor.text, "text_b": second, "label": label(PAIR_WORDS, word)}

    def probes(self) -> list[Row]:
        """A row a label."""
        return [{"text_a": "a", "text_b": "a", "label": label(PAIR_WORDS, i)} for i in range(len(PAIR_WORDS))]


class MultipleChoice(Form):
    """Which sentence comes next? The next one, one of the same document but not adjacent, four of other documents."""

    name = "multiple-choice"
    kind = "choose"
    fields = ("text", "choices", "label")
    letters = LETTERS[:CHOICES]

    def template(self, family: "Family") -> TemplateBlock:
        """The authors' wording."""
        return options_template("{{ text }}\n", family, self.letters)

    def rows(self, anchors: Iterator[Anchor], pool: Iterator[Row] | None, seed: int, epoch: int) -> Iterator[Row]:
        """One question a sentence that another follows."""
        for k, anchor in enumerate(anchors):
            choices, gold = selection(anchor, CHOICES, 1, Deal(seed, epoch, k, self.name))
            yield {"text": anchor.text, "choices": choices, "label": label(tuple(choices), gold)}


class SingleSentence(Form):
    """What does a sentence say? Pseudo labels of a labeller, a fifth each."""

    name = "single-sentence"
    kind = "classify"
    fields = ("text", "label")
    labels = SENTENCE_WORDS

    def template(self, family: "Family") -> TemplateBlock:
        """`s. It was <X>.`, the authors' hybrid prompt for sentiment."""
        return TemplateBlock(jinja="{{ text }} It was {{ answer }}" + ("" if family == "causal" else "."))

    def rows(self, anchors: Iterator[Anchor], pool: Iterator[Row] | None, seed: int, epoch: int) -> Iterator[Row]:
        """The pool as it comes."""
        assert pool is not None
        yield from pool


class Unified(Form):
    """Everything as multiple choice with 2 to 16 options, one prompt for all.

    Equal parts of next-sentence selection (each number of options equally often), of sentence pairs with the three
    answers as options and, where a labeller is given, of single sentences with the five words as options. The authors
    pretrain on the first part alone.
    """

    name = "unified"
    kind = "choose"
    fields = ("text_a", "text_b", "choices", "label")
    letters = LETTERS

    def template(self, family: "Family") -> TemplateBlock:
        """The second text stands on a line of its own, where there is one."""
        return options_template("{{ text_a }}\n{% if text_b %}{{ text_b }}\n{% endif %}", family, self.letters)

    def rows(self, anchors: Iterator[Anchor], pool: Iterator[Row] | None, seed: int, epoch: int) -> Iterator[Row]:
        """Until the sentences of one part run out."""
        parts = 2 if pool is None else 3
        for k in count():
            deal = Deal(seed, epoch, k, self.name)
            part = deal.dealt(parts)
            found = (
                self._labelled(pool, deal)
                if part == 2 and pool is not None
                else self._asked(anchors, part, deal, parts)
            )
            if found is None:
                return
            yield found

    def _asked(self, anchors: Iterator[Anchor], part: int, deal: Deal, parts: int) -> Row | None:
        anchor = next(anchors, None)
        if anchor is None:
            return None
        if part == 1:
            second, word = paired(anchor, deal.part(parts, "pair"))
            return _with_options(anchor.text, second, PAIR_WORDS, word, deal)
        own = deal.part(parts, "selection")
        options = 2 + own.dealt(len(LETTERS) - 1)
        near = 1 if options <= 6 else 2 if options <= 10 else 3  # of the same document, as the authors have it
        choices, gold = selection(anchor, options, near, own)
        return {"text_a": anchor.text, "text_b": "", "choices": choices, "label": label(tuple(choices), gold)}

    def _labelled(self, pool: Iterator[Row], deal: Deal) -> Row | None:
        row = next(pool, None)
        return None if row is None else _with_options(row["text"], "", SENTENCE_WORDS, row["label"].index_, deal)

    def probes(self) -> list[Row]:
        """A row a label."""
        return [
            {"text_a": "a", "text_b": "a", "choices": list(PAIR_WORDS), "label": label(PAIR_WORDS, i)}
            for i in range(len(PAIR_WORDS))
        ]


FORMS: dict[FormName, Form] = {
    form.name: form for form in (SentencePair(), MultipleChoice(), SingleSentence(), Unified())
}


def options_template(question: str, family: "Family", letters: tuple[str, ...]) -> TemplateBlock:
    """A question, its lettered options, and the letter to be said."""
    end = "" if family == "causal" else "."
    return TemplateBlock(jinja=question + _OPTIONS + _CORRECT + end, answer_choices=list(letters))


def paired(anchor: Anchor, deal: Deal) -> tuple[str, int]:
    """The second sentence of a pair, and which of `PAIR_WORDS` is right."""
    word, random = deal.dealt(len(PAIR_WORDS)), deal.random()
    if word == 0:
        near = anchor.neighbours()
        return near[int(random.integers(len(near)))], word
    return (anchor.some_distant(1, random) if word == 1 else anchor.elsewhere(1, random))[0], word


def selection(anchor: Anchor, options: int, near: int, deal: Deal) -> tuple[list[str], int]:
    """`options` different sentences in drawn order, and the place of the next one among them.

    `near` of them are of the same document (fewer where it has fewer), the others of other documents.
    """
    random = deal.random()
    assert anchor.following is not None
    found = [anchor.following, *anchor.some_distant(min(near, options - 1), random)]
    found += anchor.elsewhere(options - len(found), random)
    order = random.permutation(options).tolist()
    return [found[i] for i in order], order.index(0)


def _with_options(first: str, second: str, words: tuple[str, ...], right: int, deal: Deal) -> Row:
    """A question with words as its options, in drawn order."""
    order = deal.part(1, "options").random().permutation(len(words)).tolist()
    choices = [words[i] for i in order]
    return {"text_a": first, "text_b": second, "choices": choices, "label": label(tuple(choices), order.index(right))}
