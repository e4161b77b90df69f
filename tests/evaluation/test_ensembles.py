"""Several templates' answers put together: formulas, then every family's predictions."""

from dataclasses import replace
from math import exp, log
from typing import Any

import pytest
import torch
from tiny import tiny_prepared
from torch import Tensor

from tunewright.evaluation.ensembles import Ensemble, combined
from tunewright.evaluation.scoring import Asking, predict
from tunewright.runs.prepare import Prepared
from tunewright.tasks.task import Rows

TEMPLATES = [
    "review: {{ text }}. topic:{{ ' ' }}{{ answer }}",
    "{{ text }}: {{ answer }}",
    "{% if 'sea' not in text %}topic of {{ text }}? {{ answer }}{% endif %}",  # skips some rows
]
WEIGHTS = (0.5, 0.25, 0.75)


def logs(*values: float) -> Tensor:
    return torch.tensor([log(value) for value in values], dtype=torch.float64)


THREE = [logs(0.6, 0.3, 0.1) + 3, logs(0.3, 0.6, 0.1), logs(0.1, 0.5, 0.4)]


@pytest.mark.parametrize(
    ("how", "weights", "expected"),
    [
        ("mean", (), [1 / 3, 1.4 / 3, 0.6 / 3]),
        ("weighted", (3.0, 1.0, 0.0), [2.1 / 4, 1.5 / 4, 0.4 / 4]),
        ("weighted", (0.0, 0.0, 0.0), [1 / 3, 1.4 / 3, 0.6 / 3]),
        ("vote", (), [(1 + 1 / 3) / 4, (2 + 1.4 / 3) / 4, (0 + 0.6 / 3) / 4]),
    ],
)
def test_three_templates(how: Ensemble, weights: tuple[float, ...], expected: list[float]) -> None:
    assert combined(THREE, how, weights).exp().tolist() == pytest.approx(expected)


def test_a_tied_vote_goes_to_the_larger_mean() -> None:
    tied = [logs(0.9, 0.1), logs(0.4, 0.6)]
    assert combined(tied, "vote").argmax() == 0 and combined([logs(0.6, 0.4), logs(0.1, 0.9)], "vote").argmax() == 1


def shares(values: tuple[float, ...] | None) -> list[float]:
    assert values is not None
    total = sum(exp(value) for value in values)
    return [exp(value) / total for value in values]


def ask(prepared: Prepared, **asking: Any) -> dict[str, Any]:
    test = prepared.task.split("test")
    texts = ["the sea and the rain", *test.columns["text"][1:]]
    rows = Rows({**test.columns, "text": texts}, test.ids)
    encoder = prepared.encoder(rows)
    found = {p.id: p for p in predict(prepared.tuner, encoder, prepared.task, Asking(**asking))}
    return {**found, "skipped": encoder.counts["skipped"]}


@pytest.mark.parametrize("calibration", ["none", "contextual"])
@pytest.mark.parametrize(
    ("arch", "method"), [("llama", "none"), ("t5-untied", "none"), ("bert", "none"), ("bert", "head")]
)
def test_every_row_is_asked_with_every_template(arch: str, method: str, calibration: str) -> None:
    prepared = tiny_prepared(method, arch, template=TEMPLATES)
    alone = []
    for k in range(3):
        single = replace(prepared, templates=[prepared.templates[k]])
        alone.append(ask(single, calibration=calibration))
    assert alone[2]["skipped"] > 0
    for how in ("mean", "weighted", "vote"):
        weights = WEIGHTS if how == "weighted" else ()
        found = ask(prepared, ensemble=how, weights=weights, calibration=calibration)
        assert found.pop("skipped") == 0  # another template has read the row
        assert list(found) == [f"test-{i}" for i in range(6)]
        for name, prediction in found.items():
            said = [(WEIGHTS[k], shares(one[name].scores)) for k, one in enumerate(alone) if name in one]
            if how == "vote":
                votes = [sum(p.index(max(p)) == label for _, p in said) for label in range(3)]
                means = [sum(p[label] for _, p in said) / len(said) for label in range(3)]
                expected = [(v + m) / (len(said) + 1) for v, m in zip(votes, means)]
            else:
                weight = [w if how == "weighted" else 1.0 for w, _ in said]
                expected = [sum(w * p[i] for w, (_, p) in zip(weight, said)) / sum(weight) for i in range(3)]
            assert [exp(score) for score in prediction.scores] == pytest.approx(expected, abs=1e-4)
            assert prediction.prediction == prediction.choices[expected.index(max(expected))]
        assert found["test-1"].prompt.startswith("review: ")


def test_far_apart_scores_stay_finite() -> None:
    """A label that all templates rule out by 200 nats: its probability is no fp32 number, its logarithm is."""
    far = [torch.tensor([0.0, -200.0]), torch.tensor([0.0, -204.0])]
    for how, weights in (("mean", ()), ("weighted", (0.5, 0.5))):
        found = combined(far, how, weights)  # type: ignore[arg-type]
        assert found[0] == 0.0 and found[1] == pytest.approx(-200.0 + log((1 + exp(-4)) / 2))
