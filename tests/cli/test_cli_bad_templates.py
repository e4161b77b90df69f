"""`tunewright check` with templates from strangers: one line that names template and row, no long wait."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_files import Run, write_rows

ROWS = [{"text": f"row {i} has words", "label": "xy"[i % 2], "options": ["a|b", "c"]} for i in range(12)]
ATTACKS = [
    ("{{ ''.__class__.__mro__ }}", "access to '__class__' of a str is not allowed"),
    ("{{ cycler.__init__.__globals__ }}", "access to '__init__' of a type is not allowed"),
    ("{{ range(10**9) }}", "Range too big"),
    ("{{ 'a' * 10**10 }}", "is too long"),
    ("{{ '%1000000000d' % 1 }}", "is too long"),
    ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested too deeply"),
    ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "too many steps"),
    ("{% include '/etc/passwd' %}", "the tag {% include %} is not allowed"),
    ("{% from 'inline' import m %}", "import %} is not allowed"),
    ("{{ text | nope }}", "unknown filter 'nope'"),
]
OURS = [
    ({"jinja": "{{ texd }}"}, "template 'inline' of task 'd': unknown field 'texd' (did you mean 'text'?)"),
    ({"jinja": "{{ answer }} {{ answer }}"}, "row train-1: template 'inline' of task 'd': {{ answer }} stands in it 2"),
    ({"jinja": "{{ text }}|||maybe"}, "row train-1: template 'inline' of task 'd': the target 'maybe' is none of the"),
    ({"jinja": "{{ text }}", "answer_choices": ["a", "a"]}, "answer_choices: 'a' stands for both 'x' and 'y'"),
    ({"jinja": "{{ text }}", "answer_choices": ["a", ""]}, "answer_choices: the label 'y' has an empty word"),
    ({"jinja": "{{ text }}", "answer_choices": []}, "template 'inline' of task 'd': 0 answer_choices for 2 labels"),
    ({"jinja": "{{ text }}", "answer_choices": "{{ text }} ||| {{ text }}"}, "row train-1: template 'inline'"),
    ({"jinja": "{{ text }}", "label_words": {"x": "b", "y": "b"}}, "label_words: 'b' stands for both 'x' and 'y'"),
    ({"jinja": "{{ text }}", "label_words": {"x": "b"}}, "label_words: the label 'y' has no words"),
    # what is no template at all: the key is named
    ({"jinja": "{{ text }}", "answer_choices": ["a", True]}, "template.answer_choices.1: input should be a valid str"),
    ({"jinja": "x", "answer_choices": ["a"], "label_words": {}}, "template: give label_words or answer_choices, not"),
    ({"jinja": "x", "label_words": {"x": True}}, "template.label_words: write 'yes' in quotes"),
    ({"jinja": "x", "anwer_choices": ["a"]}, "unknown key 'template.anwer_choices' (did you mean 'answer_choices'?)"),
    ({"file": "x.yaml", "name": ["a"]}, "unknown key 'template.name' (did you mean 'names'?)"),
    ({"file": 3}, "template.file: input should be a valid string, found 3"),
]  # fmt: skip


def check(folder: Path, cli: Run, template: dict[str, Any]) -> str:
    write_rows(folder / "d.jsonl", ROWS)
    fields = {name: name for name in ROWS[0]}
    task = {"path": str(folder / "d.jsonl"), "kind": "classify", "labels": ["x", "y"], "fields": fields}
    recipe = {"model": "smollm2-135m-instruct", "task": task, "template": template, "method": "none"}
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    done = cli("check", "--no-model", folder / "r.yaml")
    assert done.code == 2 and done.out == ""
    assert done.err.count("\n") == 1 and "Traceback" not in done.err
    return done.err


@pytest.mark.parametrize("imported", [False, True])
@pytest.mark.parametrize(("source", "told"), ATTACKS)
def test_attacks(source: str, told: str, imported: bool, tmp_path: Path, cli: Run) -> None:
    template = {"jinja": source, "promptsource": {"id": "x"}} if imported else {"jinja": source}
    line = check(tmp_path, cli, template | {"jinja": source + "||| x"} if imported else template)
    assert told in line and "template 'inline' of task 'd' line 1" in line


@pytest.mark.parametrize(("template", "told"), OURS)
def test_what_is_wrong_is_named(template: dict[str, Any], told: str, tmp_path: Path, cli: Run) -> None:
    assert told in check(tmp_path, cli, template)


def test_files_that_write_out_to_too_much(tmp_path: Path, cli: Run) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    for name, text, told in [
        ("bomb.yaml", "\n".join(lines), "with its *anchors written out it has 1234567900 values"),
        ("loop.yaml", "templates: &a {b: *a}", "something in it holds itself"),
        ("deep.yaml", "a: " + "[" * 600 + "]" * 600, "nested too deeply"),
    ]:
        (tmp_path / name).write_text(text)
        assert told in check(tmp_path, cli, {"file": str(tmp_path / name)})
