"""What the model would answer if any word were allowed: its distribution over the vocabulary at the answer."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.console import progress
from tunewright.errors import InputError
from tunewright.objectives.losses import choice_scores
from tunewright.prompts.segments import Prompt
from tunewright.runs.prepare import Prepared
from tunewright.tasks.task import Rows
from tunewright.training.batches import cut

_LETTERS = re.compile(r"[^\W\d_]{2,}")
_MARKS = ("Ġ", "▁")
_AT_ONCE = 32  # rows whose logits are made together


def whole_words(backbone: Backbone) -> dict[int, str]:
    """Tokens that are whole words of two letters or more: id → the word, as it is read.

    In a vocabulary that marks the start of words, tokens with that mark, and such without whose marked twin exists
    (they are words after a line break). In WordPiece, tokens that continue no word.
    """
    tokens = backbone.ordinary_tokens()
    spelled = set(tokens.values())
    pieces = any(token.startswith("##") for token in spelled)
    mark = max(_MARKS, key=lambda m: sum(token.startswith(m) for token in spelled))
    found = {}
    for i, token in tokens.items():
        starts = not token.startswith("##") if pieces else token.startswith(mark) or mark + token in spelled
        if starts:
            word = str(backbone.tokenizer.decode([i])).strip()
            if _LETTERS.fullmatch(word):
                found[i] = word
    return found


@dataclass
class Reader:
    """Reads rows up to the answer. `words`: the vocabulary's whole words (`whole_words`)."""

    prepared: Prepared
    words: dict[int, str]

    def prompts(self, rows: Rows) -> list[Prompt]:
        """The rows rendered. Raises InputError for one whose prompt is empty."""
        encoder = self.prepared.encoder(rows, attached=False)
        found = []
        for i, name in enumerate(rows.ids):
            prompt = encoder.prompt(i)
            if prompt is None:
                raise InputError(f"row {name}: the template gives an empty prompt")
            found.append(prompt)
        return found

    def examples(self, prompts: Sequence[Prompt], words: Sequence[str], names: Sequence[str] | None) -> list[Example]:
        """The prompts encoded with `words` as the choices."""
        asked = [replace(p, choices=tuple(words), choice_labels=tuple(range(len(words))), gold=None) for p in prompts]
        prepared = self.prepared
        limit = prepared.recipe.training.max_tokens
        return prepared.backbone.encode_many(asked, prepared.layout, "choices", max_tokens=limit, names=names)

    def as_tokens(self, prompt: Prompt, ids: Sequence[int]) -> list[int]:
        """Those of the ids that their words become when they are the answer to this prompt."""
        (example,) = self.examples([prompt], [self.words[i] for i in ids], None)
        asked: dict[int, list[int]] = {}
        for view in example.views:
            for ask in view.asks:
                asked.setdefault(ask.choice, []).append(ask.token)
        return [i for choice, i in enumerate(ids) if asked.get(choice) == [i]]

    @torch.no_grad()
    def states(self, rows: Rows) -> Tensor:
        """The states that predict the first token of the answer: [R, d]. (Masked models: of a single mask.)"""
        prompts = self.prompts(rows)
        probe = next(iter(self.as_tokens(prompts[0], list(self.words)[:500])), None)
        if probe is None:
            raise InputError("no word of the vocabulary is a token of its own at the answer's place in this template")
        examples = self.examples(prompts, [self.words[probe]], rows.ids)
        for name, example in zip(rows.ids, examples):
            if [ask.token for view in example.views for ask in view.asks] != [probe]:
                raise InputError(
                    f"row {name}: the words before the answer join it; put a space or a line break before "
                    "{{ answer }}"
                )
        tuner = self.prepared.tuner
        found: list[Tensor] = [torch.empty(0)] * len(rows)
        order = sorted(range(len(examples)), key=lambda i: -examples[i].tokens)
        with progress("reading", len(rows)) as bar:
            at = 0
            for part in cut([examples[i] for i in order], None, self.prepared.recipe.evaluation.batch_tokens):
                batch = tuner.backbone.collate(part)
                with tuner.autocast():
                    states = tuner.backbone.states(batch, None)  # [R, T, d]
                picked = states[batch.ask_row, batch.ask_position]  # [B, d]: one ask an example, in their order
                for i, state in zip(order[at : at + len(part)], picked):
                    found[i] = state
                at += len(part)
                bar.advance(len(part))
        return torch.stack(found)

    def means(self, states: Tensor, gold: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
        """Mean log probability of each token over the rows of each label: [R, d] → [labels, V]."""
        sums: NDArray[np.float64] = np.zeros((labels, 1))
        member = np.eye(labels)[gold]  # [R, labels]
        for at, log_probs in self._log_probs(states):
            sums = sums + member[at : at + len(log_probs)].T @ log_probs  # [labels, V]
        counts: NDArray[np.float64] = np.maximum(member.sum(0), 1)[:, None]
        found: NDArray[np.float64] = sums / counts
        return found

    def log_probs(self, states: Tensor, tokens: Sequence[int]) -> NDArray[np.float64]:
        """Log probability of each of the tokens: [R, d] → [R, len(tokens)]."""
        return np.concatenate([log_probs[:, list(tokens)] for _, log_probs in self._log_probs(states)])

    @torch.no_grad()
    def _log_probs(self, states: Tensor) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """(first row, log probabilities [r, V]) of a few rows at a time."""
        tuner = self.prepared.tuner
        for at in range(0, len(states), _AT_ONCE):
            with tuner.autocast():
                logits = tuner.backbone.logits(states[at : at + _AT_ONCE])  # [r, V]
            yield at, logits.float().log_softmax(-1).cpu().double().numpy()

    @torch.no_grad()
    def scores(self, rows: Rows, words: Sequence[str]) -> NDArray[np.float64]:
        """Σ log p of the words' tokens as answers: [R, W]."""
        tuner = self.prepared.tuner
        examples = self.examples(self.prompts(rows), words, rows.ids)
        found = np.empty((len(rows), len(words)))
        order = sorted(range(len(examples)), key=lambda i: -examples[i].tokens)
        at = 0
        for part in cut([examples[i] for i in order], None, self.prepared.recipe.evaluation.batch_tokens):
            batch = tuner.backbone.collate(part)
            found[order[at : at + len(part)]] = choice_scores(tuner(batch), batch).cpu().double().numpy()
            at += len(part)
        return found

    def tokens_of(self, prompt: Prompt, words: Sequence[str]) -> list[int]:
        """How many tokens each word has as the answer to this prompt."""
        (example,) = self.examples([prompt], words, None)
        counts = [0] * len(words)
        for view in example.views:
            for ask in view.asks:
                counts[ask.choice] += 1
        return counts
