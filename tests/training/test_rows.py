"""Rows to examples: which template, what is counted, what is remembered."""

import math
from collections import Counter

import pytest
from tiny import tiny_backbone, tiny_prepared, tiny_task, words

from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.resolve import choose_templates
from tunewright.tasks.task import Rows
from tunewright.training.rows import RowEncoder

TEMPLATES = ["one: {{ text }} {{ answer }}", "two: {{ text }} {{ answer }}"]


def encoder_of(templates: list[str], rows: Rows | None = None, max_tokens: int = 512, seed: int = 0) -> RowEncoder:
    task = tiny_task("classify")
    return RowEncoder(
        rows if rows is not None else task.split("train"),
        choose_templates(task, templates),
        tiny_backbone("llama"),
        SlotLayout(),
        max_tokens,
        seed,
        lambda prompt: prompt,
    )


def openings(encoder: RowEncoder, epoch: int) -> list[str]:
    found = encoder.examples(range(24), epoch, "pool")
    return [words(encoder.backbone, e.views[0].ids).split(" :")[0].replace(" ", "") for e in found if e is not None]


def test_each_row_draws_a_template_anew_each_epoch() -> None:
    encoder = encoder_of(TEMPLATES)
    first, second = openings(encoder, 0), openings(encoder, 1)
    assert set(first) == {"one", "two"} and first != second
    assert (first, second) == (openings(encoder_of(TEMPLATES), 0), openings(encoder_of(TEMPLATES), 1))
    assert first != openings(encoder_of(TEMPLATES, seed=1), 0)


def test_a_rows_prompt_is_the_one_that_was_encoded() -> None:
    encoder = encoder_of(TEMPLATES)
    for epoch in (0, 1):
        prompts = [encoder.prompt(index, epoch) for index in range(24)]
        assert [prompt.text()[:3] for prompt in prompts if prompt] == openings(encoder, epoch)


def test_a_row_that_a_template_cannot_read_is_named() -> None:
    encoder = encoder_of(["{{ text.missing }} {{ answer }}"])
    name = encoder.rows.ids[2]
    with pytest.raises(InputError, match=rf"^row {name}: template 'inline' of task 'tiny-classify' line 1: .*missing"):
        encoder.prompt(2)


def test_blank_rows_are_skipped_and_counted_once() -> None:
    task = tiny_task("classify")
    rows = task.split("train").take(range(3))
    rows = Rows({**rows.columns, "text": ["the cat", "  ", "a dog"]}, rows.ids)
    encoder = encoder_of([TEMPLATES[0]], rows)
    for purpose in ("answer", "answer", "pool", "choices"):
        found = encoder.examples(range(3), 0, purpose)  # type: ignore[arg-type]
        assert [example is None for example in found] == [False, True, False]
    assert encoder.counts == Counter(skipped=1)
    assert encoder.prompt(1) is None


def test_shortened_rows_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the rows are too many to be remembered."""
    monkeypatch.setattr("tunewright.training.rows.KEEP_ROWS", 0)
    encoder = encoder_of([TEMPLATES[0]], max_tokens=8)
    for epoch in range(3):
        encoder.examples(range(24), epoch, "answer")
    assert encoder.counts == Counter(shortened=24)


def test_an_example_is_remembered() -> None:
    encoder = encoder_of([TEMPLATES[0]])
    first = encoder.examples([3, 4], 0, "answer")
    assert encoder.examples([4, 3], 7, "answer") == [first[1], first[0]]
    assert encoder.examples([3], 0, "pool") != [first[0]]


def test_the_row_is_named_in_an_error() -> None:
    with pytest.raises(InputError, match=r"row train-2: .* tokens where the limit is 8, and only"):
        encoder_of(["sport money weather team goal match: {{ text }} {{ answer }}"], max_tokens=8).examples(
            [2], 0, "pool"
        )


def test_numbers_go_with_the_example() -> None:
    prepared = tiny_prepared("head", "bert", "regress")
    train = prepared.task.split("train")
    found = prepared.encoder(train).examples(range(3), 0, "pool")
    standard = {0.0: -math.sqrt(1.5), 1.0: 0.0, 2.0: math.sqrt(1.5)}  # mean 1, variance 2/3
    wanted = [standard[score] for score in train.columns["score"][:3]]
    assert [e.number for e in found if e is not None] == pytest.approx(wanted)
    (example,) = prepared.encoder(Rows({"text": ["the cat"]}, ["new-0"])).examples([0], 0, "pool")
    assert example is not None and math.isnan(example.number)
