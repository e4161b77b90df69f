"""Targets, choices, references and gold labels, kind by kind, for rows with and without an answer."""

import pytest
from prompt_tasks import SPORT, WORLD, template

from tunewright.errors import InputError
from tunewright.prompts.segments import Prompt
from tunewright.prompts.verbalizer import Verbalizer
from tunewright.tasks.task import LabelName

WORDS = {"world": ("world", "abroad"), "sport": ("sport",)}


def answer(prompt: Prompt) -> tuple:
    return prompt.target, prompt.references, prompt.choices, prompt.choice_labels, prompt.gold


def test_classify_with_several_words_a_label():
    made = template("{{ text }} {{ answer_choices | join('/') }} {{ answer }}", label_words=WORDS)
    prompt = made.render({"text": "T", "label": SPORT})
    assert answer(prompt) == ("sport", ("sport",), ("world", "abroad", "sport"), (0, 0, 1), 1)
    assert prompt.text() == "T world/sport "
    assert answer(made.render({"text": "T", "label": WORLD}))[0] == "world"


def test_a_templates_own_answer_choices():
    made = template("{{ text }} {{ answer }}", answer_choices=["W", "S"], label_words=WORDS)
    assert answer(made.render({"text": "T", "label": SPORT})) == ("S", ("S",), ("W", "S"), (0, 1), 1)
    with pytest.raises(InputError, match="3 answer_choices for 2 labels"):
        template("{{ text }}", answer_choices=["a", "b", "c"])


def test_a_given_verbalizer():
    verbalizer = Verbalizer(("world", "sport"), {"world": ("abroad",), "sport": ("games", "play")})
    made = template("{{ text }} {{ answer }}", verbalizer=verbalizer)
    assert answer(made.render({"text": "T", "label": SPORT}))[2:] == (("abroad", "games", "play"), (0, 1, 1), 1)


@pytest.mark.parametrize("row", [{"text": "T"}, {"text": "T", "label": None}])
@pytest.mark.parametrize("source", ["{{ text }} {{ answer }}", "{{ text }} ||| {{ answer_choices[label] }}"])
def test_a_row_to_be_predicted(source, row):
    prompt = template(source).render(row)
    assert answer(prompt) == ("", (), ("world", "sport"), (0, 1), None)
    assert prompt.text() == "T "


def test_a_row_to_be_predicted_whose_prompt_would_need_the_answer():
    made = template("A {{ answer_choices[label] }} report: ||| {{ text }}", "classify", answer_choices=["T", "U"])
    with pytest.raises(InputError, match="its prompt shows the field 'label', which the row does not have"):
        made.render({"text": "T"})
    assert made.render({"text": "T", "label": SPORT}).gold == 0


def test_a_written_target_must_be_a_choice():
    made = template("{{ text }} ||| {{ 'Sport' if label == 'sport' else 'abroad' }}", label_words=WORDS)
    assert answer(made.render({"text": "T", "label": WORLD}))[0::4] == ("abroad", 0)
    with pytest.raises(InputError) as error:
        made.render({"text": "A long enough text.", "label": SPORT})
    assert str(error.value) == (
        "template 'plain' of task 'news': the target 'Sport' is none of the choices (did you mean 'sport'?)"
        "; row: text='A long enough text.'"
    )


def test_a_label_by_name_and_a_wrong_one():
    made = template("{{ text }} {{ answer }}")
    assert made.render({"text": "T", "label": "sport"}).gold == 1
    with pytest.raises(InputError, match=r"'sprot' is not a label \(did you mean 'sport'\?\)"):
        made.render({"text": "T", "label": "sprot"})


CHOOSE = {"question": "Q?", "choices": ["ice", "sand"], "answer": LabelName("sand", 1)}


def test_choose():
    made = template("{{ question }} {{ answer_choices | join(' or ') }}? {{ answer }}", "choose")
    prompt = made.render(CHOOSE)
    assert prompt.text() == "Q? ice or sand? "
    assert answer(prompt) == ("sand", ("sand",), ("ice", "sand"), (0, 1), 1)
    assert answer(made.render({"question": "Q?", "choices": ["x", "y", "z"]})) == (
        "", (), ("x", "y", "z"), (0, 1, 2), None,
    )  # fmt: skip


def test_choose_by_letters():
    source = "{{ question }}{% for c in choices %} {{ answer_choices[loop.index0] }}) {{ c }}{% endfor %} {{ answer }}"
    made = template(source, "choose", answer_choices=["A", "B", "C", "D"])
    prompt = made.render(CHOOSE)
    assert prompt.text() == "Q? A) ice B) sand "
    assert answer(prompt) == ("B", ("B",), ("A", "B"), (0, 1), 1)
    with pytest.raises(InputError, match="4 answer_choices for a row of 5 choices; row: "):
        made.render({**CHOOSE, "choices": list("abcde")})


def test_choose_written_after_the_bar():
    prompt = template("{{ question }} ||| {{ answer }}", "choose").render(CHOOSE)
    assert answer(prompt) == ("sand", ("sand",), ("ice", "sand"), (0, 1), 1)


@pytest.mark.parametrize(("score", "target"), [(3, "3.0"), (2.25, "2.2"), (4.96, "5.0")])
def test_regress(score, target):
    prompt = template("{{ text }} {{ answer }}", "regress").render({"text": "T", "score": score})
    assert answer(prompt) == (target, (target,), None, None, None)


def test_regress_wants_a_number():
    with pytest.raises(InputError, match="score must be a number, found 'high'"):
        template("{{ text }} {{ answer }}", "regress").render({"text": "T", "score": "high"})


def test_generate():
    row = {"text": "T", "summary": "Short.", "turns": []}
    made = template("{{ text }} Summary: {{ answer }}", "generate")
    assert answer(made.render(row)) == ("Short.", ("Short.",), None, None, None)
    assert answer(made.render({"text": "T"})) == ("", (), None, None, None)
    several = template("{{ text }} {{ answer }}", "generate", references="all")
    assert several.render({**row, "all": ["Short.", "Brief."]}).references == ("Short.", "Brief.")
    assert several.render({**row, "all": []}).references == ("Short.",)
    with pytest.raises(InputError, match="shows the field 'all', which is the answer"):
        template("{{ text }} {{ all[0] }}", "generate", references="all")


def test_generate_written_after_the_bar():
    made = template("{{ text }} ||| {{ summary }}", "generate", references="all")
    row = {"text": "T", "summary": "Short.", "all": ["Short.", "Brief."]}
    assert answer(made.render(row))[:2] == ("Short.", ("Short.", "Brief."))
    other = template("{{ summary }} ||| {{ text }}", "generate", references="all")
    assert answer(other.render(row))[:2] == ("T", ("T",))
    assert made.render({**row, "summary": "  "}) is None
    assert answer(made.render({"text": "T"}))[:2] == ("", ())


def test_tag():
    row = {"tokens": ["Ada", "Lovelace", "in", "Paris"], "tags": ["B-person", "I-person", "O", "B-place"]}
    made = template(
        "{{ tokens | join(' ') }}\nNames: {{ answer }}", "tag", labels=("O", "B-person", "I-person", "B-place")
    )
    prompt = made.render(row)
    assert prompt.text() == "Ada Lovelace in Paris\nNames: "
    text = "Ada Lovelace: person; Paris: place"
    assert answer(prompt) == (text, (text,), None, None, None)
    assert answer(made.render({"tokens": ["Oslo"]})) == ("", (), None, None, None)
