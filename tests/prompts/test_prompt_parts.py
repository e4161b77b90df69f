"""Verbalizers, placement of a method's slots, choosing templates, and prompts in colour."""

import pytest
from prompt_tasks import SPORT, make_task, template
from rich.console import Console

from tunewright.errors import InputError
from tunewright.prompts.placement import with_slots
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.segments import Answer, Prompt, Sep, Soft, Text
from tunewright.prompts.show import render_rich
from tunewright.prompts.verbalizer import Verbalizer
from tunewright.task_block import TemplateBlock

SOFT = Soft("m/1", 5)


def test_verbalizer_of_a_task():
    task = make_task(label_words={"world": ("world", "abroad"), "sport": ("sport",)})
    verbalizer = Verbalizer.of(task)
    assert verbalizer.first == ("world", "sport")
    assert (verbalizer.choices, verbalizer.choice_labels) == (("world", "abroad", "sport"), (0, 0, 1))


def test_label_names_are_words_where_none_are_given():
    assert Verbalizer.of(make_task(labels=("not_quite", "sci-fi"))).choices == ("not quite", "sci fi")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"world": ("w",)}, "the label 'sport' has no words"),
        ({"world": ("w",), "sport": ()}, "the label 'sport' has no words"),
        ({"world": ("w",), "sport": (" ",)}, "the label 'sport' has an empty word"),
        ({"world": ("w",), "sport": ("w",)}, "'w' stands for both 'world' and 'sport'"),
        ({"world": ("w",), "sprot": ("s",)}, "'sprot' is not a label (did you mean 'sport'?)"),
    ],
)
def test_wrong_verbalizers(words, message):
    with pytest.raises(InputError) as error:
        Verbalizer(("world", "sport"), words)
    assert str(error.value) == f"label_words: {message}"


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ("front", [SOFT, Text("Read: "), Text("T", "text"), Text("\nTopic: "), Answer()]),
        ("after-fields", [Text("Read: "), Text("T", "text"), SOFT, Text("\nTopic: "), Answer()]),
        ("end", [Text("Read: "), Text("T", "text"), Text("\nTopic:"), SOFT, Text(" "), Answer()]),
    ],
)
def test_placement(placement, expected):
    prompt = template("Read: {{ text }}\nTopic: {{ answer }}", chat=True).render({"text": "T", "label": SPORT})
    placed = with_slots(prompt, SOFT, placement)
    assert list(placed.segments) == expected
    assert (placed.target, placed.choices, placed.gold, placed.chat) == ("sport", ("world", "sport"), 1, True)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ((Text("T ", "text"), Answer()), (Text("T ", "text"), SOFT, Answer())),
        ((Text("T", "text"), Text(" \n"), Answer()), (Text("T", "text"), SOFT, Text(" \n"), Answer())),
        ((Text("a"), Answer(), Text("b")), (Text("a"), SOFT, Answer(), Text("b"))),
        ((Answer(False, "old"), Text(" "), Answer()), (Answer(False, "old"), SOFT, Text(" "), Answer())),
    ],
)
def test_placement_at_the_end(segments, expected):
    assert with_slots(Prompt(segments, "x"), SOFT, "end").segments == expected


def test_after_fields_without_fields_is_the_front():
    assert with_slots(Prompt((Text("a"), Answer()), "x"), SOFT, "after-fields").segments == (SOFT, Text("a"), Answer())


TASK = make_task(
    templates={
        "plain": TemplateBlock(jinja="{{ text }} {{ answer }}"),
        "question": TemplateBlock(jinja="{{ text }}? {{ answer }}", chat=True),
    },
    default_template="question",
)


def names(wanted, task=TASK):
    return [made.name for made in choose_templates(task, wanted)]


def test_choosing_templates():
    assert names(None) == ["question"]
    assert names(None, make_task(templates={"plain": TASK.templates["plain"]})) == ["plain"]
    assert names("plain") == ["plain"]
    assert names(["question", "plain"]) == ["question", "plain"]
    assert names("{{text}}") == ["inline"]
    assert names(["{{ text }}", "plain", TemplateBlock(jinja="{{ text }}!"), "Just words"]) == [
        "inline", "plain", "inline-2", "inline-3",
    ]  # fmt: skip
    assert choose_templates(TASK, "question")[0].chat is True


@pytest.mark.parametrize(
    ("wanted", "task", "message"),
    [
        ("plane", TASK, "template: 'plane' is no template of task news (did you mean 'plain'?)"),
        (["plain", "plain"], TASK, "template: 'plain' is named twice"),
        ([], TASK, "template: the list is empty"),
        (None, make_task(), "task news: it has no templates; write one under `template:`"),
        ("plain", make_task(), "template: task news has no templates, so none called 'plain'"),
        ("{{ text }", TASK, "template 'inline' of task 'news' line 1: unexpected '}'"),
    ],
)
def test_wrong_choices(wanted, task, message):
    with pytest.raises(InputError) as error:
        choose_templates(task, wanted)
    assert str(error.value) == message


def test_a_prompt_in_colour():
    prompt = Prompt(
        (Soft("plain/1", 20), Text("It: "), Text("T", "text"), Sep(), Soft("j", None, "It was"), Answer()), "sport"
    )
    shown = render_rich(prompt)
    assert shown.plain == "‹soft:plain/1×20›It: T‹sep›‹soft:j=It was›sport"
    console = Console(force_terminal=True, width=200, color_system="standard", legacy_windows=False)
    with console.capture() as captured:
        console.print(shown, end="")
    assert captured.get() == (
        "\x1b[35m‹soft:plain/1×20›\x1b[0mIt: \x1b[36mT\x1b[0m\x1b[2m‹sep›\x1b[0m"
        "\x1b[35m‹soft:j=It was›\x1b[0m\x1b[1;32msport\x1b[0m"
    )
    assert render_rich(prompt, "world").plain.endswith("world")
    assert render_rich(Prompt((Answer(),), "")).plain == "‹answer›"


def test_in_a_chat_an_answer_is_a_turn_of_its_own():
    prompt = Prompt((Text("yes or no?"), Answer()), "yes", chat=True)
    assert render_rich(prompt).plain == "yes or no?\n‹assistant› yes"
