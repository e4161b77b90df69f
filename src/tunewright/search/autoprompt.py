"""AutoPrompt (Shin et al. 2020): trigger words found by the gradient at their vectors, in any of the three families."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tunewright.backbones.batch import Batch
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.methods.soft.starts import common_tokens, word_vectors, words_to_ids
from tunewright.objectives.losses import choice_loss, choice_scores, label_scores
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.candidates import Candidate
from tunewright.search.triggers import (
    TriggerVectors,
    as_text,
    filled,
    group_words,
    reads_the_same,
    usable_tokens,
    with_places,
)
from tunewright.search.words import first_template, texts_of
from tunewright.seeds import numpy_random
from tunewright.settings import Strict
from tunewright.tasks.task import Rows
from tunewright.training.batches import cut
from tunewright.training.rows import RowEncoder
from tunewright.training.tuner import Tuner

AT_ONCE = 8192  # vectors multiplied with a gradient at a time
CHECKED = 2  # rows on which each candidate is read again as plain text
CHECKED_AT_END = 200


class AutoPromptSettings(Strict):
    """How triggers are searched for."""

    triggers: int = Field(5, gt=0, le=100, description="words, where the template has no soft(…) of its own")
    at: Literal["front", "end"] = Field("end", description="in front of the template, or before the answer")
    candidates: int = Field(100, gt=0, description="tokens tried at one place a step")
    steps: int = Field(50, gt=0)
    rows: int = Field(16, gt=0, description="training rows a step, for the gradient and again for the candidates")
    tried_at_once: int = Field(10, gt=0, description="candidates in one forward pass")
    loss: Literal["choice", "answer"] | None = Field(None, description="none: choice where there are choices")


def autoprompt(prepared: Prepared, settings: AutoPromptSettings, seed: int) -> Iterator[Candidate]:
    """Trigger words for the recipe's first template; each set that is the best so far on validation, as it is found.

    A step looks at one trigger after the other: the loss's gradient at its vector ranks the vocabulary by −gradient ·
    vector, the first `candidates` of it are tried on other training rows, and the best replaces the trigger where it
    lowers the loss. As in the authors' code label words are no triggers; other than there, the start is common words
    drawn with the seed, not masks, which only one family has. Triggers are soft slots whose rows of the table are
    vectors of words, so that candidates are the members of an ensemble in one forward pass. A candidate counts only
    where its words, put into the template as text, give the same ids. Raises InputError for a template that has no
    place for words.
    """
    return _improvements(_Search(prepared, settings, seed), settings.steps)


def _improvements(search: "_Search", steps: int) -> Iterator[Candidate]:
    best: list[float] | None = None
    for step in range(steps):
        if not search.improve(step):
            continue
        look = search.look()
        if best is None or look > best:
            best = look
            yield search.candidate(step + 1, look)


class _Search:
    """The triggers as they are, and the rows they are tried on."""

    def __init__(self, prepared: Prepared, settings: AutoPromptSettings, seed: int) -> None:
        self.prepared, self.settings, self.seed = prepared, settings, seed
        self.backbone, task = prepared.backbone, prepared.task
        old = first_template(prepared, "autoprompt")
        self.source = with_places(old.source, settings.triggers, settings.at)
        self.template = Template.from_block("autoprompt", old.block().model_copy(update={"jinja": self.source}), task)
        filled(self.source, [""] * len(self.template.slots))  # said before any work
        if not self.template.slots or any(soft.side == "decoder" for soft in self.template.slots):
            raise InputError("autoprompt: soft(…) in the encoder's text wanted; words have no place in a decoder")
        self.layout = SlotLayout.build(self.template.slots, lambda words: len(words_to_ids(self.backbone, words)))
        self.chooses = task.kind in ("classify", "choose") and settings.loss != "answer"
        if settings.loss == "choice" and not self.chooses:
            raise InputError(f"autoprompt: loss: choice wants choices; the task's kind is {task.kind}")
        self.purpose: Purpose = "choices" if self.chooses else "answer"
        self.train = task.split("train")
        self.encoder = self._encoder(self.train, self.template, self.layout)
        self.looked_at = prepared.validation()
        self.looking = self._encoder(self.looked_at, self.template, self.layout)
        self.triggers = TriggerVectors(self.backbone)
        self.tuner = Tuner(self.backbone, self.triggers, prepared.tuner.precision).eval()
        words = self._label_words()
        self.tokens = usable_tokens(self.backbone, {i for word in words for i in words_to_ids(self.backbone, word)})
        if not self.tokens:
            raise InputError(f"autoprompt: {self.backbone.name}: no token of its vocabulary is a whole word")
        self.usable = torch.tensor(list(self.tokens), device=self.backbone.device)  # [W]
        self.ids = self._start()

    def _encoder(self, rows: Rows, template: Template, layout: SlotLayout) -> RowEncoder:
        limit, seed = self.prepared.recipe.training.max_tokens, self.prepared.recipe.training.seed
        return RowEncoder(rows, [template], self.backbone, layout, limit, seed, lambda prompt: prompt)

    def _label_words(self) -> Sequence[str]:
        """What the labels are answered with; options that each row has of its own are not among them."""
        if self.prepared.task.kind != "classify":
            return ()
        prompts = (self.encoder.prompt(i) for i in range(len(self.train)))
        first = next((prompt for prompt in prompts if prompt is not None), None)
        return (first.choices if first else None) or ()

    def _start(self) -> list[int]:
        """The words that the template's slots name, else common ones; as text they must read the same."""
        common = [i for i in common_tokens(self.backbone) if i in self.tokens] or list(self.tokens)
        rows = self._drawn("start", 0)
        for attempt in range(20):
            drawn = numpy_random("autoprompt", self.seed, "start", attempt).choice(common, size=self.layout.rows)
            ids = [int(i) for i in drawn]
            for group in self.layout.groups:
                if group.words is not None:
                    ids[group.start : group.start + group.length] = words_to_ids(self.backbone, group.words)
            if self._writable([ids], rows)[0]:
                return ids
        raise InputError(
            "autoprompt: words in the place of the triggers are not read as the tokens they were: in the template, "
            "leave a space behind soft(…), and nothing but words or a field before it"
        )

    # ---- one step ---------------------------------------------------------------------------------------

    def improve(self, step: int) -> bool:
        """Look for a better token at one place; False where the loss on the step's rows would not fall."""
        places = numpy_random("autoprompt", self.seed, "places", step // self.layout.rows).permutation(self.layout.rows)
        place = int(places[step % self.layout.rows])
        gradient = self._gradient(self._examples(self._drawn("gradient", step)))[place]  # [d]
        tried = [i for i in self._ranked(gradient, self.settings.candidates + 1) if i != self.ids[place]]
        sets = [[*self.ids[:place], i, *self.ids[place + 1 :]] for i in tried[: self.settings.candidates]]
        rows = self._drawn("candidates", step)
        sets = [ids for ids, good in zip(sets, self._writable(sets, rows)) if good]
        losses = self._losses([self.ids, *sets], self._examples(rows))
        best = int(losses.argmin())
        if best == 0:
            return False
        self.ids = sets[best - 1]
        return True

    def _drawn(self, what: str, step: int) -> list[int]:
        order = numpy_random("autoprompt", self.seed, what, step).permutation(len(self.train))
        return [int(i) for i in order[: self.settings.rows]]

    def _examples(self, rows: Sequence[int]) -> list[Example]:
        found = [e for e in self.encoder.examples(rows, 0, self.purpose) if e is not None]
        if not found:
            raise InputError("autoprompt: the template skips every row of a step")
        return found

    def _gradient(self, examples: Sequence[Example]) -> Tensor:
        """Of the loss over the rows at each trigger's vector, [S, d]."""
        table = word_vectors(self.backbone, self.ids).requires_grad_()
        self.triggers.sets = table.unsqueeze(0)
        batch = self.backbone.collate(examples)
        (gradient,) = torch.autograd.grad(self._loss(self.tuner(batch), batch), table)
        return gradient

    @torch.no_grad()
    def _ranked(self, gradient: Tensor, count: int) -> list[int]:
        """The usable tokens whose vectors promise the lowest loss: largest −∇ · E."""
        parts = self.usable.split(AT_ONCE)
        scores = torch.cat([-(word_vectors(self.backbone, part.tolist()) @ gradient) for part in parts])  # [W]
        return [int(i) for i in self.usable[scores.topk(min(count, len(scores))).indices]]

    @torch.no_grad()
    def _losses(self, sets: Sequence[Sequence[int]], examples: Sequence[Example]) -> Tensor:
        """The loss over the rows with each set of triggers, several sets in one forward pass: [len(sets)]."""
        batch = self.backbone.collate(examples)
        losses: list[Tensor] = []
        for at in range(0, len(sets), self.settings.tried_at_once):
            part = sets[at : at + self.settings.tried_at_once]
            vectors = word_vectors(self.backbone, [i for ids in part for i in ids])  # [n · S, d]
            self.triggers.sets = vectors.unflatten(0, (len(part), -1))
            losses += [self._loss(log_probs, batch) for log_probs in self.tuner.member_log_probs(batch)]
        return torch.stack(losses)

    def _loss(self, log_probs: Tensor, batch: Batch) -> Tensor:
        return choice_loss(choice_scores(log_probs, batch), batch) if self.chooses else -log_probs.sum()

    # ---- back to text -----------------------------------------------------------------------------------

    def _texts(self, ids: Sequence[int]) -> list[str]:
        """A start's words may be no usable tokens: theirs is what they decode to."""
        return [self.tokens[i] if i in self.tokens else texts_of(self.backbone, [[i]])[0] for i in ids]

    def _writable(self, sets: Sequence[Sequence[int]], rows: Sequence[int]) -> list[bool]:
        """Whether each set, written as text, is read as the same ids, on the first rows."""
        prompts = [(i, prompt) for i in rows if (prompt := self.encoder.prompt(i)) is not None][:CHECKED]
        soft = self.encoder.examples([i for i, _ in prompts], 0, self.purpose)
        words = [group_words(self.layout, self._texts(ids)) for ids in sets]
        hard = self.backbone.encode_many(
            [as_text(prompt, mine) for mine in words for _, prompt in prompts],
            SlotLayout(),
            self.purpose,
            max_tokens=self.encoder.max_tokens,
        )
        count = len(prompts)
        return [
            all(a is not None and reads_the_same(a, b, ids) for a, b in zip(soft, hard[k * count : (k + 1) * count]))
            for k, ids in enumerate(sets)
        ]

    @torch.no_grad()
    def look(self) -> list[float]:
        """Validation: [accuracy, −loss] where there are choices, else [−loss]."""
        self.triggers.sets = word_vectors(self.backbone, self.ids).unsqueeze(0)
        found = [e for e in self.looking.examples(range(len(self.looked_at)), 0, self.purpose) if e is not None]
        loss = right = 0.0
        for part in cut(sorted(found, key=lambda e: -e.tokens), None, self.prepared.recipe.evaluation.batch_tokens):
            batch = self.backbone.collate(part)
            out = self.tuner(batch)
            loss += float(self._loss(out, batch))
            if self.chooses:
                labels = label_scores(choice_scores(out, batch), batch.choice_labels)
                right += float((labels.argmax(-1) == batch.gold).sum())
        return (
            [right / max(1, len(found)), -loss / max(1, len(found))] if self.chooses else [-loss / max(1, len(found))]
        )

    def candidate(self, step: int, look: Sequence[float]) -> Candidate:
        """The template with the words in it, and on how many training rows it reads otherwise than it was searched."""
        words = group_words(self.layout, self._texts(self.ids))
        jinja = filled(self.source, [words[soft.slot] for soft in self.template.slots])
        block = self.template.block().model_copy(update={"jinja": jinja})
        rows = self.train.take(range(min(CHECKED_AT_END, len(self.train))))
        plain = self._encoder(rows, Template.from_block("autoprompt", block, self.prepared.task), SlotLayout())
        every = range(len(rows))
        pairs = zip(self.encoder.examples(every, 0, self.purpose), plain.examples(every, 0, self.purpose))
        other = sum(a is not None and (b is None or not reads_the_same(a, b, self.ids)) for a, b in pairs)
        found = " |".join(words.values())
        how = f"autoprompt, step {step}:{found}; validation " + " ".join(f"{value:.3f}" for value in look)
        if other:
            how += f"; {other} of {len(rows)} training rows have other tokens as text"
        return Candidate(jinja, how, chat=self.template.chat)
