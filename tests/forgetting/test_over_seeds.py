"""Forgetting over training seeds, from battery files made by hand."""

import numpy as np
import pytest

from tunewright.evaluation.differences import difference, mean_difference
from tunewright.evaluation.variance import mean_layout, two_way
from tunewright.forgetting.over_seeds import BatteryRuns, over_seeds
from tunewright.reports.forgetting_study import study_sentences, study_view
from tunewright.reports.styles import Style

ROWS = 40


def column(name, metric="accuracy", tuned=False):
    before = {"value": 0.5, "low": None, "high": None}
    return {"task": name, "cluster": "topic", "metric": metric, "rows": ROWS, "tuned": tuned, "before": before}


def battery(scores, tuned=(), missing=()):
    """`scores`: by task, (before, after) of each row; a task called `text` holds losses."""
    tasks = [column(name, "perplexity" if name == "text" else "accuracy", name in tuned) for name in scores]
    rows = {}
    for name, (before, after) in scores.items():
        rows[name] = {"before": list(before), "attached": list(after)}
        if name != "text":
            rows[name]["ids"] = [f"r{i}" for i in range(len(before))]
    content = {
        "battery": "own", "split": "test", "sides": {"attached": {"tasks": tasks}},
        "missing": [{"task": name, "why": "no network"} for name in missing],
    }  # fmt: skip
    return content, rows


def loses(share, seed, rows=ROWS):
    """All right before; a share of the rows wrong after, in another place each seed."""
    after = np.ones(rows)
    after[np.random.default_rng(seed).permutation(rows)[: int(share * rows)]] = 0
    return np.ones(rows), after


def method(label, share, tuned=()):
    found = BatteryRuns(label)
    for seed in range(3):
        text = np.linspace(1, 2, 8)
        found.runs[seed] = battery(
            {"a": loses(share, seed), "b": loses(share, 10 + seed), "mine": loses(0, 0),
             "text": (text, text + 0.1 + 0.01 * seed)},
            tuned=("mine", *tuned), missing=["sst2"],
        )  # fmt: skip
    return found


def test_one_table_over_methods_and_seeds():
    value = over_seeds("topics", [method("full", 0.5), method("lora", 0.1), BatteryRuns("failed")])
    assert [one["label"] for one in value["methods"]] == ["full", "lora"]
    assert value["mean_tasks"] == ["a", "b"]  # neither the task tuned on nor the text
    full, lora = value["methods"]
    assert full["mean"]["value"] == -0.5 and full["mean"]["verdict"] == "lost"
    assert lora["changes"]["a"]["value"] == pytest.approx(-0.1)
    assert (
        full["changes"]["text"]["value"] == pytest.approx(np.exp(0.11)) and full["changes"]["text"]["verdict"] == "lost"
    )
    assert full["changes"]["mine"]["p_holm"] is None and full["changes"]["mine"]["value"] == 0.0
    [pair] = value["pairs"]
    assert pair["value"] == pytest.approx(-0.4) and pair["verdict"] == "b forgets less"
    assert value["missing"] == [{"task": "sst2", "why": "no network"}]
    assert "3 seeds" in value["note"]
    assert study_sentences(value)[0].startswith("topics: full (−50.0 [")
    assert "topics: lora forgets less (full − lora: −40.0 [" in study_sentences(value)[-1]


def test_a_task_changes_as_differences_of_methods_are_measured():
    runs = method("full", 0.3)
    value = over_seeds("topics", [runs])
    sides = [[rows["a"][side] for _, rows in runs.runs.values()] for side in ("attached", "before")]
    plain = difference(*sides)
    found = value["methods"][0]["changes"]["a"]
    assert (found["value"], found["low"], found["high"], found["p"]) == (plain.value, plain.low, plain.high, plain.p)
    # three comparisons: a, b and the text
    assert found["p_holm"] <= 3 * plain.p


def test_rows_and_tasks_that_not_all_have():
    first, second = method("full", 0.5), method("prompt", 0.5)
    for content, rows in second.runs.values():
        del rows["b"]
        content["sides"]["attached"]["tasks"] = [t for t in content["sides"]["attached"]["tasks"] if t["task"] != "b"]
        for key in rows["a"]:
            rows["a"][key] = rows["a"][key][:30]
    value = over_seeds("topics", [first, second])
    assert value["mean_tasks"] == ["a"]
    assert list(value["methods"][1]["changes"]) == ["a", "mine", "text"]
    sides = [[rows["a"][side][:30] for _, rows in first.runs.values()] for side in ("attached", "before")]
    assert value["methods"][0]["changes"]["a"]["value"] == pytest.approx(difference(*sides).value)
    assert over_seeds("topics", [BatteryRuns("none")]) is None


def test_the_view_has_a_point_a_method_with_both_intervals():
    one = method("full", 0.5)
    one.gain, one.gain_metric = difference(np.ones((3, 20)), loses(0.4, 1, 20)[1][None].repeat(3, 0)), "accuracy"
    value = over_seeds("topics", [one, method("lora", 0.1)])
    view = study_view(value, {"full": Style("#111", "circle", "solid"), "lora": Style("#222", "square", "solid")})
    [trace] = view["figure"]["data"]  # lora's own gain is not known
    assert trace["x"] == [-50.0] and trace["y"] == [pytest.approx(40.0)]
    assert trace["error_x"]["array"][0] > 0 and trace["error_y"]["array"][0] > 0
    assert view["methods"][0]["gain"]["text"] == "+40.0" and view["methods"][1]["gain"]["text"] == "–"
    assert [row["task"] for row in view["tasks"]] == ["a", "b", "mine", "text"]
    assert view["methods"][0]["texts"][0]["text"] == "×1.116"


def test_the_mean_of_one_task_is_that_task_and_runs_are_shared():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 12))
    assert str(mean_layout([table])) == str(two_way(table))
    # Rows that do not vary: only each run's mean over the tasks counts. Their spread is that of 1, 2, 6 over two tasks.
    luck = np.array([1.0, 2.0, 6.0])[:, None]
    both = mean_layout([luck + np.zeros((3, 12)), luck + np.zeros((3, 20))])
    variance, critical = both.widest()
    assert (
        float(both.mean) == 3.0
        and float(variance) == pytest.approx(7.0 / 3)
        and float(critical) == pytest.approx(4.3027, abs=1e-4)
    )
    # Opposite luck on two tasks cancels: the mean does not spread.
    flat = mean_layout([luck + np.zeros((3, 12)), -luck + np.zeros((3, 12))])
    assert float(flat.widest()[0]) == 0.0
    with pytest.raises(ValueError, match="same runs"):
        mean_layout([np.zeros((3, 4)), np.zeros((2, 4))])


def test_the_mean_where_nothing_changed_has_the_tasks_own_bounds():
    same = np.ones((2, 10))
    found = mean_difference([(same, same), (same, same)])
    one = difference(same, same)
    assert found.value == 0.0 and found.high == pytest.approx(one.high * 2**0.5 / 2) and found.p == 1.0


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05])
def test_means_that_did_not_change_are_rarely_called_changed(spread):
    """1,000 simulated studies of 3 seeds and 10 tasks of 50 rows; a run's luck is shared by the tasks."""
    rng = np.random.default_rng(1)
    luck = rng.normal(0, spread, (1000, 3, 1))
    tables = [
        luck + rng.normal(0, 0.2, (1000, 1, 50)) + rng.normal(0, 0.3, (1000, 3, 50)) for _ in range(10)
    ]  # fmt: skip
    layout = mean_layout(tables)
    variance, critical = layout.widest()
    called = float((np.abs(layout.mean) > critical * np.sqrt(variance)).mean())
    assert 0.001 < called <= 0.06
