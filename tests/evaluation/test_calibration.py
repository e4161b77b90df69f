"""Calibrated scores against the formulas of the papers, on the three families."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import exp, log
from typing import Any

import pytest
import torch
from tiny import tiny_prepared
from torch import Tensor

from tunewright.errors import InputError
from tunewright.evaluation.calibration import calibrated, contextual, pmi
from tunewright.evaluation.predictions import Prediction
from tunewright.evaluation.scoring import Asking, predict
from tunewright.runs.prepare import Prepared
from tunewright.tasks.task import Rows

FAMILIES = ("llama", "t5-untied", "bert")
PLAIN = "review: {{ text }}. topic:{{ ' ' }}{{ answer }}"
EMPTY = "review: . topic:{{ ' ' }}{{ answer }}"
DOMAIN = ". topic:{{ ' ' }}{{ answer }}"


def logs(*values: float) -> Tensor:
    return torch.tensor([log(value) for value in values], dtype=torch.float64)


def ask(prepared: Prepared, rows: Rows | None = None, **asking: Any) -> list[Prediction]:
    rows = rows if rows is not None else prepared.task.split("test")
    return predict(prepared.tuner, prepared.encoder(rows), prepared.task, Asking(**asking))


def scores(prepared: Prepared, text: str, **asking: Any) -> list[float]:
    (found,) = ask(prepared, Rows({"text": [text]}, ["probe"]), **asking)
    assert found.scores is not None
    return list(found.scores)


def shares(values: Sequence[float]) -> list[float]:
    total = sum(exp(value) for value in values)
    return [exp(value) / total for value in values]


@contextmanager
def rows_read(prepared: Prepared) -> Iterator[list[int]]:
    """The rows of each forward pass."""
    seen: list[int] = []
    plain = prepared.backbone.embed

    def embed(ids: Tensor, soft: Tensor, table: Tensor | None) -> Tensor:
        seen.append(len(ids))
        return plain(ids, soft, table)

    prepared.backbone.embed = embed  # type: ignore[method-assign]
    yield seen
    del prepared.backbone.embed  # type: ignore[attr-defined]


def test_contextual_calibration_flips_an_answer() -> None:
    """p = (.6, .4) is nearer to the second label than p_cf = (.8, .2): .6/.8 = .75, .4/.2 = 2."""
    free = [logs(0.9, 0.1), logs(0.8, 0.2) + 7, logs(0.7, 0.3) - 2]  # only the shares count
    found = contextual(logs(0.6, 0.4) - 5, free)
    assert found.exp().tolist() == pytest.approx([0.75, 2.0])
    assert torch.allclose(calibrated(logs(0.6, 0.4)[None], [f[None] for f in free], "contextual"), found[None])


def test_pmi_flips_an_answer() -> None:
    assert pmi(logs(0.03, 0.02), logs(0.3, 0.1)).exp().tolist() == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("normalisation", ["none", "token", "byte"])
@pytest.mark.parametrize("arch", FAMILIES)
def test_contextual_calibration_is_the_papers_formula(arch: str, normalisation: str) -> None:
    prepared = tiny_prepared("none", arch, template=PLAIN)
    empty = tiny_prepared("none", arch, template=EMPTY)
    free = [scores(one, text, normalisation=normalisation) for one, text in
            [(prepared, "N/A"), (prepared, "[MASK]"), (empty, "unread")]]  # fmt: skip
    mean = [sum(column) / 3 for column in zip(*(shares(f) for f in free))]
    plain = ask(prepared, normalisation=normalisation)
    found = ask(prepared, normalisation=normalisation, calibration="contextual")
    for before, after in zip(plain, found, strict=True):
        assert before.scores is not None and after.scores is not None
        expected = [log(p / q) for p, q in zip(shares(before.scores), mean)]
        assert after.scores == pytest.approx(expected, abs=1e-4)
        assert after.prediction == after.choices[expected.index(max(expected))]
        assert (after.id, after.target, after.prompt) == (before.id, before.target, before.prompt)
    assert [p.scores for p in plain] != [p.scores for p in found]


@pytest.mark.parametrize("normalisation", ["none", "byte"])
@pytest.mark.parametrize("arch", FAMILIES)
def test_pmi_is_the_papers_formula(arch: str, normalisation: str) -> None:
    prepared = tiny_prepared("none", arch, template=PLAIN)
    domain = scores(tiny_prepared("none", arch, template=DOMAIN), "unread", normalisation=normalisation)
    plain = ask(prepared, normalisation=normalisation)
    found = ask(prepared, normalisation=normalisation, calibration="pmi")
    for before, after in zip(plain, found, strict=True):
        assert before.scores is not None and after.scores is not None
        assert after.scores == pytest.approx([s - d for s, d in zip(before.scores, domain)], abs=1e-4)


@pytest.mark.parametrize("arch", FAMILIES)
def test_soft_slots_stay_in_what_is_compared(arch: str) -> None:
    method = {"name": "prompt-tuning", "length": 3, "placement": "front"}
    prepared, domain = (tiny_prepared(method, arch, template=template) for template in (PLAIN, DOMAIN))
    table = torch.randn(3, 32, generator=torch.Generator().manual_seed(1))
    for one in (prepared, domain):
        (parameter,) = one.tuner.tunable.trained().values()
        parameter.data.copy_(table)
    unread = scores(domain, "unread")
    for before, after in zip(ask(prepared), ask(prepared, calibration="pmi"), strict=True):
        assert before.scores is not None and after.scores is not None
        assert after.scores == pytest.approx([s - d for s, d in zip(before.scores, unread)], abs=1e-4)


@pytest.mark.parametrize("arch", FAMILIES)
def test_in_context_examples_stay_in_what_is_compared(arch: str) -> None:
    method = {"name": "in-context", "examples": 2, "separator": " ; "}
    prepared = tiny_prepared(method, arch, template=PLAIN)
    shown = prepared.encoder(prepared.task.split("test")).prompt(0)
    assert shown is not None and len(shown.demonstrations) == 2
    before = shown.text()[: shown.text().rindex("review:")]  # the examples, the same for all rows
    assert before.count("review:") == 2 and before.endswith(" ; ")
    domain = scores(tiny_prepared("none", arch, template=before + DOMAIN), "unread")
    for plain, found in zip(ask(prepared), ask(prepared, calibration="pmi"), strict=True):
        assert plain.scores is not None and found.scores is not None
        assert found.scores == pytest.approx([s - d for s, d in zip(plain.scores, domain)], abs=1e-4)


def test_each_member_that_votes_is_calibrated_by_itself() -> None:
    method = {"name": "prompt-tuning", "length": 2, "ensemble": 3, "vote": "majority"}
    prepared = tiny_prepared(method, "llama", template=PLAIN)
    (parameter,) = prepared.tuner.tunable.trained().values()
    parameter.data.normal_(generator=torch.Generator().manual_seed(2))
    encoder = prepared.encoder(prepared.task.split("test"))
    rows = [e for e in encoder.examples(range(6), 0, "choices") if e is not None]
    unread = tiny_prepared(method, "llama", template=DOMAIN).encoder(Rows({"text": ["unread"]}, ["probe"]))
    (domain,) = unread.examples([0], 0, "choices")
    assert domain is not None
    # The domain prompt holds no field, so its slots stand at the front, as in the other template's own encoding.
    batch = prepared.backbone.collate([*rows, domain])
    with torch.no_grad():
        found = prepared.tuner.member_log_probs(batch)  # [3, 7 · 3]: every choice has one token
    assert len(found[0]) == 21
    members = found.view(3, 7, 3)
    votes = (members[:, :6] - members[:, 6:]).argmax(-1)  # [3, 6]
    for i, prediction in enumerate(ask(prepared, calibration="pmi")):
        assert prediction.scores is not None
        cast = [int((votes[:, i] == label).sum()) for label in range(3)]
        assert [int(exp(score) * 4) for score in prediction.scores] == cast  # (votes + mean) / 4


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_rows_own_choices_stay(arch: str) -> None:
    """Rows with other options have another content-free input; those with the same share it."""
    prepared = tiny_prepared("none", arch, "choose", template="{{ text }} of {{ choices | join(', ') }}: {{ answer }}")
    options = [["sport", "money"], ["weather", "rain", "snow"], ["sport", "money"]]
    texts = ["the sea and the team", "a day and the wind", "the dog and the bank"]
    rows = Rows({"text": texts, "choices": options}, ["a", "b", "c"])
    plain, found = ask(prepared, rows), ask(prepared, rows, calibration="contextual")
    for i, (before, after) in enumerate(zip(plain, found, strict=True)):
        assert before.scores is not None and after.scores is not None
        assert after.choices == tuple(options[i]) and len(after.scores) == len(options[i])
        free = []
        template = "{{ text }} of {{ choices | join(', ') }}: {{ answer }}"
        for probe in ("N/A", "[MASK]", None):
            one = template if probe else template.removeprefix("{{ text }}")
            alone = tiny_prepared("none", arch, "choose", template=one)
            (read,) = ask(alone, Rows({"text": [probe or "unread"], "choices": [options[i]]}, ["probe"]))
            assert read.scores is not None
            free.append(shares(read.scores))
        mean = [sum(column) / 3 for column in zip(*free)]
        assert after.scores == pytest.approx([log(p / q) for p, q in zip(shares(before.scores), mean)], abs=1e-4)
    with rows_read(prepared) as seen:
        ask(prepared, rows, calibration="pmi")
    if arch == "llama":  # one view a row, its choices behind it: three rows and two sets of choices
        assert sum(seen) == 5


def test_content_free_prompts_are_read_once_a_template() -> None:
    prepared = tiny_prepared("none", "llama", template=PLAIN)
    with rows_read(prepared) as seen:
        ask(prepared)
    plain = sum(seen)
    with rows_read(prepared) as seen:
        ask(prepared, calibration="contextual")
    assert (plain, sum(seen)) == (6, 9)


def test_equal_prompts_are_read_once_whatever_row_they_come_from() -> None:
    prepared = tiny_prepared("none", "llama", template=[PLAIN, "{{ text }}: {{ answer }}"])
    test = prepared.task.split("test")
    twice = Rows({k: [*v, *v] for k, v in test.columns.items()}, [*test.ids, *(f"{name}-again" for name in test.ids)])
    with rows_read(prepared) as seen:
        found = ask(prepared, twice, ensemble="mean")
    assert sum(seen) == 12  # six texts in two templates
    assert [p.id for p in found] == list(twice.ids)
    assert [p.scores for p in found[:6]] == [p.scores for p in found[6:]]
    writing = tiny_prepared("none", "t5", "generate")
    test = writing.task.split("test")
    rows = Rows({k: [v[0]] * 5 for k, v in test.columns.items()}, list("abcde"))
    with rows_read(writing) as seen:
        texts = ask(writing, rows, max_new_tokens=3)
    assert sum(seen) == 1 and len({p.prediction for p in texts}) == 1 and len(texts) == 5


def test_rows_that_ask_for_other_words_are_not_equal() -> None:
    """The same text with other choices is another question."""
    prepared = tiny_prepared("none", "llama", "choose", template="{{ text }}: {{ answer }}")
    rows = Rows({"text": ["the sea"] * 2, "choices": [["sport", "money"], ["money", "sport"]]}, ["a", "b"])
    first, second = ask(prepared, rows)
    assert first.scores is not None and second.scores is not None
    assert first.scores == pytest.approx(second.scores[::-1], abs=1e-5) and first.choices == second.choices[::-1]


def test_pmi_needs_words_of_the_template() -> None:
    prepared = tiny_prepared("none", "llama", template="{{ text }} {{ answer }}")
    with pytest.raises(
        InputError,
        match=r"evaluation\.calibration pmi: row test-0: the prompt has no tokens before the answer; pmi wants words",
    ):
        ask(prepared, calibration="pmi")
