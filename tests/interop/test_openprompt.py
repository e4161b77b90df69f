"""OpenPrompt's files: every form of its templates and label words as ours, what is wrong is named, nothing is run."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.interop.openprompt import import_templates
from tunewright.interop.openprompt_jinja import Fields, jinja_of
from tunewright.interop.openprompt_lambda import processed
from tunewright.interop.openprompt_parse import pieces_of
from tunewright.interop.openprompt_words import read_words
from tunewright.prompts.segments import Answer, Sep, Soft, Text
from tunewright.prompts.template import Template
from tunewright.prompts.template_file import read_templates
from tunewright.task_block import TemplateBlock, TemplateFileBlock
from tunewright.tasks.task import LabelName, Task

TASK = Task(
    name="toy", kind="classify", fields=("text_a", "text_b", "word", "turns", "label"), target="label", references=None,
    labels=("bad", "good"), label_words={}, templates={}, default_template=None, metrics=(), splits={},
)  # fmt: skip
ROW = {
    "text_a": "A cat sat.",
    "text_b": "It Purred!",
    "word": "cat",
    "turns": ["Hi.", "Bye."],
    "label": LabelName("good", 1),
}
A, B = '{"placeholder": "text_a"}', '{"placeholder": "text_b"}'

# line of a file → Jinja text of ours
LINES = {
    f'{A} It was {{"mask"}} .': "{{ text_a }} It was {{ answer }} .",
    f'  {A}  and   {B}?{{"mask"}}': " {{ text_a }} and {{ text_b }}? {{ answer }}",
    f'{{"mask"}} : {A}': "{{ answer }} : {{ text_a }}",
    f'{A} {{"special": "<sep>"}} {{"mask"}}': "{{ text_a }} {{ sep }} {{ answer }}",
    f'{A} {{"special": "<eos>"}} {{"mask"}}': "{{ text_a }} {{ sep }} {{ answer }}",
    f'{A} {{"meta": "word"}}? {{"mask"}}': "{{ text_a }} {{ word }}? {{ answer }}",
    f'{{"text": "Text: "}}{A} {{"text": "\\nSo:"}} {{"mask"}}': "Text: {{ text_a }} \nSo: {{ answer }}",
    f'{{"soft"}} {{"soft": None}} {{"soft"}} {A} {{"mask"}}': "{{ soft(3) }} {{ text_a }} {{ answer }}",
    f'{{"soft": None, "duplicate": 20}} {A} {{"soft"}} {{"mask"}}':
        "{{ soft(20) }} {{ text_a }}{{ soft(1) }} {{ answer }}",
    f'{{"soft": None, "duplicate": 2, "same": True}} {A} {{"mask"}}':
        '{{ soft(1, slot="t/same1") }}{{ soft(1, slot="t/same1") }} {{ text_a }} {{ answer }}',
    f'{A} {{"soft": "It was"}} {{"mask"}}.': '{{ text_a }}{{ soft(" It was") }} {{ answer }}.',
    f'{{"soft": "It", "soft_id": 1}} {A} {{"soft_id": 1}} {{"soft_id": 2}} {{"mask"}}':
        '{{ soft("It", slot="t/soft1") }} {{ text_a }}{{ soft("It", slot="t/soft1") }}{{ soft(1, slot="t/soft2") }}'
        " {{ answer }}",
    f'{{"soft": None, "duplicate": 3, "soft_id": 7}} {A} {{"soft_id": 7}} {{"mask"}}':
        '{{ soft(3, slot="t/soft7") }} {{ text_a }}{{ soft(3, slot="t/soft7") }} {{ answer }}',
    '{"placeholder": "text_a", "post_processing": lambda x: x.rstrip(string.punctuation)}, {"mask"}':
        "{{ text_a.rstrip(" + json.dumps(string.punctuation) + ") }}, {{ answer }}",
    '{"placeholder": "text_b", "post_processing": lambda s: s[:1].lower() + s[1:] + "."} {"mask"}':
        "{{ text_b[:1].lower() }}{{ text_b[1:] }}. {{ answer }}",
    '{"placeholder": "text_b", "post_processing": "lambda x: x.strip(\'.\')", "shortenable": False} {"mask"}':
        '{{ text_b.strip(".") }} {{ answer }}',
    '{"meta": "turns", "post_processing": lambda x: "\\n".join(x[-2:])} {"mask"}':
        '{{ "\\n".join(turns[-2:]) }} {{ answer }}',
    f'{{"text": "{{{{ 7 * 7 }}}} {{% x %}}"}} {A} {{"mask"}}':
        "{{ '{' }}{{ '{' }} 7 * 7 }} {{ '{' }}% x %} {{ text_a }} {{ answer }}",
    f'{{"text": "}}"}} {A} {{"mask"}}': "} {{ text_a }} {{ answer }}",
}  # fmt: skip


@pytest.mark.parametrize(("line", "jinja"), LINES.items(), ids=range(len(LINES)))
def test_every_form_of_a_line(line: str, jinja: str) -> None:
    assert jinja_of(pieces_of(line), Fields(), name="t") == jinja
    prompt = Template.from_block("t", jinja, TASK).render(ROW)
    assert prompt is not None and sum(isinstance(s, Answer) for s in prompt.segments) == 1


def wrapped(line: str, words: str) -> list[Any]:
    """What OpenPrompt's `wrap_one_example` and verbalizer make of a line, in the words of its documentation.

    Each piece has one space before it where the file has any; slots have no text; a label word brings its own space.
    """
    found: list[Any] = []
    for piece in pieces_of(line):
        space = " " if piece.space else ""
        if piece.kind == "soft":
            found.append((piece.value, piece.options.get("duplicate", 1)))
        elif piece.kind == "special":
            found += [space, Sep]
        else:
            value = {"text": piece.value, "mask": words}.get(piece.kind, ROW.get(piece.value or ""))
            found.append((" " if piece.kind == "mask" else space) + str(value))
    merged: list[Any] = []
    for part in found:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        elif part != "":
            merged.append(part)
    return merged


@pytest.mark.parametrize("line", [line for line in LINES if "lambda" not in line and "soft_id" not in line])
def test_prompts_read_as_in_openprompt(line: str) -> None:
    if line.startswith('{"mask"}'):
        line = " " + line  # a label word's space at the very front is the file's business here
    prompt = Template.from_block("t", jinja_of(pieces_of(line), Fields(), name="t"), TASK).render(ROW)
    assert prompt is not None
    text, texts = "", []
    for segment in prompt.segments:
        if isinstance(segment, Text | Answer):
            text += segment.text if isinstance(segment, Text) else "good"
        else:
            texts.append(text)
            text = ""
    wanted = [part if isinstance(part, str) else "|" for part in wrapped(line, "good")]
    assert "".join(filter(None, [*texts, text])) == "".join(part for part in wanted if part != "|")
    slots = sum(s.length or 0 for s in prompt.segments if isinstance(s, Soft))
    assert slots == sum(p[1] for p in wrapped(line, "") if isinstance(p, tuple) and p[0] is None)


REFUSED = [
    (f"{A} no mask", 'no {"mask"}'),
    (f'{A} {{"mask"}} {{"mask"}}', '2 {"mask"}'),
    (f'{A} {{"mask"', "column 27"),
    (f'{A} {{mask}} {{"mask"}}', "column 27: `mask` is no constant"),
    (f'{A} {{"masc"}} {{"mask"}}', "unknown key 'masc' (did you mean 'mask'?)"),
    (f'{A} {{"shortenable": True}} {{"mask"}}', "found none of them"),
    (f'{{"placeholder": "text_a", "soft": "x"}} {{"mask"}}', "found placeholder and soft"),  # noqa: F541
    ('{"placeholder": "tgt_text"} {"mask"}', "only text_a and text_b"),
    ('{"placeholder": 3} {"mask"}', "placeholder: text wanted, found 3"),
    ('{"special": "<cls>"} {"mask"}', "special '<cls>' has no form here"),
    ('{"meta": "answer"} {"mask"}', "'answer' cannot be a field"),
    ('{"meta": "a b"} {"mask"}', "'a b' cannot be a field"),
    ('{"text": "a ||| b"} {"mask"}', "`|||` in the text"),
    ('{"soft": None, "duplicate": 1000000000} {"mask"}', "duplicate: 1 to 10000 slots wanted, found 1000000000"),
    ('{"soft": None, "duplicate": 9999, "same": True} {"mask"}', "one slot 9999 times over"),
    ('{"soft": None, "duplicate": "x"} {"mask"}', "duplicate: 1 to 10000"),
    ('{"soft_id": 0} {"mask"}', "soft_id: a whole number from 1"),
    ('{"soft": 3} {"mask"}', "soft: words or nothing wanted, found 3"),
    ('{"soft": "x" * 10**9} {"mask"}', "is no constant; files are read, not run"),
    ('{"text": __import__("os").system("true")} {"mask"}', "is no constant"),
    ('{"text": "a", "text": "b"} {"mask"}', "the key 'text' stands there twice"),
    ("{" * 3000 + ' {"mask"}', "column 1"),
    ("{" + "-" * 1500 + '1} {"mask"}', ""),
    ("x" * 100_001 + '{"mask"}', "too many for a template"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_line_that_cannot_be_a_template_is_named(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "manual_template.txt"
    path.write_text(f'\n{line}\n{A} {{"mask"}}\n')
    done = import_templates(path, {})
    assert (done.read, list(done.templates)) == (2, ["manual-3"])
    [(number, told)] = done.refused
    assert number == 2 and reason in told and "\n" not in told and len(told) < 300


LAMBDAS = [
    "lambda x: __import__('os')", "lambda x: x.__class__", "lambda x: x.format(1)", "lambda x: open(x)", "x.strip()",
    "lambda x, y: x", "lambda *x: x", "lambda x=1: x", "lambda x: x * 9", "lambda x: x if x else ''",
    "lambda x: x[y]", "lambda x: x[0.5]", "lambda x: y", "lambda x: x.strip(x)", "lambda x: [c for c in x]",
    "lambda x: (lambda y: y)(x)", "lambda x: x.replace(old='a', new='b')", "lambda x: string.Formatter", "lambda",
    "lambda x: x" + ".strip()" * 100, "lambda x: " + "(" * 300 + "x" + ")" * 300,
]  # fmt: skip


@pytest.mark.parametrize("code", LAMBDAS)
def test_other_functions_are_refused(code: str) -> None:
    with pytest.raises(InputError, match=r"^post_processing: [^\n]*$"):
        processed(code, "text")


TEXTS = st.text(st.sampled_from(" .,aB?x\n'\"\\{}ß"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, words=TEXTS, start=st.integers(-4, 4), end=st.integers(-4, 4))
def test_a_function_does_what_python_does(text: str, words: str, start: int, end: int) -> None:
    code = f"lambda x: x[{start}:{end}].strip({words!r}) + {words!r} + x.replace('a', {words!r}).upper()"
    wanted = text[start:end].strip(words) + words + text.replace("a", words).upper()
    parts = [(words, part) for words, part in processed(code, "text_a")]
    line = "".join(part.replace("{", "{{ '{' }}") if said else f"{{{{ {part} }}}}" for said, part in parts)
    prompt = Template.from_block("t", line + "{{ word }}{{ answer }}", TASK).render({**ROW, "text_a": text})
    assert prompt is not None and prompt.text() == wanted + "cat"


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("{}\"' :,ab\\[]()lambdsoftmk"), max_size=40))
def test_no_line_is_a_traceback(line: str) -> None:
    try:
        jinja = jinja_of(pieces_of(line + ' {"mask"}'), Fields(), name="t")
    except InputError:
        return
    assert "{{ answer }}" in jinja


# Label words


def words_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text", "labels", "block"),
    [
        ("v.txt", "bad\ngood\n", (), {"answer_choices": ["bad", "good"]}),
        ("v.csv", "bad, awful,bad\n good\n", ("n", "p"), {"label_words": {"n": ["bad", "awful"], "p": ["good"]}}),
        ("v.json", '{"n": ["bad", "so so"], "p": "good"}', (), {"label_words": {"n": ["bad", "so so"], "p": ["good"]}}),
        ("v.json", '{"n": "bad", "p": "good"}', ("p", "n"), {"label_words": {"p": ["good"], "n": ["bad"]}}),
        ("v.json", '["bad", "good"]', (), {"answer_choices": ["bad", "good"]}),
        ("v.json", '[["bad"], ["good"]]', (), {"answer_choices": ["bad", "good"]}),
        ("v.jsonl", '[{"a": "x", "b": "y"}, {"a": "z", "b": "w"}]', (), {"label_words": {"a": ["x"], "b": ["y"]}}),
        ("v.txt", ' {"text": "No"}\n {"text":"Yes"}', (), {"answer_choices": ["No", "Yes"]}),
        ("v.txt", '{"meta": "c1"} \n it: {"meta":"c2"}.', (), {"answer_choices": "{{ c1 }} ||| it: {{ c2 }}."}),
        ("v.txt", '{"meta": "answers"}', (), {"answer_choices": "{{ answers }}"}),
        ("v.txt", "<!>'s\n<!>ing", (), {"answer_choices": ["'s", "ing"]}),
        ("v.txt", "a,x,y\nb,x", ("n", "p"), {"label_words": {"n": ["a", "y"], "p": ["b"]}}),
    ],
)
def test_forms_of_label_words(name: str, text: str, labels: Any, block: Any, tmp_path: Path) -> None:
    found = read_words(words_file(tmp_path, name, text), 1, labels)
    assert found.block() == block
    assert found.glued == ("<!>" in text) and found.shared == ({"x": ["n", "p"]} if "a,x" in text else {})


def test_another_set(tmp_path: Path) -> None:
    path = words_file(tmp_path, "v.txt", "bad\ngood\n\n\nno\nyes\n")
    assert [read_words(path, choice).words for choice in (1, 2)] == [[["bad"], ["good"]], [["no"], ["yes"]]]
    with pytest.raises(InputError, match=r"v\.txt: set 3 wanted, it holds 2"):
        read_words(path, 3)


@pytest.mark.parametrize(
    ("name", "text", "labels", "reason"),
    [
        ("v.txt", "\n \n", (), "no label words in it"),
        ("v.json", "[]", (), "no label words in it"),
        ("v.txt", "Yes No", (), "one class only ('Yes No')"),
        ("v.txt", "a,b\nc", (), "several words a class: name the classes"),
        ("v.txt", "a\nb", ("x",), "2 classes, but --label names 1"),
        ("v.json", '{"n": "a", "p": "b"}', ("n", "q"), "classes 'n, p', but --label names 'n, q'"),
        ("v.json", '{"n": "a",\n "p": }', (), "line 2: no JSON"),
        ("v.json", '{"n": "a", "n": "b"}', (), "the class 'n' stands there twice"),
        ("v.json", '{"n": "a", "p": 3}', (), "words of a class wanted, found 3"),
        ("v.json", "3", (), "a mapping of classes or a list wanted, found int"),
        ("v.json", "[" * 100_000, (), "nested too deeply"),
        ("v.txt", "a\na", (), "no word is left that stands for 'class 1' alone: 'a' stands for class 1, class 2 too"),
        ("v.json", '{"n": [], "p": ["b"]}', (), "'n' has no words"),
        ("v.txt", "<!>a\nb", (), "words with and without <!>"),
        ("v.txt", '{"mask"}\n{"text": "b"}', (), "a label word cannot hold mask"),
        ("v.txt", '{"text": open("x")}\nb', (), "is no constant"),
        ("ptr_verbalizer.jsonl", "{}", (), "several masks"),
    ],
)
def test_label_words_that_cannot_be(name: str, text: str, labels: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_words(words_file(tmp_path, name, text), 1, labels)
    assert str(error.value).startswith(str(tmp_path / name)) and reason in str(error.value)


def test_what_the_user_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = words_file(
        tmp_path, "ptuning_template.txt",
        f'{A} {{"soft"}} {B} {{"mask"}}\n{{"placeholder": "text_a", "post_processing": lambda x: f(x)}} {{"mask"}}\n',
    )  # fmt: skip
    words = words_file(tmp_path, "verbalizer.txt", "bad,poor\ngood\n")
    out = tmp_path / "out.yaml"
    named = ["--label", "bad", "--label", "good"]
    rest = ["--verbalizer", str(words), *named, "--field", "text_b=word", "--output", str(out)]
    assert main(["import", "openprompt", str(path), *rest]) == 0
    shown = capsys.readouterr().out
    assert "2 templates read: 1 kept, 1 refused" in shown
    assert "refused: line 2: post_processing: `f(x)` has no form in a template" in shown
    assert "fields: text_a, word" in shown and "method: p-tuning" in shown
    [(name, block)] = read_templates(TemplateFileBlock(file=str(out))).items()
    assert (name, block.jinja) == ("ptuning-1", "{{ text_a }}{{ soft(1) }} {{ word }} {{ answer }}")
    prompt = Template.from_block(name, block, TASK).render(ROW)
    assert prompt is not None
    assert (prompt.choices, prompt.choice_labels, prompt.gold) == (("bad", "poor", "good"), (0, 0, 1), 1)

    assert main(["import", "openprompt", str(path), "--output", str(out)]) == 2  # it is there
    capsys.readouterr()
    assert main(["import", "openprompt", str(path), "--field", "text_b=", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["read"], said["kept"], said["output"], said["fields"]) == (2, 1, None, ["text_a"])
    assert said["templates"] == {"ptuning-1": {"jinja": "{{ text_a }}{{ soft(1) }} {{ answer }}"}}
    assert [one["line"] for one in said["refused"]] == [2]

    assert main(["import", "openprompt", str(words), *named]) == 0  # label words alone: YAML for a task or a template
    assert yaml.safe_load(capsys.readouterr().out) == {"label_words": {"bad": ["bad", "poor"], "good": ["good"]}}


def test_a_file_without_text_b_reads_the_field_text(tmp_path: Path) -> None:
    path = words_file(tmp_path, "prefix_template.txt", f'{A} {{"special": "<eos>"}} {{"mask"}}')
    done = import_templates(path, {})
    assert done.templates["prefix"].jinja == "{{ text }} {{ sep }} {{ answer }}"
    assert any("method: prefix-tuning" in note for note in done.notes) and any("<eos>" in note for note in done.notes)
    assert import_templates(path, {"text_a": "body"}).fields == ["body"]


def test_words_that_are_glued_have_no_space(tmp_path: Path) -> None:
    path = words_file(tmp_path, "manual_template.txt", f'{A} It is {{"mask"}}')
    words = read_words(words_file(tmp_path, "v.txt", "<!>'s\n<!>ing"))
    assert import_templates(path, {}, words).templates["manual"].jinja == "{{ text }} It is{{ answer }}"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["none.txt"], "none.txt: no such file"),
        (["."], "a folder; a file of templates wanted"),
        (["good.txt", "--verbalizer", "."], "a folder; a file of label words wanted"),
        (["text.txt"], 'no template in it: no line has {"mask"}'),
        (["latin.txt"], "not UTF-8 text"),
        (["bad.txt"], "no template can be used: line 1: 2"),
        (["good.txt", "--field", "text_b=x"], "no template has 'text_b' (--field): it reads text_a"),
        (["good.txt", "--field", "text_a"], "THEIRS=OURS wanted"),
        (["good.txt", "--field", "text_a=x", "--field", "text_a=y"], "'text_a' is named twice"),
        (["good.txt", "--label", "x"], "give --verbalizer FILE"),
        (["v.json", "--verbalizer", "v.json"], "a file of templates wanted"),
        (["good.txt", "--verbalizer", "none.json"], "none.json: no such file"),
    ],
)
def test_wrong_calls(
    arguments: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"text.txt": "a\nb", "bad.txt": '{"mask"}{"mask"}', "good.txt": f'{A} {{"mask"}}'}.items():
        words_file(tmp_path, name, text)
    words_file(tmp_path, "v.json", '["a", "b"]')
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe\xfa")
    assert main(["import", "openprompt", *arguments]) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1


def test_promptsource_has_no_such_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "promptsource", str(tmp_path), "--output", str(tmp_path / "o"), "--label", "x"]) == 2
    assert "are for openprompt" in capsys.readouterr().err
    assert main(["import", "promptsource", str(tmp_path)]) == 2
    assert "--output is missing" in capsys.readouterr().err


# label_words in a template


def test_a_templates_own_label_words() -> None:
    block = TemplateBlock.model_validate({"jinja": "{{ text_a }} {{ answer }}",
                                          "label_words": {"good": ["fine", "nice"], "bad": "poor"}})  # fmt: skip
    made = Template.from_block("t", block, TASK)
    prompt = made.render(ROW)
    assert prompt is not None
    assert (prompt.choices, prompt.choice_labels, prompt.target) == (("poor", "fine", "nice"), (0, 1, 1), "fine")
    again = Template.from_block("t", made.block(), TASK)
    assert again.render(ROW) == prompt
    for words, told in [
        ({"good": "x"}, "the label 'bad' has no words"),
        ({"good": "x", "bad": "x"}, "'x' stands for both 'bad' and 'good'"),
        ({"good": [], "bad": "x"}, "the label 'good' has no words"),
        ({"good": "x", "bad": "y", "bda": "z"}, "'bda' is not a label"),
    ]:
        with pytest.raises(InputError, match=f"^template 't' of task 'toy': label_words: {told}"):
            Template.from_block("t", TemplateBlock(jinja="{{ text_a }}", label_words=words), TASK)
