"""Choices listed in a prompt: each style letter by letter."""

import pytest
from tiny import prompt_of, row

from tunewright.mixtures.options import OPENERS, OptionStyle, draw_style, with_options
from tunewright.prompts.segments import Answer, Prompt


def asked(*before: object, chat: bool = False) -> Prompt:
    choices = ("great", "good", "bad")  # two words for the first label
    return prompt_of(
        *before, Answer(), target="bad", references=("bad",), choices=choices, choice_labels=(0, 0, 1), gold=1,
        chat=chat,
    )  # type: ignore[arg-type]  # fmt: skip


def in_order(prompt: Prompt, style: OptionStyle, first: str) -> Prompt:
    """With the option `first` on top: of the orders that keys draw, one that has it so."""
    return next(
        found for key in range(50) if (found := with_options(prompt, style, key)).text().find(first) ==
        min(found.text().find(word) for word in ("great", "bad"))
    )  # fmt: skip


def test_a_list_stands_before_the_last_line_of_the_template() -> None:
    prompt = in_order(asked(row("A dull film."), "\nSentiment: "), OptionStyle("Options:", "- {text}"), "great")
    assert prompt.text("?") == "A dull film.\nOptions:\n- great\n- bad\nSentiment: ?"
    assert (prompt.target, prompt.choices, prompt.gold) == ("bad", ("great", "good", "bad"), 1)


def test_marked_options_are_answered_by_their_marks() -> None:
    style = OptionStyle("Pick one of these:", "({mark}) {text}", "({mark})", "ABC")
    prompt = in_order(asked(row("A dull film."), "\nSentiment: "), style, "bad")
    assert prompt.text("?") == "A dull film.\nPick one of these:\n(A) bad\n(B) great\nSentiment: ?"
    assert (prompt.target, prompt.references, prompt.choices) == ("(A)", ("(A)",), ("(A)", "(B)"))
    assert (prompt.choice_labels, prompt.gold) == ((1, 0), 1)
    other = in_order(asked(row("A dull film."), "\nSentiment: "), style, "great")
    assert (other.target, other.choice_labels) == ("(B)", (0, 1))


def test_on_one_line_in_parentheses() -> None:
    style = OptionStyle("OPTIONS:", between=", ", around=" ({words})")
    prompt = in_order(asked(row("A dull film."), "\n"), style, "bad")
    assert prompt.text("?") == "A dull film.\nOPTIONS: (bad, great)\n?"


def test_a_line_that_goes_on_from_the_rows_text_keeps_together() -> None:
    style = OptionStyle("Options:", "* {text}")
    prompt = in_order(asked(row("A dull film."), " All in all it was "), style, "bad")
    assert prompt.text("?") == "Options:\n* bad\n* great\n\nA dull film. All in all it was ?"
    middle = prompt_of("It was ", Answer(), ": ", row("x"), target="bad", choices=("great", "bad"),
                       choice_labels=(0, 1), gold=1)  # fmt: skip
    assert in_order(middle, style, "bad").text("?") == "Options:\n* bad\n* great\n\nIt was ?: x"


def test_in_a_chat_they_end_the_message() -> None:
    prompt = in_order(asked(row("A dull film."), chat=True), OptionStyle("Options:", "- {text}"), "bad")
    assert prompt.text() == "A dull film.\n\nOptions:\n- bad\n- great"


def test_choices_are_the_rows_text_and_never_special_tokens() -> None:
    prompt = with_options(asked(row("x"), "\n"), OptionStyle("Options:", "- {text}"), 0)
    assert {s.text: s.from_row for s in prompt.segments if not isinstance(s, Answer)}["great"] is True  # type: ignore[union-attr]


def test_more_options_than_letters_are_numbered() -> None:
    words = tuple(f"w{i}" for i in range(12))
    prompt = prompt_of("Q\n", Answer(), target="w3", choices=words, choice_labels=tuple(range(12)), gold=3)
    found = with_options(prompt, OptionStyle("O:", "{mark}. {text}", "{mark}", "123456789"), 0)
    assert found.choices == tuple(map(str, range(1, 13)))
    assert f"\n{found.target}. w3" in found.text()


def test_styles_and_orders_are_drawn() -> None:
    names = [draw_style(0, key).name for key in range(600)]
    assert all(160 < names.count(name) < 240 for name in ("list", "marked", "inline"))
    assert {draw_style(0, key).opener for key in range(200)} == set(OPENERS)
    assert draw_style(0, 5) == draw_style(0, 5)
    styles = {draw_style(0, key) for key in range(2000)}
    assert len(styles) == 6 * 3 + 6 * 4 * 3 + 6 * 3


@pytest.mark.parametrize("gold", [None])
def test_without_a_gold_label_nothing_is_right(gold: None) -> None:
    prompt = prompt_of("Q\n", Answer(), target="", choices=("a", "b"), choice_labels=(0, 1), gold=gold)
    assert with_options(prompt, OptionStyle("O:", "({mark}) {text}", "({mark})", "AB"), 0).target == ""
