"""Choices named in words, the budget and the pace, places of tokens."""

import threading
import time

import pytest

from tunewright.endpoints import allowance
from tunewright.endpoints.allowance import Allowance, BudgetSpent
from tunewright.endpoints.constrained import named, question
from tunewright.endpoints.faults import NoLogProbs
from tunewright.endpoints.forms import Asked, echoed

CHOICES = ("sport", "money", "sport and money", "weather")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("sport", 0),
        (" Money.\n", 1),
        ('"weather"', 3),
        ("**Sport and money**", 2),
        ("- weather", 3),
        ("money, since the text names a bank", 1),
        ("sport and money, both", 2),
        ("sport\nmoney", 0),
        ("sportive", None),
        ("It is sport", None),
        ("", None),
        ("mone", None),
    ],
)
def test_the_choice_an_answer_names(text: str, choice: int | None) -> None:
    assert named(text, CHOICES) == choice


def test_choices_that_are_marks_or_differ_in_case() -> None:
    assert named("+", ("+", "-")) == 0 and named("- ", ("+", "-")) == 1
    assert named("Yes", ("yes", "Yes")) == 1 and named("YES", ("yes", "Yes")) is None
    assert question("a?", ["x ", "y"]) == "Answer with exactly one of these options and nothing else:\n- x\n- y\n\na?"


def test_the_budget_is_never_passed() -> None:
    """Eight threads, each request tried up to three times, 20 attempts in all."""
    allowed = Allowance(20, None)
    done, spent = [], []

    def work(times: int) -> None:
        for _ in range(5):
            try:
                with allowed.attempts(3) as tries:
                    for _ in range(min(times, tries.granted)):
                        allowed.count()
                    done.append(tries.made)
            except BudgetSpent:
                spent.append(times)

    threads = [threading.Thread(target=work, args=(1 + i % 3,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == allowed.used == 20 and spent


def test_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in any 0.3 s: the fifth starts after 0.6 s."""
    monkeypatch.setattr(allowance, "MINUTE", 0.3)
    allowed, times = Allowance(100, 2), []
    start = time.monotonic()
    for _ in range(5):
        with allowed.attempts(1):
            allowed.count()
        times.append(time.monotonic() - start)
    assert times[1] < 0.3 <= times[2] and times[4] >= 0.6


def answer(tokens: list[str], values: list[float | None], offsets: list[int]) -> dict[str, object]:
    return {"choices": [{"logprobs": {"tokens": tokens, "token_logprobs": values, "text_offset": offsets}}]}


def test_the_tokens_of_the_answer() -> None:
    """`It is` + ` bad` and the token made up behind it; one that begins before the answer belongs to it."""
    asked = Asked("It is", " ")
    plain = answer(["It", " is", " b", "ad", "ly"], [None, -1.0, -2.0, -3.0, -9.0], [0, 2, 5, 7, 9])
    assert echoed(plain, asked, ["It is bad"], None) == [(-5.0, 2)]
    across = answer(["It", " is b", "ad"], [None, -2.0, -3.0], [0, 2, 7])
    assert echoed(across, asked, ["It is bad"], None) == [(-5.0, 2)]
    assert echoed(plain, asked, ["It is bad"], [(4, 2)]) == [(-5.0, 2)]


@pytest.mark.parametrize(
    ("tokens", "values", "offsets", "counted"),
    [
        (["It", " is", " good"], [None, -1.0, -2.0], [0, 2, 5], None),  # another text
        (["It is bad"], [None], [0], None),  # nothing before the answer
        (["It", " is", " bad"], [None, -1.0, None], [0, 2, 5], None),
        (["It", " is", " bad"], [None, -1.0, -2.0], [0, 2, 5], [(7, 1)]),  # another tokenizer
    ],
)
def test_answers_that_do_not_hold_them(
    tokens: list[str], values: list[float | None], offsets: list[int], counted: list[tuple[int, int]] | None
) -> None:
    with pytest.raises(NoLogProbs):
        echoed(answer(tokens, values, offsets), Asked("It is", " "), ["It is bad"], counted)
