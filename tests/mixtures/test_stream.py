"""The examples of a mixture: how often each comes, that number k is known without the ones before it, exemplars."""

import time
from collections import Counter

import numpy as np
import pytest
from mixture_parts import mixture, task
from scipy.stats import chisquare

from tunewright.errors import InputError
from tunewright.mixtures.report import asked, drawn, mixture_json
from tunewright.mixtures.stream import Draws, Mixture
from tunewright.prompts.demonstrations import question, row_words

FIELDS = ("number", "member", "row", "wording", "shots", "options")


def small(seed: int = 0) -> Mixture:
    """Shares 1/8, 2/8 and 5/8 of 80 examples; b has 24 rows, of which 10 are used."""
    block = {
        "epoch": 80, "formats": {"few_shot": 0.5, "exemplars": [1, 3], "options": 0.5},
        "members": [
            {"task": "a", "weight": 1}, {"task": "b", "weight": 2, "rows": 10},
            {"task": "c", "weight": 5, "templates": {"plain": 1, "short": 3}},
        ],
    }  # fmt: skip
    return mixture(block, task("a"), task("b"), task("c", "generate"), seed=seed)


def equal(a: Draws, b: Draws) -> bool:
    return all((getattr(a, name) == getattr(b, name)).all() for name in FIELDS)


def test_an_epoch_holds_each_member_in_its_share_to_the_last_example() -> None:
    found = small()
    for epoch in range(3):
        draws = found.draws(np.arange(80) + 80 * epoch)
        assert np.bincount(draws.member).tolist() == [10, 20, 50]
    assert not (found.draws(np.arange(80)).member == found.draws(np.arange(80, 160)).member).all()
    assert not equal(small(0).draws(range(80)), small(1).draws(range(80)))


def test_no_row_comes_again_before_all_in_use_came() -> None:
    """b: 20 draws an epoch, 10 rows in use, so each twice an epoch; a: 10 of 24 rows, so 24 different in 2.4 epochs."""
    draws = small().draws(np.arange(80 * 12))
    for epoch in range(12):
        rows = draws.row[(draws.member == 1) & (draws.number // 80 == epoch)]
        assert sorted(Counter(rows.tolist()).values()) == [2] * 10
    assert len(set(draws.row[draws.member == 1].tolist())) == 10
    assert Counter(draws.row[draws.member == 0].tolist()) == dict.fromkeys(range(24), 5)  # 120 = 5 × 24


def test_any_worker_makes_any_example() -> None:
    """The odd ones, backwards, one by one: the same as in one go."""
    found, whole = small(), small().draws(np.arange(500))
    some = np.arange(499, 0, -2)
    assert equal(found.draws(some), Draws(*(getattr(whole, name)[some] for name in FIELDS)))
    prompts = found.prompts(whole)
    other = small()
    assert [other.prompts(other.draws([i]))[0] for i in range(499, 0, -37)] == prompts[499:0:-37]


def test_a_million_draws_are_as_asked() -> None:
    """Chi-square over members × wordings × forms, and the example after 777,777 others in no time."""
    block = {
        "epoch": 3_000_000, "formats": {"few_shot": 0.3, "options": 0.6},
        "members": [
            {"task": "a", "weight": 0.40}, {"task": "b", "weight": 0.32}, {"task": "c", "weight": 0.25},
            {"task": "d", "weight": 0.03, "templates": {"plain": 1, "short": 9}},
        ],
    }  # fmt: skip
    tasks = (task("a"), task("b", "choose"), task("c", "generate"), task("d", "regress"))
    found = mixture(block, *tasks)
    draws = found.draws(np.arange(1_000_000))
    wanted, seen = asked(found), drawn(draws)
    assert sum(wanted.values()) == pytest.approx(1.0) and set(seen) == set(wanted)
    assert len(wanted) == 4 * 4 + 4 * 2  # two wordings, four forms with choices, two without
    expected = np.array(list(wanted.values())) * 1e6
    assert chisquare([seen[cell] for cell in wanted], expected * 1e6 / expected.sum()).pvalue > 1e-3
    members = np.bincount(draws.member)
    assert chisquare(members, np.array([0.40, 0.32, 0.25, 0.03]) * 1e6).pvalue > 1e-3
    started = time.perf_counter()
    again = mixture(block, *tasks)
    there = again.draws(np.arange(777_777, 777_777 + 64))
    again.prompts(there)
    assert time.perf_counter() - started < 1
    part = slice(777_777, 777_777 + 64)
    assert equal(there, Draws(*(getattr(draws, name)[part] for name in FIELDS)))


def test_the_report_says_what_was_asked_and_what_was_drawn() -> None:
    found = small()
    content = mixture_json(found, found.draws(np.arange(80)), ["a note"])
    assert (content["examples"], content["epoch"], content["notes"]) == (80, 80, ["a note"])
    assert content["tasks"] == {
        "a": {"asked": 0.125, "drawn": 0.125, "n": 10}, "b": {"asked": 0.25, "drawn": 0.25, "n": 20},
        "c": {"asked": 0.625, "drawn": 0.625, "n": 50},
    }  # fmt: skip
    assert content["templates"]["c: short"]["asked"] == pytest.approx(0.625 * 0.75)
    assert content["forms"]["few-shot, options"]["asked"] == pytest.approx(0.375 * 0.25)
    for part in ("tasks", "kinds", "forms", "templates"):
        assert sum(one["n"] for one in content[part].values()) == 80
        assert sum(one["asked"] for one in content[part].values()) == pytest.approx(1)


def test_exemplars_are_other_rows_in_the_same_wording_and_style() -> None:
    found = small()
    draws = found.draws(np.arange(400))
    counts = Counter()
    for i, prompt in enumerate(found.prompts(draws)):
        assert prompt is not None
        counts[len(prompt.demonstrations)] += 1
        assert len(prompt.demonstrations) == draws.shots[i]
        own = found.members[draws.member[i]].rows.ids[draws.row[i]]
        for shown in prompt.demonstrations:
            assert shown.row != own and question(shown.segments) != question(prompt.segments)
            assert row_words(shown.segments) != row_words(prompt.segments)
        assert len({shown.row for shown in prompt.demonstrations}) == len(prompt.demonstrations)
        text = prompt.text(prompt.target)
        assert text.count("Answer:") in (0, 1 + len(prompt.demonstrations))  # all in the one wording or the other
    assert set(counts) == {0, 1, 2, 3} and 150 < counts[0] < 250


def test_validation_examples_come_of_validation_rows_with_exemplars_of_training_rows() -> None:
    found = small()
    other = Mixture([member.on("validation") for member in found.members], 80, 0)
    draws = other.draws(np.arange(80))
    assert all("row validation-" in name for name in other.names(draws))
    shown = [one.row for prompt in other.prompts(draws) if prompt is not None for one in prompt.demonstrations]
    assert shown and all(row.startswith("train-") for row in shown)


def test_a_share_that_draws_nothing_is_told() -> None:
    block = {"epoch": 10, "members": [{"task": "a", "weight": 1}, {"task": "b", "weight": 0.001}]}
    with pytest.raises(InputError, match="an epoch of 10 examples has none of 'b'; raise `epoch` or its share"):
        mixture(block, task("a"), task("b"))


def test_what_a_template_cannot_make_names_member_and_row() -> None:
    found = mixture({"members": ["a"]}, task("a", "generate", plain="{{ text.split()[9] }} {{ answer }}"))
    with pytest.raises(InputError, match=r"a, row train-\d+: template 'plain'"):
        found.prompts(found.draws(range(24)))
