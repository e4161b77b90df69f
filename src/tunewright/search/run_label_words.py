"""`tunewright search label-words`: the words that stand for the labels (Gao, Fisch and Chen 2021, §4)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewright.backbones.base import Backbone
from tunewright.console import say
from tunewright.errors import InputError
from tunewright.evaluation.intervals import interval_of_mean
from tunewright.files import read_json, write_json
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.board import Place, board
from tunewright.search.journal import Journal
from tunewright.search.label_words import WordTable, given_words, word_scores, word_table
from tunewright.search.mappings import Floats, best_mappings, extended, measured
from tunewright.search.prepare import prepare_search, training_rows
from tunewright.search.recipe import LabelWordSearch
from tunewright.search.results import Found, write_found
from tunewright.search.run import claim
from tunewright.search.vocabulary import Reader, whole_words
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import Rows
from tunewright.training.loop import Interrupted

_WORDS = "words.json"


def search_label_words(
    search: LabelWordSearch,
    folder: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    backbone: Backbone | None = None,
) -> Found:
    """Candidates and mappings from the training rows, the best mappings scored on validation rows, the winners written.

    `words.json` keeps what the training rows gave, `candidates.jsonl` a line for each mapping scored.
    Raises InputError, MachineError, or Interrupted (what was found is kept).
    """
    prepared = prepare_search(search, backbone)
    assert isinstance(prepared, Prepared)  # the recipe lets no model behind an API through
    if len(prepared.templates) > 1:
        raise InputError("template: label words are searched for one template, found several")
    template, task, block = prepared.templates[0], prepared.task, search.search
    own = given_words(task, template, block.label_words)
    reader = Reader(prepared, whole_words(prepared.backbone))
    journal = claim(search, prepared, folder, resume, overwrite)
    try:
        if not (folder / _WORDS).is_file():
            write_json(folder / _WORDS, _from_training(reader, training_rows(prepared, block.rows), search, own))
        trained = read_json(folder / _WORDS)
        _on_validation(reader, prepared.validation(), trained, journal, block.keep)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; what was found is kept, --resume goes on: {folder}") from None
    places = [_place(line, trained["mappings"][line["mapping"]]) for line in journal.lines]
    places.sort(key=lambda p: (-p["score"]["value"], -p["likelihood"], -p["train"]["accuracy"]))
    facts = {
        "search": "label-words",
        "model": search.model,
        "task": task.name,
        "by": "validation",
        "rows": len(prepared.validation()),
        "candidates": len(places),
        "exact": trained["exact"],
        "refused": [],
    }
    found = Found(folder, "accuracy", [{"rank": rank, **place} for rank, place in enumerate(places, 1)], facts)
    about = f"label words searched for {task.name} with {search.model}; ranked by accuracy on validation"
    write_found(found, [_block(template, place["label_words"]) for place in places[: block.keep]], about)
    return found


def _gold(prepared: Prepared, rows: Rows) -> NDArray[np.int64]:
    labels = prepared.task.labels or ()
    return np.array([labels.index(label) for label in rows.columns[prepared.task.target]])


def _from_training(reader: Reader, rows: Rows, search: LabelWordSearch, own: list[tuple[str, ...]]) -> dict[str, Any]:
    """Candidates of each label and the best mappings on the training rows, as plain values."""
    prepared, block = reader.prepared, search.search
    gold, labels = _gold(prepared, rows), prepared.task.labels or ()
    states = reader.states(rows)
    table = word_table(reader, rows, states, gold, block.words, own)
    scores = word_scores(reader, rows, states, table)
    mappings, exact = best_mappings(scores, table.candidates, gold, block.mappings)
    if not mappings:
        raise InputError("no mapping gives each label a word of its own; ask for more words (search.words)")
    if not exact:
        say("label words: too many products to try all; partial mappings were cut to the best ones")
    if block.per_label > 1:
        mappings = [extended(scores, found, table.candidates, gold, block.per_label) for found in mappings]
        mappings = list({frozenset(map(frozenset, found.words)): found for found in mappings}.values())
    return {
        "words": list(table.words),
        "ids": list(table.ids),
        "candidates": {label: [table.words[w] for w in own_] for label, own_ in zip(labels, table.candidates)},
        "exact": exact,
        "rows": len(rows),
        "mappings": [
            {
                "label_words": {label: [table.words[w] for w in own_] for label, own_ in zip(labels, found.words)},
                "accuracy": found.accuracy,
                "likelihood": found.likelihood,
            }
            for found in mappings
        ],
    }


def _on_validation(reader: Reader, rows: Rows, trained: dict[str, Any], journal: Journal, keep: int) -> None:
    """Score the mappings on validation rows; every row is read once for all words. Done ones are left out."""
    done = {line["mapping"] for line in journal.lines}
    mappings = trained["mappings"]
    missing = [number for number in range(len(mappings)) if number not in done]
    if not missing:
        return
    used = {word for found in mappings for own in found["label_words"].values() for word in own}
    kept = [(word, i) for word, i in zip(trained["words"], trained["ids"]) if word in used]
    table = WordTable(tuple(word for word, _ in kept), tuple(i for _, i in kept), ())
    scores: Floats = word_scores(reader, rows, reader.states(rows), table)
    place, gold = {word: column for column, word in enumerate(table.words)}, _gold(reader.prepared, rows)
    with board("mappings", len(mappings)) as shown:
        for count, number in enumerate(missing, len(done) + 1):
            found = mappings[number]["label_words"]
            right, likelihood = measured(scores, [[place[word] for word in own] for own in found.values()], gold)
            line = {"mapping": number, "score": right.astype(float).tolist(), "likelihood": likelihood.tolist()}
            journal.add(line)
            best = sorted(journal.lines, key=lambda line: (-np.mean(line["score"]), -np.mean(line["likelihood"])))
            shown.update(count, [_shown(line, mappings[line["mapping"]]) for line in best[:keep]])


def _shown(line: dict[str, Any], mapping: dict[str, Any]) -> Place:
    words = " / ".join(", ".join(own) for own in mapping["label_words"].values())
    return Place(float(np.mean(line["score"])), len(line["score"]), f"train {mapping['accuracy']:.3f}", words)


def _place(line: dict[str, Any], mapping: dict[str, Any]) -> dict[str, Any]:
    return {
        "score": interval_of_mean(line["score"], (0.0, 1.0)).to_json(),
        "rows": len(line["score"]),
        "likelihood": float(np.mean(line["likelihood"])),
        "train": {"accuracy": mapping["accuracy"], "likelihood": mapping["likelihood"]},
        "how": f"train {mapping['accuracy']:.3f}",
        "label_words": mapping["label_words"],
    }


def _block(template: Template, words: dict[str, list[str]]) -> TemplateBlock:
    """The template with these words; one word a label is written as `answer_choices`."""
    base = template.block().model_copy(update={"answer_choices": None, "label_words": None})
    if all(len(own) == 1 for own in words.values()):
        return base.model_copy(update={"answer_choices": [own[0] for own in words.values()]})
    return base.model_copy(update={"label_words": words})
