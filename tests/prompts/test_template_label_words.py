"""`label_words` of a template: several words a label, in the place of `answer_choices`."""

import pickle

import pytest
from tiny_tasks import tiny_task

from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.settings import validate
from tunewright.task_block import TemplateBlock

WORDS = {"sport": ["ball", "game"], "money": "cash", "weather": ["sun"]}


def block(**keys: object) -> TemplateBlock:
    return validate(TemplateBlock, {"jinja": "{{ answer_choices | join('/') }}: {{ text }} {{ answer }}", **keys}, "t")


def test_they_are_the_choices() -> None:
    task = tiny_task("classify")
    template = Template.from_block("t", block(label_words=WORDS), task)
    for one in (template, pickle.loads(pickle.dumps(template)), Template.from_block("t", template.block(), task)):
        prompt = one.render(task.split("train")[0])
        assert prompt is not None
        assert prompt.choices == ("ball", "game", "cash", "sun")
        assert prompt.choice_labels == (0, 0, 1, 2)
        assert prompt.target == "ball"
        assert prompt.text().startswith("ball/cash/sun: ")
        assert one.first_words == ("ball", "cash", "sun")
    assert template.block().label_words == {"sport": ["ball", "game"], "money": ["cash"], "weather": ["sun"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"sport": "a", "money": "b"}, "the label 'weather' has no words"),
        ({"sport": "a", "money": "b", "weather": "a"}, "'a' stands for both 'sport' and 'weather'"),
        ({"sports": "a", "money": "b", "weather": "c"}, "'sports' is not a label (did you mean 'sport'?)"),
    ],
)
def test_wrong_ones_are_named_with_the_template(words: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as error:
        Template.from_block("mine", block(label_words=words), tiny_task("classify"))
    assert str(error.value).startswith("template 'mine' of task 'tiny-classify': label_words: ")
    assert said in str(error.value)


def test_only_where_there_are_labels_and_no_answer_choices() -> None:
    with pytest.raises(InputError, match="label_words are for tasks of kind classify, this is one of kind generate"):
        Template.from_block("t", TemplateBlock(jinja="{{ text }}", label_words={"a": "b"}), tiny_task("generate"))
    with pytest.raises(InputError, match="give label_words or answer_choices, not both"):
        block(label_words=WORDS, answer_choices=["a", "b", "c"])
    with pytest.raises(InputError, match="write 'yes' in quotes"):
        block(label_words={"sport": [True], "money": "b", "weather": "c"})
