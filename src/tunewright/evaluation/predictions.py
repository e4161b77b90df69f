"""One test row after the model has answered: what `predictions.jsonl` holds a line of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.errors import InputError


@dataclass(frozen=True)
class Prediction:
    """What was asked, what the model said and what would have been right.

    `prediction` and `target` are a label's name, a text or a number. `references` are all right answers of a
    generation (empty: `target` alone). `scores` belong to `choices`. The tag fields have one entry per token.
    `task` is given in runs of several tasks, whose rows may have the same ids.
    """

    id: str
    prediction: str | float
    target: str | float
    prompt: str = ""
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    scores: tuple[float, ...] | None = None
    tokens: tuple[str, ...] | None = None
    gold_tags: tuple[str, ...] | None = None
    predicted_tags: tuple[str, ...] | None = None
    task: str = ""

    def to_json(self) -> dict[str, Any]:
        """The line of `predictions.jsonl`; what is empty is left out."""
        value: dict[str, Any] = {"task": self.task} if self.task else {}
        value |= {"id": self.id, "prediction": self.prediction, "target": self.target}
        if self.prompt:
            value["prompt"] = self.prompt
        for name in _LISTS:
            if found := getattr(self, name):
                value[name] = list(found)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str = "predictions.jsonl") -> "Prediction":
        """Read one line back; InputError names `where` and the key that is missing."""
        for key in ("id", "prediction", "target"):
            if key not in value:
                raise InputError(f"{where}: key {key!r} is missing in a prediction")
        lists = {name: tuple(value[name]) for name in _LISTS if value.get(name)}
        return cls(
            id=str(value["id"]),
            prediction=value["prediction"],
            target=value["target"],
            prompt=str(value.get("prompt", "")),
            task=str(value.get("task", "")),
            **lists,
        )


def of_task(predictions: Sequence[Prediction], task: str) -> list[Prediction]:
    """Those of one task; in a run of one task, all."""
    return [p for p in predictions if p.task in ("", task)]


_LISTS = ("references", "choices", "scores", "tokens", "gold_tags", "predicted_tags")
