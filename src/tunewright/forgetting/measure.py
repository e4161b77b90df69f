"""A battery's tasks asked of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asked, predict_all
from tunewright.evaluation.texts import look_at, noised
from tunewright.forgetting.battery import Item
from tunewright.forgetting.cache import keep, kept, key_of, weights_fingerprint
from tunewright.forgetting.subject import ASKING, Subject
from tunewright.tasks.fingerprint import fingerprint

TEXT_BATCH = 8


class _NoBar:
    """Where the work is part of another, which has a bar."""

    def advance(self, by: int = 1, note: str = "") -> None:
        """Nothing."""


@dataclass(frozen=True)
class Measured:
    """What a model said of one task: predictions of its rows, or of raw text the loss of each block (nats a token)."""

    predictions: tuple[Prediction, ...] = ()
    losses: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"predictions": [p.to_json() for p in self.predictions], "losses": list(self.losses)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Measured":
        """The inverse."""
        return cls(tuple(Prediction.from_json(line) for line in value["predictions"]), tuple(value["losses"]))


def measure(
    subject: Subject, items: Sequence[Item], blocks: int, tokens: int, *, attached: bool, title: str | None
) -> dict[str, Measured]:
    """What the model says of every item, by name: with what was tuned, or (attached=False) as it was.

    `title`: of the progress bar; None shows none, inside other work that has one.
    The answers of the model as it was are kept in the user's cache, under all that they depend on.
    """
    found: dict[str, Measured] = {}
    with subject.side(attached=attached):
        keys = {} if attached else _keys(subject, items, blocks, tokens)
        for item in items:
            if item.name in keys and (old := kept(keys[item.name])) is not None:
                found[item.name] = Measured.from_json(old)
        wanted = [item for item in items if item.name not in found]
        fresh = _ask(subject, [item for item in wanted if not item.text], attached, title)
        for item in wanted:
            if item.text:
                fresh[item.name] = _read(subject, item, blocks, tokens, attached)
    for name, one in fresh.items():
        if name in keys:
            keep(keys[name], one.to_json())
    found |= fresh
    return {item.name: found[item.name] for item in items}


def _ask(subject: Subject, items: Sequence[Item], attached: bool, title: str | None) -> dict[str, Measured]:
    if not items:
        return {}
    asked = [Asked(subject.encoder(item, attached=attached), item.task, ASKING) for item in items]
    answers = predict_all(subject.tuner, asked, title or "", _NoBar() if title is None else None)
    return {item.name: Measured(predictions=tuple(said)) for item, said in zip(items, answers)}


def _read(subject: Subject, item: Item, blocks: int, tokens: int, attached: bool) -> Measured:
    examples = noised(subject.objective(), subject.blocks(item, blocks, tokens), 0)
    if attached:
        examples = [subject.with_front(example) for example in examples]
    return Measured(losses=tuple(look_at(subject.tuner, examples, TEXT_BATCH).losses))


def _keys(subject: Subject, items: Sequence[Item], blocks: int, tokens: int) -> dict[str, str]:
    tuner, backbone = subject.tuner, subject.backbone
    whole = {
        "weights": weights_fingerprint(backbone), "family": backbone.family, "precision": tuner.precision,
        "plain": backbone.plain, "asking": asdict(ASKING), "max_tokens": subject.max_tokens,
    }  # fmt: skip
    return {item.name: key_of({**whole, **_what(subject, item, blocks, tokens)}) for item in items}


def _what(subject: Subject, item: Item, blocks: int, tokens: int) -> dict[str, Any]:
    """What is asked of the model."""
    if item.text:
        return {"blocks": subject.blocks(item, blocks, tokens)}
    task = item.task
    return {
        "rows": fingerprint(item.rows),
        "ids": list(item.rows.ids),
        "task": [task.name, task.kind, task.target, task.references, task.labels, task.numbers],
        "words": dict(task.label_words),
        "templates": [template.block().model_dump() for template in item.templates],
    }
