"""Prompts without content: what stays, what goes, and where slots stand in them."""

from tiny_tasks import prompt_of, row

from tunewright.prompts.content_free import content_free, domain_prompt
from tunewright.prompts.placement import with_slots
from tunewright.prompts.segments import Answer, Sep, Soft, Text

SOFT = Soft("s", 2)
PAIR = prompt_of(
    "A: ", row("cats purr", "a"), "\nOne of ", row("yes, no", "choices"), ". B: ", row("dogs", "b"), "? ", Answer(),
    target="yes", references=("yes",), choices=("yes", "no"), choice_labels=(0, 1), gold=0,
)  # fmt: skip


def test_the_rows_text_is_replaced_and_its_answer_forgotten() -> None:
    found = content_free(PAIR, "N/A", kept=("choices",))
    assert found.text("…") == "A: N/A\nOne of yes, no. B: N/A? …"
    assert (found.target, found.references, found.gold) == ("", (), None)
    assert (found.choices, found.choice_labels) == (("yes", "no"), (0, 1))
    assert content_free(PAIR, "").text("…") == "A: \nOne of . B: ? …"


def test_rows_that_differ_in_their_text_alone_ask_the_same() -> None:
    first, second = (prompt_of("Q: ", row(text), " ", Answer(), target=text) for text in ("a cat", "a dog"))
    assert content_free(first, "N/A") == content_free(second, "N/A")
    assert domain_prompt(first) == domain_prompt(second)


def test_slots_stay_where_they_stood_also_after_an_empty_field() -> None:
    prompt = prompt_of("Q: ", row("a cat"), ". It is ", Answer())
    assert with_slots(content_free(prompt, ""), SOFT, "after-fields").segments == (
        Text("Q: "), Text("", "text"), SOFT, Text(". It is "), Answer(),
    )  # fmt: skip


def test_the_domain_prompt_is_the_templates_words_before_the_answer() -> None:
    assert domain_prompt(PAIR).segments == (Text("? "), Answer())
    middle = prompt_of("Read: ", row("a", "a"), ". It was ", Answer(), "! Said of ", row("b", "b"), " by me")
    assert domain_prompt(middle).segments == (Text(". It was "), Answer(), Text("! Said of "))
    first = prompt_of("It was ", Answer(), ": ", row("a cat"))
    assert domain_prompt(first).segments == (Text("It was "), Answer(), Text(": "))
    split = prompt_of(row("a", "a"), Sep(), row("b", "b"), "? ", Answer())
    assert domain_prompt(split).segments == (Text("? "), Answer())


def test_all_slots_are_in_the_domain_prompt() -> None:
    other = Soft("t", 1)
    prompt = prompt_of(SOFT, "Q: ", row("a"), " so ", Answer(), " ", row("b", "b"), other)
    assert domain_prompt(prompt).segments == (SOFT, Text(" so "), Answer(), Text(" "), other)
