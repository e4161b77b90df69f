"""What templates make of rows: literal segments."""

import pickle

import pytest
from prompt_tasks import SPORT, make_task, template

from tunewright.errors import InputError
from tunewright.prompts.segments import Answer, Sep, Soft, Text
from tunewright.prompts.template import Template

ROW = {"text": "Rain stopped play.", "label": SPORT}
TURNS = {"turns": [{"who": "Ann", "says": "hi"}, {"who": "Bo", "says": "bye"}], "text": "T", "summary": "S"}


def segments(source, row=ROW, kind="classify", seed=0, **options):
    prompt = template(source, kind, **options).render(row, seed=seed)
    return list(prompt.segments)


def test_words_row_text_and_answer():
    assert segments("{{ text }}\nTopic: {{ answer }}") == [
        Text("Rain stopped play.", "text"),
        Text("\nTopic: "),
        Answer(),
    ]


def test_answer_at_the_end_where_none_is_written():
    assert segments("About: {{ text }} Topic:") == [
        Text("About: "),
        Text("Rain stopped play.", "text"),
        Text(" Topic:"),
        Answer(),
    ]


def test_answer_and_sep_in_the_middle():
    assert segments("A {{ answer }} text{{ sep }}{{ text }}") == [
        Text("A "),
        Answer(),
        Text(" text"),
        Sep(),
        Text("Rain stopped play.", "text"),
    ]


def test_soft_slots():
    made = template(
        '{{ soft(20) }}{{ text }}{{ soft("It was") }}'
        '{{ soft(4, slot="joint", side="decoder") }}{{ soft(2) }}{{ answer }}'
    )
    slots = [
        Soft("plain/1", 20),
        Soft("plain/2", None, "It was"),
        Soft("joint", 4, None, "decoder"),
        Soft("plain/3", 2),
    ]
    assert list(made.slots) == slots
    assert list(made.render(ROW).segments) == [
        slots[0],
        Text("Rain stopped play.", "text"),
        slots[1],
        slots[2],
        slots[3],
        Answer(),
    ]


def test_slots_in_branches_are_listed_without_rendering():
    made = template("{% if text == 'x' %}{{ soft(3) }}{% else %}{{ soft(5) }}{% endif %}{{ text }}{{ answer }}")
    assert [(s.slot, s.length) for s in made.slots] == [("plain/1", 3), ("plain/2", 5)]
    assert made.render(ROW).segments[0] == Soft("plain/2", 5)
    assert made.render({"text": "x", "label": SPORT}).segments[0] == Soft("plain/1", 3)


def test_prefix_names_unnamed_groups():
    assert template("{{ soft(2) }}{{ text }}", prefix="bbc/plain").slots == (Soft("bbc/plain/1", 2),)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("soft(0)", "1 to 10000 slots"),
        ("soft(true)", "1 to 10000 slots"),
        ('soft("  ")', "1 to 10000 slots"),
        ("soft(text)", "one constant"),
        ("soft(3, 4)", "one constant"),
        ("soft()", "one constant"),
        ("soft(3, slots='a')", "no option 'slots' (did you mean 'slot'?)"),
        ("soft(3, slot=text)", "constant name without spaces"),
        ("soft(3, side='left')", '"encoder" or "decoder"'),
        ("soft(3) | upper", "stands alone in its braces"),
        ("text ||| soft(3)", ""),
    ],
)
def test_wrong_soft_calls(call, message):
    with pytest.raises(InputError, match="template 'plain' of task 'news' line 2: ") as error:
        template("{{ text }}\n{{ " + call + " }}")
    assert message in str(error.value)


def test_bar_splits_prompt_and_target():
    prompt = template("\n {{ text }} Topic? \n ||| \n {{ answer_choices[label] }} ").render(ROW)
    assert list(prompt.segments) == [Text("Rain stopped play.", "text"), Text(" Topic? "[:-1] + " "), Answer()]
    assert prompt.target == "sport"
    assert prompt.gold == 1


def test_bar_with_an_answer_place_of_its_own():
    prompt = template("It is {{ answer }}: {{ text }} ||| sport").render(ROW)
    assert list(prompt.segments) == [Text("It is "), Answer(), Text(": "), Text("Rain stopped play.", "text")]
    assert prompt.target == "sport"


def test_no_white_space_control_but_jinjas_own():
    # Plain Environment defaults, as in PromptSource: block lines keep their newlines, one newline at the end goes.
    assert segments("{% if true %}\na\n{% endif %}\n{{ text }}\n") == [
        Text("\na\n\n"),
        Text("Rain stopped play.", "text"),
        Answer(),
    ]


def test_loop_over_a_list_field():
    source = "{% for turn in turns %}{{ turn.who }}: {{ turn.says }}\n{% endfor %}Summary: {{ answer }}"
    assert segments(source, TURNS, "generate") == [
        Text("Ann", "turns"),
        Text(": "),
        Text("hi", "turns"),
        Text("\n"),
        Text("Bo", "turns"),
        Text(": "),
        Text("bye", "turns"),
        Text("\nSummary: "),
        Answer(),
    ]


def test_loop_counters_are_words():
    assert segments(
        "{% for t in turns %}{{ loop.index }}/{{ loop.length }} {{ t.who }} {% endfor %}", TURNS, "generate"
    )[0:2] == [Text("1/2 "), Text("Ann", "turns")]


def test_filters_and_joined_strings():
    assert segments("{{ text | upper }}{{ 'a' ~ text[:4] ~ '.' }}{{ answer }}") == [
        Text("RAIN STOPPED PLAY.", "text"),
        Text("a"),
        Text("Rain", "text"),
        Text("."),
        Answer(),
    ]


def test_inline_conditions_are_marked_branch_by_branch():
    assert segments("{{ text if text else 'none' }}{{ 'long' if text | length > 3 else text }}{{ 'x' if false }}") == [
        Text("Rain stopped play.", "text"),
        Text("long"),
        Answer(),
    ]


def test_block_set_keeps_its_marks():
    source = "{% set q %}Q: {{ text }}{{ soft(2) }}!{% endset %}{{ q }} {{ q | upper }} {{ q | length }}{{ answer }}"
    assert segments(source) == [
        Text("Q: "),
        Text("Rain stopped play.", "text"),
        Soft("plain/1", 2),
        Text("! "),
        Text("Q: RAIN STOPPED PLAY.!", "text"),
        Text(" "),
        Text("22", "text"),
        Answer(),
    ]


def test_macros_and_nested_captures_keep_their_marks():
    source = (
        "{% macro q(a) %}<{{ a }}>{% endmacro %}{% set x %}{{ q(text) }}+{{ q('own') }}{% endset %}"
        "{{ x }}{{ q(x) }}{{ answer }}"
    )
    text, own = Text("Rain stopped play.", "text"), Text("own", "text")  # what a macro is given counts as row text
    once = [text, Text(">+<"), own]
    assert segments(source) == [Text("<"), *once, Text("><<"), *once, Text(">>"), Answer()]


def test_recursive_macros_are_marked():
    row = {"text": "T", "summary": "S", "turns": [{"n": "a", "sub": [{"n": "b", "sub": []}]}]}
    source = "{% macro m(l) %}{% for t in l %}({{ t.n }}{{ m(t.sub) }}){% endfor %}{% endmacro %}{{ m(turns) }}"
    assert segments(source, row, "generate") == [
        Text("("),
        Text("a", "turns"),
        Text("("),
        Text("b", "turns"),
        Text("))"),
        Answer(),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{% set a = text %}{% set b = a %}{{ b }}",
        "{% set l = [] %}{% set _ = l.append(text) %}{{ l[0] }}",
        "{% set l = [] %}{% set m = l %}{% set _ = m.append(text) %}{{ l[0] }}",
        "{% set d = {} %}{% set _ = d.update({'k': text}) %}{{ d.k }}",
        "{% set ns = namespace(x='') %}{% set ns.x = text %}{{ ns.x }}",
        "{% set ns = namespace(l=[]) %}{% set _ = ns.l.append(text) %}{{ ns.l[0] }}",
        "{% with a = text %}{{ a }}{% endwith %}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{% set f = m %}{{ f(text) }}",
        "{% macro m(a=text) %}{{ a }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ varargs[0] }}{% endmacro %}{{ m(text) }}",
        "{% macro m() %}{{ kwargs.k }}{% endmacro %}{{ m(k=text) }}",
        "{% for a, b in zip([1], [text]) %}{{ b }}{% endfor %}",
        "{% for c in [text] %}{{ loop.cycle(c, 'x') }}{% endfor %}",
        "{{ [text] | first }}",
        "{{ {'k': text}['k'] }}",
        "{{ '%s' % text }}",
        "{{ '{}'.format(text) }}",
    ],
)
def test_row_text_is_followed_through_variables(source):
    assert segments(source)[0] == Text("Rain stopped play.", "text")


def test_labels_are_words_and_indices():
    source = "{{ answer_choices | join(' or ') }}? {{ text }} ||| {{ answer_choices[label] }}"
    assert segments(source)[0] == Text("world or sport? ")
    prompt = template("{{ text }} ||| {{ ['W', 'S'][label] }}", answer_choices=["W", "S"]).render(ROW)
    assert (prompt.target, prompt.gold) == ("S", 1)
    prompt = template("{{ text }} ||| {% if label == 'sport' %}S{% else %}W{% endif %}", answer_choices=["W", "S"])
    assert prompt.render(ROW).gold == 1


def test_null_prints_nothing_and_other_values_their_text():
    made = template("{{ text }}{{ length }}{{ turns }}", "generate", fields=("text", "turns", "length", "summary"))
    assert list(made.render({"text": None, "turns": [1], "length": 2.5}).segments) == [
        Text("2.5", "length"),
        Text("[1]", "turns"),
        Answer(),
    ]


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_a_row_without_text_is_skipped(text):
    assert template("{{ text }}\nTopic: {{ answer }}").render({"text": text, "label": SPORT}) is None


def test_an_empty_prompt_is_skipped():
    made = template("{% if text == 'x' %}{{ text }} ||| sport{% endif %}")
    assert made.render(ROW) is None
    assert made.render({"text": "x", "label": SPORT}).target == "sport"


def test_templates_that_append_do_not_change_the_row():
    row = {"text": "T", "summary": "S", "turns": [["a"]]}
    made = template("{% set _ = turns.append('b') %}{% set _ = turns[0].append('c') %}{{ turns }}", "generate")
    assert made.render(row).text() == "[['a', 'c'], 'b']"
    assert made.render(row).text() == "[['a', 'c'], 'b']"
    assert row["turns"] == [["a"]]


def test_choice_depends_on_template_seed_and_call_only():
    made = template("{{ [1, 2, 3, 4, 5, 6, 7, 8] | choice }}{{ range(8) | choice }} {{ text }}{{ answer }}")
    texts = [made.render(ROW, seed=seed).text() for seed in range(12)]
    assert texts == [made.render(ROW, seed=seed).text() for seed in range(12)]
    assert texts[0] == "63 Rain stopped play."
    assert len(set(texts)) > 8


def test_promptsource_filters():
    assert segments("{{ [3, 1, 3, 1, 2] | most_frequent }} {{ 'x' | highlight }}{{ text }}")[0] == Text(
        "[3, 1] <span style='color: #F08080'>x</span>"
    )


def test_chat_is_passed_on():
    assert template("{{ text }}", chat=True).render(ROW).chat is True


def test_fields_used():
    assert template("{{ text }} {% set x = 1 %}{{ x }}{{ answer }}").fields_used() == {"text"}
    assert template("{{ text }} ||| {{ answer_choices[label] }}").fields_used() == {"text", "label"}


def test_a_template_survives_pickling():
    made = pickle.loads(pickle.dumps(template("{{ soft(2) }}{{ text }}{{ answer }}", chat=True)))
    assert isinstance(made, Template)
    assert made.render(ROW) == template("{{ soft(2) }}{{ text }}{{ answer }}", chat=True).render(ROW)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ text }}\n{% if %}", "line 2: expected an expression"),
        ("{{ text }}\n\n{{ text | uper }}", "line 3: unknown filter 'uper' (did you mean 'upper'?)"),
        ("{{ texts }}", "unknown field 'texts' (did you mean 'text'?)"),
        ("{{ text }}{% include 'x' %}", "line 1: the tag {% include %} is not allowed"),
        ("{% for t in text recursive %}{{ t }}{% endfor %}", "line 1: recursive loops are not allowed"),
        ("{{ text }}{% filter upper %}x{% endfilter %}", "line 1: the tag {% filter %} is not allowed"),
        ("{{ text }} {{ label }}", "shows the field 'label', which is the answer"),
        ("{% if label == 'x' %}{{ text }}{% endif %}", "shows the field 'label', which is the answer"),
        ("{{ text }} {{ answer | upper }}", "'answer' stands alone in its braces"),
    ],
)
def test_wrong_templates(source, message):
    with pytest.raises(InputError, match=r"^template 'plain' of task 'news'") as error:
        template(source)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ text }}{{ answer }}{{ answer }}", "{{ answer }} stands in it 2 times"),
        ("{{ text }} ||| a ||| b", "`|||` stands in it 2 times"),
        ("{{ text }}{% if text == 'x' %} ||| a{% endif %}", "reaches no `|||`"),
        ("{{ text }}\n{{ text.foo }}", "line 2: 'str object' has no attribute 'foo'"),
        ("{{ text }}\n\n{{ 1 // 0 }}", "line 3: "),
    ],
)
def test_wrong_rows(source, message):
    with pytest.raises(InputError, match=r"^template 'plain' of task 'news'") as error:
        template(source).render(ROW)
    assert message in str(error.value)


def test_a_row_without_a_field_it_needs():
    with pytest.raises(InputError, match="line 1: 'text' is undefined"):
        template("{{ text }}").render({"label": SPORT})


def test_answer_is_the_tasks_field_after_the_bar():
    row = {"text": "Q?", "answer": "A!"}
    made = template("{{ text }} ||| {{ answer }}", "generate", fields=("text", "answer"), target="answer")
    assert (made.render(row).text("…"), made.render(row).target) == ("Q? …", "A!")
    with pytest.raises(InputError, match="the task has a field 'answer' too"):
        template("{{ text }} {{ answer }}", "generate", fields=("text", "answer", "summary"))


def test_a_lenient_template_is_promptsources():
    made = template("{{ text }}{{ nothing }}{{ soft }}? ||| {{ answer_choices[label] }}{{ sep }}", lenient=True)
    assert (made.render(ROW).text("_"), made.render(ROW).target) == ("Rain stopped play.? _", "sport")
    assert (
        template("{{ text }} {{ label == 1 }} ||| sport", lenient=True).render(ROW).text() == "Rain stopped play. True "
    )
    assert template("{{ text }} ||| a ||| b", lenient=True).render(ROW) is None
    row = {"my-text": "hyphens", "label": SPORT}
    assert template("{{ my_text }} ||| sport", lenient=True).render(row).text() == "hyphens "


def test_task_is_kept_without_rows():
    assert Template.from_block("plain", "{{ text }}", make_task(splits={"train": []})).task.splits == {}
