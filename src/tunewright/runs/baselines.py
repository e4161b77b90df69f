"""The cheap baselines on the rows a run is asked about, learnt from the rows it was tuned on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tunewright.backbones.vectors import SentenceVectors
from tunewright.console import say
from tunewright.errors import TunewrightError
from tunewright.evaluation import baselines
from tunewright.evaluation.predictions import Prediction
from tunewright.runs.at_endpoint import Ready
from tunewright.runs.prepare import Opened, asked_rows
from tunewright.tasks.tagging import repaired, tags_to_text
from tunewright.tasks.task import Rows, Task

LOOKUP = "commonest tag of each word"
COSINE = "cosine of MiniLM vectors"
VECTORS = "MiniLM vectors + logistic regression"
TFIDF = "TF-IDF + logistic regression"


def run_baselines(
    parts: Sequence[Opened | Ready], vectors: SentenceVectors, *, several: bool
) -> tuple[dict[str, list[Prediction]], list[str]]:
    """The baselines of every task with training rows, on its own rows; `several`: the predictions name their task."""
    found: dict[str, list[Prediction]] = {}
    missing: dict[str, None] = {}
    for part in parts:
        if not len(part.task.split("train")):  # for evaluation only
            continue
        task, rows = part.task, asked_rows(part.recipe, part.task)
        used = set().union(*(template.fields_used() for template in part.templates))
        fields = [name for name in task.fields if name in used]
        ways, lacking = cheap_baselines(task, task.split("train"), rows, fields, vectors)
        missing |= dict.fromkeys(lacking)
        for label, predictions in ways.items():
            named = [replace(p, task=task.name) for p in predictions] if several else predictions
            found.setdefault(label, []).extend(named)
    return found, list(missing)


def cheap_baselines(
    task: Task, train: Rows, asked: Rows, fields: Sequence[str], vectors: SentenceVectors, seed: int = 0
) -> tuple[dict[str, list[Prediction]], list[str]]:
    """Predictions by each baseline that fits the task's kind, and what could not be measured (with the reason).

    `fields` are the fields that the template shows the model.
    """
    ways: dict[str, Callable[[], Sequence[str | float | list[str]]]] = {}
    train_texts, texts = (baselines.baseline_texts(task, rows, fields) for rows in (train, asked))
    targets = list(train.columns[task.target])
    if task.kind == "classify":
        labels = [str(target) for target in targets]
        ways["majority class"] = lambda: baselines.majority(labels, len(asked))
        ways[TFIDF] = lambda: baselines.tfidf_logreg(train_texts, labels, texts)
        ways[VECTORS] = lambda: baselines.vectors_logreg(vectors(train_texts), labels, vectors(texts))
    elif task.kind == "regress":
        ways["mean of training"] = lambda: baselines.mean_baseline(targets, len(asked))
        ways["TF-IDF + ridge regression"] = lambda: baselines.tfidf_ridge(train_texts, targets, texts)
        pair = [name for name in fields if isinstance(train.columns.get(name, [None])[0], str)]
        if len(pair) == 2:  # the vectors were made for likeness

            def both(rows: Rows) -> tuple[Any, Any]:
                first, second = (vectors(list(rows.columns[name])) for name in pair)
                return first, second

            ways[COSINE] = lambda: baselines.cosine_line(both(train), targets, both(asked))
    elif task.kind == "tag":
        words, known = asked.columns["tokens"], train.columns["tokens"]
        ways[LOOKUP] = lambda: [repaired(tags) for tags in baselines.word_lookup(known, targets, words)]
    elif task.kind == "generate":
        ways["copy the lead"] = lambda: baselines.lead_baseline(texts, [str(target) for target in targets])
    found: dict[str, list[Prediction]] = {}
    missing: list[str] = []
    for label, way in ways.items():
        try:
            answers = way()
        except TunewrightError as error:
            missing.append(f"{label} was not measured: {error}")
            say(missing[-1])
            continue
        found[label] = [_prediction(task, asked, i, answer) for i, answer in enumerate(answers)]
    return found, missing


def _prediction(task: Task, rows: Rows, index: int, answer: str | float | list[str]) -> Prediction:
    row = rows[index]
    target = row[task.target]
    references = tuple(row.get(task.references) or ()) if task.references else ()
    if isinstance(answer, list):
        tokens, gold, said = tuple(row["tokens"]), tuple(map(str, target)), tuple(map(str, answer))
        return Prediction(
            rows.ids[index], tags_to_text(tokens, said), tags_to_text(tokens, gold), tokens=tokens, gold_tags=gold,
            predicted_tags=said,
        )  # fmt: skip
    if task.kind == "generate":
        return Prediction(rows.ids[index], answer, str(target), references=references or (str(target),))
    return Prediction(rows.ids[index], answer, float(target) if task.kind == "regress" else str(target))
