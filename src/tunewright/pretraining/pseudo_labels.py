"""Pseudo labels: what a tuned model says about rows without labels, where it is sure of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewright.console import Bar, progress
from tunewright.errors import InputError
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import Prepared
from tunewright.runs.probabilities import Probabilities, confident, label_probabilities
from tunewright.tasks.task import Rows


@dataclass(frozen=True)
class Labeller:
    """A finished run that classifies. `labels` are its task's, in order."""

    prepared: Prepared
    where: str

    @classmethod
    def load(cls, run: Path) -> "Labeller":
        """From a run's folder. Raises InputError where there is none, or its task has no labels."""
        prepared = load_kept(run)
        if len(prepared.parts) > 1:
            raise InputError(f"{run}: tuned on {len(prepared.parts)} tasks; to label rows, one is wanted")
        if prepared.task.kind != "classify":
            raise InputError(f"{run}: tuned on a task of kind {prepared.task.kind}; to label rows, classify is wanted")
        return cls(prepared, str(run))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it tells apart."""
        assert self.prepared.task.labels is not None
        return self.prepared.task.labels

    @property
    def field(self) -> str:
        """The one field that its templates show. Raises InputError where there are several."""
        used = sorted(set().union(*(template.fields_used() for template in self.prepared.templates)))
        if len(used) != 1:
            raise InputError(
                f"{self.where}: its template shows {', '.join(used) or 'no field'}; one field of text wanted"
            )
        return used[0]

    def ask(self, rows: Rows, bar: Bar) -> Iterator[Probabilities | None]:
        """Each row's probability of each label, None where the template has nothing to ask; a chunk at a time."""
        return label_probabilities(self.prepared, rows, bar)

    def ask_texts(self, texts: Sequence[str], bar: Bar) -> Iterator[Probabilities | None]:
        """The same for bare texts."""
        return self.ask(Rows({self.field: texts}, [f"text {i + 1}" for i in range(len(texts))]), bar)


def pseudo_labels(run: Path, texts: Sequence[str], threshold: float = 0.9) -> list[dict[str, Any]]:
    """The texts that the run is sure about: `{"text", "label", "confidence"}`, in order."""
    labeller = Labeller.load(run)
    rows = []
    with progress("labelling", len(texts)) as bar:
        for text, probabilities in zip(texts, labeller.ask_texts(texts, bar)):
            if (found := confident(labeller.labels, probabilities, threshold)) is not None:
                rows.append({"text": text, "label": found[0], "confidence": found[1]})
    return rows
