"""Templates that try to leave the sandbox, to run without end or to eat memory: one clear line each.

Nothing here is timed: the work is counted, and a guard that were missing would make a test hang or run out of memory.
"""

import pytest
from prompt_tasks import SPORT, template

from tunewright.errors import InputError
from tunewright.prompts.limits import CHARACTERS, STEPS, State, TooMuch

ROW = {"text": "hello", "label": SPORT}
GROW = "{%% set ns = namespace(x=%s) %%}{%% for i in range(60) %%}{%% set ns.x = %s %%}{%% endfor %%}{{ ns.x }}"

ENDLESS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{% set x %}{% for b in range(99999) %}{{ text }}{% endfor %}{% endset %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{% set x %}{% for i in range(99999) %}" + "A" * 40_000 + "{% endfor %}{% endset %}{{ x }}",
    "{% for i in range(99999) %}{{ (text * 1000) | upper | lower }}{% endfor %}",
    "{% set t = text * 100000 %}{% for i in range(99999) %}{% if 'zz' in t %}{% endif %}{% endfor %}",
    "{% set t = text * 100000 %}{% for i in range(99999) %}{% if t == t[1:] %}{% endif %}{% endfor %}",
    "{% set l = [] %}{% for i in range(99999) %}{% set _ = l.append(text * 1000) %}{% endfor %}",
    "{% set l = [1] %}{% for i in range(60) %}{% set _ = l.extend(l) %}{% endfor %}",
    "{{ [] | slice(10 ** 9) | list }}",
    "{{ 'x' | batch(10 ** 9, 'y') | list }}",
    "{{ range(99999) | map('center', 1000000) | list }}",
    "{{ ('a' * 4000000).rfind('b' + 'a' * 2000000) }}",
    "{{ ('a' * 3900000).strip('b' * 1000000) }}",
    "{% for i in range(99999) %}{{ [1, 2] | choice }}{% endfor %}",
    GROW % ("[1]", "ns.x + ns.x"),
    GROW % ("[1]", "[ns.x, ns.x]"),
    GROW % ("(1,)", "(ns.x, ns.x)"),
    GROW % ("1", "namespace(a=ns.x, b=ns.x)"),
    "{% for i in range(20000) %}{{ 1.5 in range(99999) }}{% endfor %}",
    "{% for i in range(20000) %}{{ range(99999) | max }}{{ zip(range(99999)) | max }}{% endfor %}",
    "{{ ('a ' * 1900000) | title | length }}",
    "{{ ('a ' * 1900000) | wordcount }}",
]
LARGE = [
    "{{ ('{0:{1}}' * 1000).format('a', 9999) }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 'a' | center(10 ** 9) }}",
    "{{ 'a'.center(10 ** 9) }}",
    "{{ 'a'.ljust(10 ** 9) }}",
    "{{ 'a'.rjust(10 ** 9) }}",
    "{{ 'a'.zfill(10 ** 9) }}",
    "{{ 'a\nb' | indent(10 ** 9) }}",
    "{{ 'a\nb' | indent('x' * 3000000) }}",
    "{% set x = 'a' * 4000 %}{{ x | replace('a', x) }}",
    "{% set x = 'a' * 4000 %}{{ x.replace('a', x) }}",
    "{% set x = 'a' * 4000 %}{{ x.replace('', x) }}",
    "{{ range(1000) | join('x' * 100000) }}",
    "{{ ('x' * 100000).join(range(1000) | map('string')) }}",
    "{{ ('%(a)s' * 10000) % {'a': 'x' * 10000} }}",
    "{{ ('{0}' * 10000).format('x' * 10000) }}",
    "{{ ('%9999d' * 1000) % ((1,) * 1000) }}",
    GROW % ("'aa'", "ns.x + ns.x"),
    GROW % ("'aa'", "ns.x ~ ns.x"),
]
REFUSED = [
    ("{{ range(10 ** 9) }}", "Range too big"),
    ("{{ 2 ** (10 ** 9) }}", "a power with such an exponent"),
    (
        "{% set ns = namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "bits is too large",
    ),
    ("{{ '%1000000000d' % 1 }}", "a % format with such a width"),
    ("{{ '%.1000000000f' % 1 }}", "a % format with such a width"),
    ("{{ '%*d' % (10 ** 9, 1) }}", "a % format with such a width"),
    ("{{ '%((a))99999999d' % {'(a)': 1} }}", "a % format with such a width"),
    ("{{ '%1000000000d' | format(1) }}", "a % format with such a width"),
    ("{{ '{:1000000000}'.format(1) }}", "a format with such a width"),
    ("{{ '{0:{1}}'.format(1, 10 ** 9) }}", "a format with such a width"),
    ("{{ 1 | round(10 ** 9, 'ceil') }}", "precision above 30"),
    ("{{ [1] | tojson(10 ** 9) }}", "indent above 16"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested too deeply"),
    ("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", "nested too deeply"),
    ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
    ("{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "30 blocks inside each other"),
    ("{{ " + "9" * 5000 + " }}", "cannot be compiled"),
    ("x" * 200_001, "too many for a template"),
]
ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "{{ ['{0.__class__}'.format] | map(attribute='__class__') | list }}",
    "{{ range.__init__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ text.__len__() }}",
    "{{ (5).to_bytes(10 ** 9) }}",
    "{{ 'a'.encode() }}",
    "{{ 'a'.expandtabs(10 ** 9) }}",
    "{{ dict.fromkeys([1]) }}",
    "{% set f = text.upper %}{{ f.__self__ }}",
]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("source", "message"),
    [(s, "too many steps") for s in ENDLESS] + [(s, "is too long") for s in LARGE] + REFUSED,
    ids=range(len(ENDLESS) + len(LARGE) + len(REFUSED)),
)
def test_attacks_end_in_one_line(source, message, lenient):
    with pytest.raises(InputError, match=r"^template 'plain' of task 'news'") as error:
        template(source, lenient=lenient).render(ROW)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("source", ESCAPES)
def test_the_sandbox_cannot_be_left(source, lenient):
    with pytest.raises(InputError, match=r"is not allowed|may not be called"):
        template(source, lenient=lenient).render(ROW)


@pytest.mark.parametrize("source", ["{{ text | urlize }}", "{{ text | pprint }}", "{{ lipsum() }}"])
def test_what_is_left_out(source):
    with pytest.raises(InputError, match="unknown"):
        template(source)


def test_useful_methods_work():
    source = (
        "{{ text.split('l') | join('-') }} {{ text.replace('l', 'L') }} {{ text.center(9) }}| {{ '%5.1f' % 2.25 }}"
        " {{ '{:>4}'.format(7) }} {{ ', '.join(['a', 'b']) }} {{ {'k': 1}.items() | list }} {{ text.upper()[1:3] }}"
        " {{ 2 ** 10 }} {{ 'ab' * 2 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ [1] + [2] }} {{ -3 | abs }}"
        " {{ [[1], [2]] | sum(start=[]) }}"
    )
    assert template(source).render(ROW).text() == (
        "he--o heLLo   hello  |   2.2    7 a, b [('k', 1)] EL 1024 abab 3 3 [1, 2] 3 [1, 2]"
    )


def test_a_long_conversation_is_no_attack():
    turns = [{"who": "Ann", "says": f"This is turn {i}."} for i in range(20_000)]
    source = "{% for t in turns if t.says %}{{ t.who | upper }}: {{ t.says.strip() }}\n{% endfor %}{{ answer }}"
    prompt = template(source, "generate").render({"turns": turns, "text": "", "summary": "S"})
    assert prompt.text().endswith("ANN: This is turn 19999.\n")


def test_a_budget_is_spent():
    state = State(size=100)
    assert (state.left, state.cap) == (STEPS + 50, CHARACTERS + 800)
    assert state.charge("a" * 1280) == 1280
    assert state.left == STEPS + 50 - 11
    assert state.charge(["ab", {"k": 1}]) == 2 + (2 + 4) + (2 + 1 + 8 + 4 + 4)
    with pytest.raises(TooMuch):
        state.spend(STEPS + 100)
    with pytest.raises(TooMuch):
        State().charge(1 << 10_001)


def test_blocks_inside_blocks_have_an_end():
    """Jinja's compiler takes more than twice the time for each block more."""

    def nested(depth: int) -> str:
        return "{% for a in [1] %}" * depth + "{{ a }}" + "{% endfor %}" * depth

    assert template(nested(20))
    with pytest.raises(InputError, match="21 blocks inside each other are too many"):
        template(nested(21))
    chain = "{% if text == 0 %}x" + "".join(f"{{% elif text == {i} %}}{i}" for i in range(200)) + "{% endif %}"
    assert template(chain)  # side by side, not inside each other
