"""Candidates for label words: the words the model itself finds likeliest for a label's rows (Gao et al. 2021, §4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tunewright.errors import InputError, did_you_mean
from tunewright.prompts.template import Template
from tunewright.prompts.verbalizer import word_tuples
from tunewright.search.vocabulary import Reader
from tunewright.tasks.task import Rows, Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WordTable:
    """Words (columns) and how likely each is as the answer to each row. `ids[w]` is None for one of several tokens.

    `candidates[c]`: the columns that label c may have.
    """

    words: tuple[str, ...]
    ids: tuple[int | None, ...]
    candidates: tuple[tuple[int, ...], ...]


def given_words(task: Task, template: Template, wanted: Mapping[str, str | Sequence[str]]) -> list[tuple[str, ...]]:
    """The user's own candidates, label by label. Raises InputError for an unknown label or an empty word."""
    labels = task.labels or ()
    words = word_tuples(wanted)
    for label, found in words.items():
        if label not in labels:
            raise InputError(f"search.label_words: {label!r} is not a label{did_you_mean(label, labels)}")
        if any(not word.strip() for word in found):
            raise InputError(f"search.label_words: the label {label!r} has an empty word")
    _check_words_not_shown(task, template)
    return [words.get(label, ()) for label in labels]


def _check_words_not_shown(task: Task, template: Template) -> None:
    """A prompt that lists the label words would change with them."""
    if isinstance(template.answer_choices, str):
        raise InputError(f"template {template.name!r}: each row has words of its own, so there are none to search")
    row = task.split("train")[0]
    seen = []
    for sign in "xy":
        words = {label: (f"{sign}{i}",) for i, label in enumerate(task.labels or ())}
        prompt = replace(template, answer_choices=None, label_words=words).render(row)
        seen.append(prompt and prompt.segments)
    if seen[0] != seen[1]:
        raise InputError(
            f"template {template.name!r}: its prompt shows the label words (answer_choices), so it would change with "
            "every mapping; start from a template that does not list them"
        )


def word_table(
    reader: Reader, rows: Rows, states: Tensor, gold: NDArray[np.int64], most: int, own: Sequence[Sequence[str]]
) -> WordTable:
    """Each label's `most` likeliest whole words, by the mean of log p(word | row) over the label's rows, and its own.

    Raises InputError for a label without rows.
    """
    means = reader.means(states, gold, len(own))  # [labels, V]
    prompt = reader.prompts(rows.take([0]))[0]
    known: dict[int, bool] = {}
    words: dict[str, int | None] = {}
    candidates: list[list[str]] = []
    vocabulary = np.array(sorted(reader.words))
    for label, mine in enumerate(own):
        if not (gold == label).any():
            raise InputError(f"label {(reader.prepared.task.labels or ())[label]!r}: no training row has it")
        ranked = vocabulary[np.argsort(-means[label, vocabulary], kind="stable")].tolist()
        found: list[int] = []
        for at in range(0, len(ranked), most):
            some = [i for i in ranked[at : at + most] if i not in known]
            if some:
                good = set(reader.as_tokens(prompt, some))
                known |= {i: i in good for i in some}
            found += [i for i in ranked[at : at + most] if known[i]]
            if len(found) >= most:
                break
        words |= {reader.words[i]: i for i in found[:most]}
        candidates.append([*dict.fromkeys([*mine, *(reader.words[i] for i in found[:most])])])
    for mine in own:
        for word in mine:
            words.setdefault(word, None)
    names = tuple(words)
    place = {word: column for column, word in enumerate(names)}
    columns = tuple(tuple(place[word] for word in found) for found in candidates)
    return WordTable(names, tuple(words.values()), columns)


def word_scores(reader: Reader, rows: Rows, states: Tensor, table: WordTable) -> Floats:
    """log p of each word as the answer to each row, normalised as the recipe says: [R, W]."""
    scores = np.empty((len(rows), len(table.words)))
    single = [w for w, i in enumerate(table.ids) if i is not None]
    several = [w for w, i in enumerate(table.ids) if i is None]
    scores[:, single] = reader.log_probs(states, [i for i in table.ids if i is not None])
    if several:
        texts = [table.words[w] for w in several]
        scores[:, several] = reader.scores(rows, texts)
    way = reader.prepared.recipe.evaluation.normalisation
    if way == "byte":
        scores /= np.array([len(word.encode()) for word in table.words])
    elif way == "token" and several:
        counts = reader.tokens_of(reader.prompts(rows.take([0]))[0], [table.words[w] for w in several])
        scores[:, several] /= np.array(counts)
    return scores
