"""Rules: literal variants, and what holds of all of them."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tasks import tiny_task

from tunewright.errors import InputError
from tunewright.prompts.segments import Answer, Text
from tunewright.prompts.template import Template
from tunewright.search.candidates import Candidate
from tunewright.search.heuristics import variants
from tunewright.search.shape import fitted, shape_of

CUE = "{{ text }}\nTopic: {{ answer }}"


def made(source: str, kind: str = "classify", family: str = "causal", count: int = 80) -> list[Candidate]:
    template = Template.from_block("start", source, tiny_task(kind))  # type: ignore[arg-type]
    return list(islice(variants(template, family), count))  # type: ignore[arg-type]


def test_one_variant_of_each_rule() -> None:
    found = {candidate.how.removeprefix("rule: "): candidate for candidate in made(CUE)}
    expected = {
        "verb classify": "Classify the topic of the text.\n{{ text }}\nTopic: {{ answer }}",
        "question what": "What is the topic of the text?\n{{ text }}\nTopic: {{ answer }}",
        "field before instruction": "{{ text }}\nName the topic of the text.\nTopic: {{ answer }}",
        "cloze 'The topic is'": "{{ text }} The topic is {{ answer }}",
        "cue 'Label:'": "{{ text }}\nLabel: {{ answer }}",
        "no cue": "{{ text }}\n{{ answer }}",
        "options before the cue": "{{ text }}\nOptions: {{ answer_choices | join(', ') }}\nTopic: {{ answer }}",
        "options with or": (
            "What is the topic of the text? {{ answer_choices | join(' or ') }}?\n{{ text }}\nTopic: {{ answer }}"
        ),
        "field quoted": '"{{ text }}"\nTopic: {{ answer }}',
        "answer on its own line": "{{ text }}\nTopic:\n{{ answer }}",
        "lines doubled": "{{ text }}\n\nTopic: {{ answer }}",
        "lines joined": "{{ text }} Topic: {{ answer }}",
        "no colons": "{{ text }}\nTopic {{ answer }}",
        "lower case": "{{ text }}\ntopic: {{ answer }}",
        "Answer with one of": "Answer with one of: {{ answer_choices | join(', ') }}.\n{{ text }}\nTopic: {{ answer }}",
    }
    for name, jinja in expected.items():
        assert found[name].jinja == jinja, name
    capitals = found["answers in capitals"]
    assert (capitals.jinja, capitals.answer_choices) == (CUE, ("Sport", "Money", "Weather"))


def test_the_first_few_are_of_different_kinds() -> None:
    assert [candidate.how.removeprefix("rule: ") for candidate in made(CUE)[:8]] == [
        "lower case", "lines doubled", "no colons", "cue Answer:", "Answer with one of", "options before the cue",
        "answers in upper case", "verb classify",
    ]  # fmt: skip


STARTS = {
    "classify": [
        "{{ text }} {{ answer }}",
        CUE,
        "Review: {{ text | upper }}\n\nWhat is it about?\nAnswer: {{ answer }}",
    ],
    "choose": ["{{ text }}\nAnswer: {{ answer }}", "{{ text }} {{ choices | join(' or ') }}?\nA: {{ answer }}"],
    "generate": ["{{ text }}\nTarget: {{ answer }}", "Write it down.\n{{ text }}"],
}


@pytest.mark.parametrize("family", ["causal", "seq2seq", "masked"])
@pytest.mark.parametrize("kind", ["classify", "choose", "generate"])
def test_thirty_different_valid_variants(kind: str, family: str) -> None:
    if (kind, family) == ("generate", "masked"):
        return  # masked models generate nothing
    task = tiny_task(kind)  # type: ignore[arg-type]
    row = task.split("train")[0]
    for source in STARTS[kind]:
        start = Template.from_block("start", source, task)
        found = made(source, kind, family)
        assert len(found) >= 30
        prompts = set()
        for candidate in found:
            template = candidate.template("candidate", start)
            assert template.fields_used() >= start.fields_used() - {"choices"}, candidate
            prompt = template.render(row)
            assert prompt is not None
            prompts.add(prompt)
            at = next(i for i, segment in enumerate(prompt.segments) if isinstance(segment, Answer))
            behind = [s for s in prompt.segments[at + 1 :] if isinstance(s, Text) and s.text.strip()]
            if family == "causal":
                assert not prompt.segments[at + 1 :], candidate
            if family == "masked":
                assert behind, candidate
            assert candidate.how.startswith("rule: ")
        assert len(prompts) == len(found)  # no two ask the same
        assert start.render(row) not in prompts


def test_the_order_is_drawn_with_the_seed() -> None:
    template = Template.from_block("start", CUE, tiny_task("classify"))
    orders = [[c.jinja for c in islice(variants(template, "causal", seed), 200)] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:30] == orders[2][:30]  # single rules come in their fixed order


def test_parts_of_a_template() -> None:
    task = tiny_task("classify")
    shape = shape_of(Template.from_block("s", "Read this.\nReview: {{ text }}\n\nKind of news: {{ answer }}", task))
    assert shape is not None
    assert (shape.fields, shape.noun, shape.cue) == ((("text", "{{ text }}"),), "kind of news", "Kind of news:")
    assert shape.written == "Read this."
    looped = "{% for c in text %}{{ c }}{% endfor %} is {{ answer }}"
    assert shape_of(Template.from_block("s", looped, task)) is None
    assert len(made(looped)) >= 5  # its words are still edited


@pytest.mark.parametrize(
    ("family", "source", "expected"),
    [
        ("causal", "{{ text }} It was {{ answer }}.", "{{ text }} It was {{ answer }}"),
        ("causal", "{{ answer }} news: {{ text }}", None),
        ("masked", "{{ text }} It was {{ answer }}", "{{ text }} It was {{ answer }}."),
        ("masked", "{{ answer }} news: {{ text }}", "{{ answer }} news: {{ text }}"),
        ("seq2seq", "{{ text }} It was {{ answer }}", "{{ text }} It was {{ answer }}"),
    ],
)
def test_the_answers_place(family: str, source: str, expected: str | None) -> None:
    assert fitted(source, family) == expected  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="ab:{}%#\n '\"|<é", max_size=30), st.text(alphabet="aB:. \n", max_size=10))
def test_any_words_round_the_field_are_survived(before: str, behind: str) -> None:
    """Whatever text stands in a template that compiles: rules raise nothing."""
    try:
        template = Template.from_block("s", f"{before}{{{{ text }}}}{behind}{{{{ answer }}}}", tiny_task("classify"))
    except InputError:
        return
    for candidate in islice(variants(template, "causal"), 20):
        assert "{{ text }}" in candidate.jinja
