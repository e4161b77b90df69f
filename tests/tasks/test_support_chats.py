"""The built-in generator of support chats: facts kept, no two equal, the same rows for the same seed."""

import re
import time
from collections import Counter
from itertools import pairwise

import pytest

from tunewright.errors import InputError
from tunewright.seeds import python_random
from tunewright.tasks.support_chats import generate, row
from tunewright.tasks.support_chats.values import code, misread, with_article
from tunewright.tasks.support_chats.wording import common, scenarios, slots_of

ALWAYS = {"name", "first", "agent", "desk", "wrong"}
DISTRACTORS = {"n_two", "n_four", "n_five"}


@pytest.fixture(scope="module")
def rows():
    started = time.process_time()
    made = list(generate(13_000))
    assert time.process_time() - started < 10  # about 3 s of one core
    return made


def numbers(text):
    return set(re.findall(r"\d+", text))


def test_the_first_row_of_seed_0():
    assert row(0) == FIRST


FIRST = {
    "id": "chat-0",
    "dialogue": (
        "Pat: Hello, this is Pat from the bank's helpline. What can I do for you?\n"
        "Dina Garcia: My card was refused at a supermarket in Gdansk. My customer number is 2234577, and I "
        "need emergency cash. Sorry if I type slowly, I'm on the number 20 bus.\n"
        "Pat: Let me look into that. What was the sum?\n"
        "Dina Garcia: It was €253.70.\n"
        "Pat: Is the phone number ending in 5413 still right?\n"
        "Dina Garcia: Yes, that is still my phone.\n"
        "Pat: Are you still there?\n"
        "Dina Garcia: Yes, I'm here.\n"
        "Pat: Right, I have an answer. I have to leave that to our security office, who will call by 31 May."
    ),
    "summary": (
        "Dina Garcia's card was refused at a supermarket in Gdansk, and Dina asked for emergency cash, but the "
        "agent passed it to the security office, with a call due by 31 May."
    ),
    "scenario": "blocked_card",
    "facts": ["Dina Garcia", "supermarket", "Gdansk", "emergency cash", "31 May"],
    "outcome": "escalated",
}


def test_facts_stand_in_the_dialogue_and_in_the_summary(rows):
    for made in rows:
        for fact in made["facts"]:
            assert fact in made["dialogue"], made
            assert fact in made["summary"], made


def test_no_two_dialogues_are_equal(rows):
    assert len({made["dialogue"] for made in rows}) == 13_000
    assert len({made["id"] for made in rows}) == 13_000


def test_a_row_depends_on_seed_and_index_alone(rows):
    assert [row(k) for k in (12_999, 17, 4_321)] == [rows[12_999], rows[17], rows[4_321]]
    assert list(generate(40)) == rows[:40]
    assert all(one["dialogue"] != other["dialogue"] for one, other in zip(generate(40, seed=1), rows))


def test_dialogues_have_2_to_12_lines_by_two_speakers_in_turn(rows):
    lengths = Counter()
    for made in rows:
        speakers = [line.split(": ")[0] for line in made["dialogue"].split("\n")]
        assert len(set(speakers)) == 2, made
        assert all(one != other for one, other in pairwise(speakers)), made
        lengths[len(speakers)] += 1
    assert set(lengths) == set(range(2, 13))
    assert min(lengths.values()) > 130  # no length is rarer than one in a hundred


def test_numbers_that_distract_stay_out_of_the_summary(rows):
    with_others = 0
    for made in rows:
        of_facts = numbers(" ".join(made["facts"]))
        assert numbers(made["summary"]) <= of_facts, made
        with_others += not numbers(made["dialogue"]) <= of_facts
    assert with_others > 6_500


def test_scenarios_outcomes_and_summaries_vary(rows):
    by_scenario = Counter(made["scenario"] for made in rows)
    assert len(by_scenario) == 16
    assert max(by_scenario.values()) - min(by_scenario.values()) <= 1
    outcomes = Counter(made["outcome"] for made in rows)
    assert set(outcomes) == {"solved", "escalated", "refused"}
    assert min(outcomes.values()) > 2_600
    assert len({made["summary"] for made in rows}) > 12_900


def test_summaries_have_one_to_three_sentences(rows):
    for made in rows:
        assert 1 <= len(re.findall(r"\.(?= [A-Z]|$)", made["summary"])) <= 3, made
        assert made["summary"][0].isupper() and made["summary"].endswith(".")
        assert "  " not in made["summary"] + made["dialogue"] and "{" not in made["summary"] + made["dialogue"]


def test_the_outcome_is_told_late(rows):
    # Words of the summary's end that are not in the opening lines: copying the lead is not enough.
    for made in rows[:2000]:
        lines = made["dialogue"].split("\n")
        if made["outcome"] == "refused" and len(lines) > 4:
            told = made["summary"].split("; ")[-1].split(", but ")[-1].split(". ")[-1]
            assert told.rstrip(".") not in " ".join(lines[:3])


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: s.name)
def test_wording_is_complete(scenario):
    drawn = {slot for slot in scenario.values if slot != "product"}
    drawn |= {slot for choice in scenario.values.get("product", []) for slot in choice}
    facts = set(scenario.facts)
    assert facts | {"code"} <= set(scenario.questions) <= drawn
    assert len(scenario.openings) >= 4 and len(scenario.middles) >= 3 and len(scenario.problems) >= 4
    for problem in scenario.problems:
        assert facts | {"name"} == slots_of(problem) - {"first"}, problem
    for slot, pairs in scenario.questions.items():
        assert len(pairs) >= 2
        assert all(slot in slots_of(answer) for _, answer in pairs), slot
    assert any(set(scenario.questions) <= stated for _, stated in scenario.openings)
    for outcome in (one for found in scenario.outcomes.values() for one in found):
        assert len(outcome.says) >= 2 and len(outcome.told) >= 2
        before = slots_of(" ".join(outcome.before or ()))
        for text in outcome.says:
            assert set(outcome.facts) <= before | slots_of(text), text
        for text in outcome.told:
            assert slots_of(text) - {"first"} == set(outcome.facts), text
    for texts in (*scenario.questions.values(), scenario.middles):
        for text in (part for pair in texts for part in pair):
            assert slots_of(text) <= drawn | ALWAYS, text
    assert all(scenario.outcomes[kind] for kind in ("solved", "escalated", "refused"))


def test_common_lines_use_known_slots():
    lines = common()
    texts = [text for key in lines if key != "closings" for text in lines[key]]
    texts += [pair for pairs in lines["closings"].values() for pair in pairs]
    for text in texts:
        for part in [text] if isinstance(text, str) else text:
            assert slots_of(part) <= ALWAYS | DISTRACTORS, part


def test_codes_differ_by_index():
    assert len({code("LL-####", 3, k) for k in range(50_000)}) == 50_000
    assert re.fullmatch(r"[A-Z]{2}-[1-9]\d{3}", code("LL-####", 0, 0))
    assert re.fullmatch(r"[1-9]\d{6}", code("#######", 0, 4_499_999))


def test_a_misread_code_differs_in_one_digit():
    wrong = misread("KX-4821", python_random("test"))
    assert wrong[:4] == "KX-4" and sum(a != b for a, b in zip(wrong, "KX-4821")) == 1


def test_articles():
    assert [with_article(noun) for noun in ("kettle", "umbrella", "orange case")] == [
        "a kettle", "an umbrella", "an orange case",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, -1, 4_500_001])
def test_a_number_of_rows_out_of_range_is_said(count):
    with pytest.raises(InputError, match="rows must be from 1 to 4500000"):
        generate(count)
