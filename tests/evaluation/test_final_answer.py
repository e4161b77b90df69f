"""The answer taken out of a chain of thought, and compared."""

import pytest

from tunewright.evaluation.final_answer import final_answer, final_match, number_in
from tunewright.evaluation.metrics import metric
from tunewright.evaluation.predictions import Prediction

GSM8K = "Natalia sold 48/2 = 24 clips in May.\nNatalia sold 48+24 = 72 clips altogether in April and May.\n#### 72"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (GSM8K, "72"),
        ("He pays 3 * 4 = 12 dollars.\nSo the answer is 12.", "12"),
        ("First 5, the answer is 5. No: 7. The answer is 7. Good", "7"),
        ("That makes 1,200. Therefore the answer is $1,200.", "1,200"),
        ("Half of 7 is 3.5. The answer is 3.5.", "3.5"),
        ("It must be a bird.\nAnswer: (B)", "B"),
        ("Fish swim. Hence: yes.", "yes"),
        ("Fish swim. So it is no.", "no"),
        ("Fish swim.\nResult: the north pole\n", "the north pole"),
        ("a b c\nThe final answer: 42", "42"),
        ("All in all.\nThat gives 18.", "18"),
        ("Therefore the answer is no.", "no"),
        ('A rock sinks. My answer is "yes".', "yes"),
        ("reasons first\nyes.", "yes"),
        ("yes", "yes"),
        ("", ""),
    ],
)
def test_the_answer_stands_behind_the_last_phrase(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "right", "equal"),
    [
        ("3 + 4 = 7. So the answer is 7.", GSM8K.replace("72", "7"), True),
        ("So the answer is 7 apples.", "#### 7", True),
        ("So the answer is $7.00", "7", True),
        ("The answer is 1200", "#### 1,200", True),
        ("It is 1,200 in all", "1200", True),  # no phrase: the last number
        ("The answer is 8. She had 7 before", "7", False),
        ("The answer is -3", "3", False),
        ("The answer is seven", "7", False),
        ("", "7", False),
        ("Birds fly. So it is Yes!", "yes", True),
        ("Birds fly. The answer is the North Pole.", "north pole", True),
        ("Birds fly. The answer is no.", "It swims.\nSo the answer is yes.", False),
        ("yes, since the answer is no", "yes", False),
    ],
)
def test_answers_are_compared_as_numbers_or_as_words(text: str, right: str, equal: bool) -> None:
    assert final_match(text, [right]) == float(equal)
    assert final_match(text, ["nothing like it", right]) == float(equal)


def test_numbers() -> None:
    assert [number_in(text) for text in ("1,234.5 m", "a 3 b 4", "−2", "none", "12,34")] == [1234.5, 4, -2, None, 34]


def test_it_is_a_metric() -> None:
    row = Prediction("0", "2 + 2 = 4. Hence 4.", "4", references=("4", "four"))
    assert metric("final-answer").corpus([row]) == 1.0
