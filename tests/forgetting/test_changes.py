"""What a battery says of answers made by hand."""

import math
from dataclasses import replace

import pytest
from tiny_tasks import tiny_task

from tunewright.evaluation.predictions import Prediction
from tunewright.forgetting.battery import Item
from tunewright.forgetting.changes import changes, mean_change, mean_score
from tunewright.forgetting.measure import Measured
from tunewright.runs.remedies import pick_alpha


def item(kind, name, text=False):
    task = replace(tiny_task(kind), name=name)
    return Item(task, task.split("test"), (), text)


def said(*answers):
    return Measured(predictions=tuple(Prediction(f"r{i}", a, "yes") for i, a in enumerate(answers)))


def test_lost_gained_and_cannot_tell():
    items = [item("classify", name) for name in ("lost", "gained", "same", "little")]
    right, wrong = ["yes"] * 20, ["no"] * 20
    before = {"lost": said(*right), "gained": said(*wrong), "same": said(*right), "little": said(*right)}
    after = {"lost": said(*wrong), "gained": said(*right), "same": said(*right), "little": said("no", *right[1:])}
    found = {one.task: one for one in changes(items, before, after, [])}
    assert {name: one.verdict for name, one in found.items()} == {
        "lost": "lost", "gained": "gained", "same": "no answer changed", "little": "can't tell",
    }  # fmt: skip
    assert found["lost"].change.value == -1.0 and found["little"].change.value == pytest.approx(-0.05)
    # McNemar: 20 rows changed one way; Holm over four tasks.
    assert found["lost"].p == pytest.approx(2 * 0.5**20) and found["lost"].p_holm == pytest.approx(4 * 2 * 0.5**20)
    mean, tasks = mean_change(list(found.values()))
    assert mean.value == pytest.approx((-1 + 1 + 0 - 0.05) / 4) and tasks == 4


def test_the_task_tuned_on_is_no_part_of_what_was_forgotten():
    items = [item("classify", "mine"), item("classify", "other")]
    before = {"mine": said(*["no"] * 20), "other": said(*["yes"] * 20)}
    after = {"mine": said(*["yes"] * 20), "other": said(*["no"] * 20)}
    mine, other = changes(items, before, after, ["mine"])
    assert mine.tuned and mine.p_holm is None and mine.verdict == "gained"
    assert other.p_holm == other.p
    assert mean_change([mine, other])[0].value == -1.0


def test_a_text_changes_by_the_factor_of_its_perplexity():
    text = item("generate", "text", text=True)
    before = {"text": Measured(losses=(1.0, 2.0, 3.0, 1.5))}
    after = {"text": Measured(losses=(1.2, 2.25, 3.2, 1.72))}
    [one] = changes([text], before, after, [])
    assert one.change.value == pytest.approx(math.exp((0.2 + 0.25 + 0.2 + 0.22) / 4))
    assert one.before.value == pytest.approx(math.exp(7.5 / 4))
    assert one.verdict == "lost" and one.gain < 0
    assert mean_change([one]) is None


def test_mean_score_leaves_text_and_errors_out():
    items = [item("classify", "a"), item("classify", "b"), item("regress", "c"), item("generate", "t", text=True)]
    measured = {"a": said("yes", "no"), "b": said("yes", "yes")}
    assert mean_score(items, measured) == 0.75
    with pytest.raises(ValueError, match="no task"):
        mean_score(items[2:], measured)


def test_alpha_is_picked_by_the_battery_among_those_that_keep_the_gain():
    curve = [(0.0, 0.2, 0.9), (0.5, 0.75, 0.8), (0.8, 0.95, 0.7), (1.0, 1.0, 0.5)]
    assert pick_alpha(curve, 0.9) == 0.8  # 0.2 + 0.9 · 0.8 = 0.92
    assert pick_alpha(curve, 0.5) == 0.5
    assert pick_alpha(curve, 1.0) == 1.0
    assert pick_alpha(curve, 0.0) == 0.0
    assert pick_alpha([(0.0, 0.5, 0.4), (1.0, 0.5, 0.4)], 0.9) == 1.0  # nothing gained, nothing lost: as trained
    assert pick_alpha([(0.0, 0.5, 0.4), (1.0, 0.3, 0.9)], 0.9) == 0.0  # tuning made it worse
