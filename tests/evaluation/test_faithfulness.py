"""Names and numbers of summaries, by hand and on chats whose facts are known."""

import numpy as np
import pytest

from tunewright.evaluation.faithfulness import read_output
from tunewright.evaluation.found_facts import find_facts, keys, speakers, stands_in, words_of
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.predictions import Prediction
from tunewright.reports.collect import MethodRuns, task_data
from tunewright.tasks.support_chats import generate
from tunewright.tasks.support_chats.wording import names

CHAT = (
    "Agent Pat: Hello, this is Pat. Sorry for the wait.\n"
    "Dina Garcia: My card was refused in Gdansk on May 31, at 3:15 pm. It was €1,253.70.\n"
    "Agent Pat: Your two bookings are AB-12 and ED756426."
)


def found(text, source=""):
    return [(fact.kind, fact.text, *fact.key) for fact in find_facts(text, source)]


def test_names():
    assert found("Dina Garcia's card was refused in Gdansk.") == [
        ("name", "Dina Garcia", "dina", "garcia"), ("name", "Gdansk", "gdansk"),
    ]  # fmt: skip
    assert found("I met Dr. Miller, Jean-Luc Picard and O'Neill at the Hotel Meridian.") == [
        ("name", "Miller", "miller"), ("name", "Jean-Luc Picard", "jean-luc", "picard"), ("name", "O'Neill", "o'neill"),
        ("name", "Hotel Meridian", "hotel", "meridian"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sorry for that. Please call. The agent left.", []),  # first words
        ("Dina called.", ["Dina"]),  # a name of the source
        ("Pat said so.", ["Pat"]),  # a speaker
        ("Card refused. Card gone.", []),  # the source has the word in lower case
        ("Bob wanted a refund.", ["Bob"]),  # not in the source, but it acts
        ("Bob, whose card failed, left.", ["Bob"]),
        ("Customers wanted refunds.", []),  # people, not a name
        ("Bob's card failed.", ["Bob"]),
        ("Great weather.", []),
        ("It was Bob. Bob Miller left; Anna stayed.", ["Bob", "Bob Miller", "Anna"]),
        ("I'm sure that I saw it.", []),
    ],
)
def test_first_words_of_sentences(text, wanted):
    assert [fact.text for fact in find_facts(text, CHAT) if fact.kind == "name"] == wanted


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("it was $1,253.70", "1253.7"), ("1253.7", "1253.7"), ("twenty-five people", "25"), ("25 people", "25"),
        ("two hundred and five", "205"), ("a thousand", "1000"), ("three thousand two hundred", "3200"),
        ("on May 31", "31 may"), ("on the 31st of May", "31 may"), ("31 May", "31 may"), ("at 3:15 pm", "15:15"),
        ("at 15:15", "15:15"), ("at 3:15 p.m.", "15:15"), ("at 7pm", "19:00"), ("at 12 am", "0:00"), ("the 2nd", "2"),
        ("AB-12", "ab-12"), ("ED756426", "ed756426"), ("a 5-day wait", "5"), ("10%", "10"),
    ],
)  # fmt: skip
def test_numbers(text, key):
    assert [fact.key for fact in find_facts(text)] == [(key,)]


def test_one_is_a_pronoun_and_between_two_and_five_are_two_numbers():
    assert found("one of them, and a few") == []
    assert [fact.key for fact in find_facts("between two and five")] == [("2",), ("5",)]


def test_speakers():
    assert speakers(CHAT) == ["Agent Pat", "Dina Garcia"]
    assert speakers("#Person1#: hey\nSummary: \nnot a label: x\nTL;DR: x\nCustomer service chat:\nAnna: hi") == [
        "#Person1#", "Anna",
    ]  # fmt: skip


def test_kept_made_up_and_dropped():
    reference = "Dina Garcia told Pat that her card AB-12 was refused in Gdansk on 31 May."
    reading = read_output(CHAT, reference, "Dina Garcia's card AB-12 was refused in Lisbon at 15:15, for €99.")
    assert [piece for piece in reading.pieces if piece[0] != "plain"] == [
        ("kept", "Dina Garcia"), ("kept", "AB-12"), ("made-up", "Lisbon"), ("kept", "15:15"), ("made-up", "99"),
    ]  # fmt: skip
    assert "".join(text for _, text in reading.pieces).endswith("for €99.")
    assert reading.dropped == ("Pat", "Gdansk", "31 May", "Agent Pat")
    # First name and surname of two people are no name of the source.
    assert read_output("Dina Garcia: Hi.\nOmar Reid: Hi.", "", "So Dina Reid left.").pieces[1] == (
        "made-up",
        "Dina Reid",
    )
    assert read_output(CHAT, reference, "").pieces == ()


def said(output, reference="Dina Garcia paid €1,253.70 in Gdansk.", i=0):
    return Prediction(str(i), output, reference, CHAT)


def test_metrics_are_shares_over_all_rows():
    rows = [said("Dina Garcia paid 9 in Lisbon.", i=0), said("So Dina Garcia met Pat in Gdansk.", i=1), said("no", i=2)]
    values = {name: metric(name).corpus(rows) for name in (
        "names-precision", "names-recall", "numbers-precision", "numbers-recall", "speakers-recall",
    )}  # fmt: skip
    assert values == pytest.approx(
        {
            "names-precision": 4 / 5, "names-recall": 3 / 6, "numbers-precision": 0.0, "numbers-recall": 0.0,
            "speakers-recall": 2 / 3,
        }
    )  # fmt: skip
    assert metric("names-precision").row_scores(rows).mean() == pytest.approx(4 / 5)
    assert metric("names-precision").corpus([said("nothing")]) == 1.0  # nothing was made up
    assert metric("novel-bigrams").corpus([said("card was refused here")]) == pytest.approx(1 / 3)
    several = Prediction("0", "Gdansk", "x", CHAT, references=("In Lisbon.", "In Gdansk."))
    assert metric("names-recall").corpus([several]) == 1.0
    interval = metric("names-recall").interval(rows)
    assert interval.low <= 0.5 <= interval.high


def test_the_extraction_on_chats_whose_facts_are_known():
    """Against what the generator says that it put in: 160 chats."""
    first_names, hits = names()["first_names"], []
    found_numbers = wanted_numbers = both = false_names = made_up = 0
    for row in generate(160):
        facts = find_facts(row["summary"], row["dialogue"])
        told = words_of(" ".join(row["facts"]))
        assert tuple(words_of(row["facts"][0])) in keys(facts, "name")  # the customer, always
        false_names += sum(not stands_in(key, told) for key in keys(facts, "name"))
        mine = keys(facts, "number")
        known = {key for fact in row["facts"] for key in keys(find_facts(fact), "number")}
        found_numbers, wanted_numbers, both = (
            found_numbers + len(mine),
            wanted_numbers + len(known),
            both + len(mine & known),
        )
        reading = read_output(row["dialogue"], row["summary"], row["summary"])
        made_up += any(mark == "made-up" for mark, _ in reading.pieces)
        assert reading.dropped == ()
        other = next(name for name in reversed(first_names) if name not in row["dialogue"])
        wrong = read_output(row["dialogue"], row["summary"], row["summary"].replace(row["facts"][0].split()[0], other))
        hits.append(any(mark == "made-up" and other in text for mark, text in wrong.pieces))
    assert false_names == 0
    assert both == wanted_numbers and both / found_numbers > 0.98  # a number said without being a fact is no error
    assert made_up <= 3  # true summaries: next to nothing is called made up
    assert np.mean(hits) > 0.95  # another name in the place of the customer's is seen


def test_the_report_shows_them():
    from tunewright.reports.build import render_report

    zero = MethodRuns("none", "zero-shot", "zero-shot", {0: [said("In Lisbon."), said("no", i=1)]})
    tuned = MethodRuns("lora", "lora", "tuned", {0: [said("In Gdansk, 7 times."), said("yes", i=1)]})
    task = task_data("chats", ["rouge-1", "names-precision"], [zero, tuned], 10)
    first = task["examples"][0]["facts"]
    assert first["before"] == {"pieces": [["plain", "In "], ["made-up", "Lisbon"], ["plain", "."]],
                               "dropped": ["Dina Garcia", "Gdansk", "1,253.70"]}  # fmt: skip
    page = render_report(
        {"title": "t", "made": "2026", "command": "", "setup": [], "notes": [], "verdict": [], "tasks": [task]}
    )
    assert '<ins class="made-up">Lisbon</ins>' in page and '<span class="entity">Gdansk</span>' in page
    assert "<del>Dina Garcia</del>" in page and '<ins class="made-up">7</ins>' in page
    assert "facts" not in task_data("chats", ["exact-match"], [zero, tuned], 10)["examples"][0]
