import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.errors import InputError
from tunewright.evaluation.metrics import METRICS, metric, score
from tunewright.evaluation.predictions import Prediction


def labelled(said, gold):
    return [Prediction(str(i), p, t) for i, (p, t) in enumerate(zip(said, gold, strict=True))]


def tagged(*rows):
    return [
        Prediction(str(i), "", "", gold_tags=tuple(gold.split()), predicted_tags=tuple(said.split()))
        for i, (gold, said) in enumerate(rows)
    ]


SIX = labelled("aabbcc", "aaabbc")


def test_accuracy_and_macro_f1_of_six_rows():
    assert metric("accuracy").corpus(SIX) == pytest.approx(4 / 6)
    # a: 2 right, 1 missed: 4/5. b: 1 right, 1 wrong, 1 missed: 2/4. c: 1 right, 1 wrong: 2/3.
    assert metric("macro-f1").corpus(SIX) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)


def test_macro_f1_counts_a_label_that_is_only_predicted():
    # a: 1 right, 1 missed: 2/3. z: never right: 0.
    assert metric("macro-f1").corpus(labelled("az", "aa")) == pytest.approx(1 / 3)


def test_macro_f1_equals_scikit_learn():
    from sklearn.metrics import f1_score

    random = np.random.default_rng(0)
    gold, said = random.choice(list("abcdef"), 300), random.choice(list("abcdefg"), 300)
    assert metric("macro-f1").corpus(labelled(said, gold)) == pytest.approx(f1_score(gold, said, average="macro"))


def test_entity_f1_wants_type_and_both_ends():
    rows = tagged(
        ("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC"),  # 2 of 2
        ("B-PER I-PER O B-LOC", "B-PER O O B-ORG"),  # 0 of 2, 2 said
        ("O O", "O B-LOC"),  # 1 said in vain
    )
    assert metric("entity-f1").corpus(rows) == pytest.approx(2 * 2 / (4 + 5))
    assert metric("entity-f1").corpus(tagged(("O O", "O O"))) == 0.0


def test_entity_f1_refuses_tags_that_do_not_line_up():
    with pytest.raises(InputError, match="row 0: entity-f1 wants as many predicted_tags as gold_tags"):
        metric("entity-f1").corpus(tagged(("O O", "O")))


def test_correlations_and_absolute_error_of_four_rows():
    rows = labelled([1.0, 2.0, 3.0, 10.0], [1.0, 3.0, 2.0, 4.0])
    # deviations of the predictions -3, -2, -1, 6; of the targets -1.5, .5, -.5, 1.5
    assert metric("pearson").corpus(rows) == pytest.approx(13 / (50 * 5) ** 0.5)
    assert metric("spearman").corpus(rows) == pytest.approx(0.8)  # 1 - 6·(0+1+1+0) / (4·15)
    assert metric("mae").corpus(rows) == pytest.approx((0 + 1 + 1 + 6) / 4)
    assert not metric("mae").higher_is_better


def test_spearman_shares_ranks_among_ties():
    from scipy import stats

    said, gold = [1.0, 2.0, 2.0, 5.0, 2.0, 0.0], [0.0, 0.0, 3.0, 3.0, 1.0, 1.0]
    assert metric("spearman").corpus(labelled(said, gold)) == pytest.approx(stats.spearmanr(said, gold).statistic)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_constant_predictions_have_correlation_zero(name, shift):
    rows = labelled([shift + 0.1] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert score(rows, [name])[name].to_json() == {"value": 0.0, "low": None, "high": None}


def test_a_number_that_is_none_names_the_row():
    with pytest.raises(InputError, match="row 1: a number wanted, found 'four'"):
        metric("mae").corpus(labelled([1.0, "four"], [1.0, 2.0]))


def test_text_metrics_take_the_references_over_the_target():
    row = Prediction("0", "The cat!", "a dog", references=("cat", "bird"))
    assert metric("exact-match").corpus([row]) == 1.0
    assert metric("exact-match").corpus([Prediction("0", "The cat!", "a dog")]) == 0.0
    assert metric("rouge-1").corpus([row]) == pytest.approx((2 / 3 + 0) / 2)
    assert metric("token-f1").corpus([row]) == 1.0


def test_unknown_metric_and_no_rows():
    with pytest.raises(InputError, match=r"unknown metric 'macro-f'.*did you mean 'macro-f1'"):
        metric("macro-f")
    with pytest.raises(InputError, match="no predictions"):
        score([], ["accuracy"])


def test_every_metric_of_the_issue_is_known():
    wanted = "accuracy macro-f1 exact-match token-f1 rouge-1 rouge-2 rouge-l chrf entity-f1 pearson spearman mae"
    assert set(wanted.split()) <= set(METRICS)


def test_pseudo_values_of_a_mean_are_its_scores():
    # Two labels predicted so that every F1 is a plain share would be a coincidence: use entity counts, where with one
    # entity a row, said and gold, micro F1 is the share of rows right.
    rows = tagged(("B-A", "B-A"), ("B-A", "B-B"), ("B-B", "B-B"))
    assert metric("entity-f1").row_scores(rows) == pytest.approx([1, 0, 1])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_intervals_hold_the_value_and_stay_in_bounds(pairs):
    rows = labelled([p for p, _ in pairs], [t for _, t in pairs])
    for name, found in score(rows, ["accuracy", "macro-f1", "chrf", "token-f1"]).items():
        assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
        if found.low is None:
            assert len(rows) == 1
        else:
            assert 0 <= found.low <= found.value <= found.high <= 1
        assert metric(name).row_scores(rows).mean() == pytest.approx(found.value)


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_correlation_intervals_stay_in_bounds(pairs):
    rows = labelled([float(p) for p, _ in pairs], [t for _, t in pairs])
    for found in score(rows, ["pearson", "spearman"]).values():
        json.dumps(found.to_json(), allow_nan=False)
        assert -1 <= found.value <= 1
        if found.low is not None:
            assert -1 <= found.low <= found.value <= found.high <= 1


def test_intervals_repeat_and_two_thousand_rows_are_quick():
    random = np.random.default_rng(0)
    gold = random.choice(list("abcdef"), 2000)
    said = np.where(random.random(2000) < 0.7, gold, random.choice(list("abcdef"), 2000))
    begun = time.perf_counter()
    first = score(labelled(said, gold), ["accuracy", "macro-f1"])
    assert time.perf_counter() - begun < 5  # 0.02 s on a quiet machine
    assert first == score(labelled(said, gold), ["accuracy", "macro-f1"])
    assert first["macro-f1"].high - first["macro-f1"].low == pytest.approx(0.04, abs=0.01)
