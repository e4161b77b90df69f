"""PromptSource's files: every construct renders as in PromptSource, what is wrong is named, nothing is lost."""

import copy
import random
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from promptsource_set import ROW, TEMPLATES

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.interop.promptsource import import_folder, read_file, write_file
from tunewright.interop.promptsource_form import promptsource_form
from tunewright.prompts.resolve import choose_templates
from tunewright.prompts.template import Template
from tunewright.prompts.template_file import TemplateFile, read_templates, write_templates
from tunewright.settings import load_yaml, validate
from tunewright.task_block import TaskBlock, TemplateBlock, TemplateFileBlock
from tunewright.tasks.task import LabelName, Task


def reference(choices: str | None, source: str, row: dict[str, Any]) -> list[str] | None:
    """What PromptSource's own `Template.apply` makes of a row (templates.py, version 0.2.3), without a sandbox."""
    env = jinja2.Environment()
    env.globals["zip"] = zip
    env.filters["highlight"] = lambda text: "<span style='color: #F08080'>" + text + "</span>"
    env.filters["choice"] = random.choice
    env.filters["most_frequent"] = lambda items: [
        item for item, count in Counter(items).most_common() if count == Counter(items).most_common()[0][1]
    ]
    values = {key.replace("-", "_"): copy.deepcopy(value) for key, value in row.items()}
    if choices is not None:
        values["answer_choices"] = [part.strip() for part in env.from_string(choices).render(**values).split("|||")]
    parts = [part.strip() for part in env.from_string(source).render(**values).split("|||")]
    return None if parts == [""] else parts


def file_of(path: Path, templates: list[tuple[str, str | None, str]], **more: Any) -> Path:
    """A PromptSource file, written as its authors' files look."""
    lines = ["dataset: toy", "subset: small", "templates:"]
    for i, (name, choices, source) in enumerate(templates):
        value = {"answer_choices": choices, "id": f"id-{i}", "jinja": source}
        lines.append(f"  id-{i}: !Template")
        lines += ["    " + line for line in yaml.safe_dump(value, width=90).splitlines()]
        notes = ["choices_in_prompt: null", "languages: [en]", "metrics: [Accuracy]", "original_task: true"]
        lines += ["    metadata: !TemplateMetadata", *(f"      {note}" for note in notes)]
        lines += [f"    name: {name}", "    reference: ''"]
        lines += [f"    {key}: {value}" for key, value in more.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def task_of(kind: Any = "generate", target: str = "title", **keys: Any) -> Task:
    """A task whose rows are like ROW."""
    given: dict[str, Any] = {
        "name": "toy", "kind": kind, "fields": tuple(ROW), "target": target, "references": None, "labels": None,
        "label_words": {}, "templates": {}, "default_template": None, "metrics": (), "splits": {},
    }  # fmt: skip
    return Task(**(given | keys))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The set of this test, one file a template, read, written and read again."""
    tmp_path = tmp_path_factory.mktemp("set")
    for i, entry in enumerate(TEMPLATES):
        file_of(tmp_path / "ps" / f"set{i}" / "templates.yaml", [entry])
    result = import_folder(tmp_path / "ps", tmp_path / "out")
    assert (result.files, result.read, result.kept, result.refused) == (
        len(TEMPLATES),
        len(TEMPLATES),
        len(TEMPLATES),
        [],
    )
    files = sorted((tmp_path / "out").rglob("*.yaml"))
    return {name: block for file in files for name, block in read_templates(TemplateFileBlock(file=str(file))).items()}


def test_every_construct_renders_as_in_promptsource(imported: dict[str, Any]) -> None:
    assert len(TEMPLATES) > 90
    for name, choices, source in TEMPLATES:
        prompt = Template.from_block(name, imported[name], task_of()).render(ROW)
        wanted = reference(choices, source, ROW)
        if wanted is None or len(wanted) != 2 or not wanted[1]:
            assert prompt is None, name
        else:
            assert prompt is not None and [prompt.text("").strip(), prompt.target] == wanted, name


def test_an_empty_prompt_is_left_out(imported: dict[str, Any]) -> None:
    block = imported["plain"].model_copy(
        update={"jinja": "{% if not flag %}{{text}}{% endif %} {{empty}} ||| {{title}}"}
    )
    made = Template.from_block("x", block, task_of())
    assert made.render(ROW) is None and made.render({**ROW, "flag": False}) is not None


def test_every_file_has_a_subset_and_keeps_it(imported: dict[str, Any], tmp_path: Path) -> None:
    file_of(tmp_path / "ps" / "toy" / "small" / "templates.yaml", TEMPLATES[:1])
    import_folder(tmp_path / "ps", tmp_path / "out")
    tree = load_yaml(tmp_path / "out/toy/small.yaml")
    assert (tree["dataset"], tree["subset"]) == ("toy", "small")


def test_rows_are_not_changed_by_a_template(imported: dict[str, Any]) -> None:
    row = {"text": "a", "title": "b", "options": ["o"]}
    source = "{% set _ = options.append(text) %}{{ options | join }} ||| {{title}}"
    block = imported["plain"].model_copy(update={"jinja": source})
    for _ in range(2):
        prompt = Template.from_block("x", block, task_of()).render(row)
        assert prompt is not None and prompt.text("") == "oa "
    assert row["options"] == ["o"]


def test_a_drawn_word_is_the_seeds(imported: dict[str, Any]) -> None:
    block = imported["plain"].model_copy(update={"jinja": "{{text}} {{ options | choice }} ||| {{title}}"})
    made = Template.from_block("x", block, task_of())
    texts = [made.render(ROW, seed=seed).text("") for seed in range(20)]  # type: ignore[union-attr]
    assert texts == [made.render(ROW, seed=seed).text("") for seed in range(20)]  # type: ignore[union-attr]
    assert {text.split()[-1] for text in texts} == {"home", "away", "draw"}


def test_choices_are_scored(imported: dict[str, Any]) -> None:
    """Fixed ones for labels (columns under their own names, a label's number), a row's own ones for options."""
    labels = ("world", "play", "cash")
    task = task_of("classify", "topic", labels=labels, label_words={}, fields=("body", "topic"),
                   columns={"body": "text", "topic": "label"})  # fmt: skip
    row = {"body": "Goal!", "topic": LabelName("play", 1)}
    prompt = Template.from_block("t", imported["choices-joined"], task).render(row)
    assert prompt is not None
    assert prompt.text("_") == "Goal! Is it Politics, Sport, Money? _"
    assert (prompt.choices, prompt.gold, prompt.target) == (("Politics", "Sport", "Money"), 1, "Sport")
    assert next(s.field for s in prompt.segments if hasattr(s, "field") and s.field) == "body"  # may be shortened

    options = task_of("choose", "right", fields=("text", "choices", "right"), columns={"choices": "options"})
    row = {"text": "Who?", "choices": ["home", "away", "draw"], "right": LabelName("draw", 2)}
    prompt = Template.from_block("t", imported["choices-joined-of-row"], options).render(row)
    assert prompt is not None and (prompt.choices, prompt.gold) == (("home", "away", "draw"), 2)
    with pytest.raises(InputError, match="2 answer_choices for a row of 3 choices"):
        block = imported["choices-joined-of-row"].model_copy(update={"answer_choices": "{{text}} ||| b"})
        Template.from_block("t", block, options).render(row)


@pytest.mark.parametrize(
    ("choices", "words"),
    [("a ||| ", "answer_choices: a choice is empty"), ("a ||| a", "a choice stands there twice"),
     ("{{ x | nope }}", "unknown filter 'nope'"), ("a ||| b", "2 answer_choices for 3 labels")],
)  # fmt: skip
def test_choices_that_cannot_be(choices: str, words: str, imported: dict[str, Any]) -> None:
    task = task_of("classify", "label", labels=("a", "b", "c"))
    block = imported["choices-by-index"].model_copy(update={"answer_choices": choices})
    with pytest.raises(InputError, match=words):
        Template.from_block("t", block, task)


def test_files_are_the_same_after_a_round_trip(tmp_path: Path) -> None:
    source = file_of(tmp_path / "a" / "templates.yaml", TEMPLATES, task_template="false")
    import_folder(tmp_path / "a", tmp_path / "out")
    [file] = (tmp_path / "out").rglob("*.yaml")
    write_file(tmp_path / "back.yaml", validate(TemplateFile, load_yaml(file), "x"))
    assert read_file(tmp_path / "back.yaml") == read_file(source)
    assert "!TemplateMetadata" in (tmp_path / "back.yaml").read_text()
    out = tmp_path / "again.yaml"
    assert main(["export", str(file), "--to", "promptsource", "--output", str(out)]) == 0
    assert out.read_text() == (tmp_path / "back.yaml").read_text()


def test_a_file_of_templates_of_ours_needs_its_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text("templates: {a: '{{ text }} {{ answer }}'}")
    out = tmp_path / "out.yaml"
    assert main(["export", str(tmp_path / "own.yaml"), "--to", "promptsource", "--output", str(out)]) == 2
    assert "template 'a': it is one of ours; its task is wanted" in capsys.readouterr().err and not out.exists()


def test_a_tasks_own_templates_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ps" / "templates.yaml"
    assert main(["export", "bbc-news", "--to", "promptsource", "--output", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "9 templates" in shown and "'chat': PromptSource has no chat templates" in shown
    assert "'cloze': {{ answer }} stands before the end" in shown
    assert main(["export", "bbc-news", "--to", "promptsource", "--output", str(out)]) == 2
    capsys.readouterr()
    assert main(["import", "promptsource", str(tmp_path / "ps"), "--output", str(tmp_path / "in"), "--json"]) == 0
    [file] = (tmp_path / "in").rglob("*.yaml")
    from tunewright.tasks.catalog import catalog_entry

    own = catalog_entry("bbc-news").templates
    for name, block in read_templates(TemplateFileBlock(file=str(file))).items():
        given = own[name]
        assert block.model_dump(exclude_defaults=True) == {"jinja": given if isinstance(given, str) else given.jinja}
    # … and PromptSource itself reads of it what we would ask.
    value = read_file(out)["templates"]
    [plain] = [entry for entry in value.values() if entry["name"] == "plain"]
    row = {"text": "Goal!", "label": "sports"}
    assert reference(plain["answer_choices"], plain["jinja"], row) == ["Goal!\nTopic:", "sport"]
    assert reference(plain["answer_choices"], plain["jinja"], {**row, "label": 4}) == ["Goal!\nTopic:", "technology"]


BOMB = "dataset: x\nl0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]\n" for i in range(1, 6)
)


# Each level merges the one before ten times over: 10 pairs, 100, … 10,000,000.
MERGES = "a0: &a0 {k: v}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 8))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dataset: x\ntemplates: [1\n", "line 3: "),
        ("dataset: x\n", "not a PromptSource file"),
        ("- 1\n", "not a PromptSource file"),
        ("dataset: !!python/object/apply:os.system ['true']\ntemplates: {}\n", "could not determine a constructor"),
        ("dataset: x\ntemplates:\n  a: !Other {jinja: x}\n", "could not determine a constructor"),
        ("dataset: x\ntemplates: &a {b: *a}\n", "something in it holds itself"),
        (BOMB + "templates: {}\n", "with its *anchors written out it has 1234569 values"),
        ("dataset: x\ntemplates: " + "[" * 600 + "]" * 600, "nested too deeply"),
        ("dataset: 2001-13-40\ntemplates: {}\n", "month must be in 1..12"),
        ("dataset: " + "9" * 5000 + "\ntemplates: {}\n", "Exceeds the limit"),
        (MERGES + "dataset: x\ntemplates: {}\n", "line 7: its merges (<<) copy more than 1000000 values"),
    ],
)
def test_files_that_are_none_are_named(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "ps").mkdir()
    (tmp_path / "ps/templates.yaml").write_text(text)
    file_of(tmp_path / "ps/good/templates.yaml", TEMPLATES[:1])
    result = import_folder(tmp_path / "ps", tmp_path / "out")
    assert (result.files, result.kept, len(result.refused)) == (2, 1, 1)
    assert reason in result.refused[0][2]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{text}}", "no `|||`"), ("{{ text | evil }} ||| a", "unknown filter 'evil'"), ("{% if %} ||| a", "line 1"),
        ("{% include 'x' %} ||| a", "include"), ("{% import 'os' as os %} ||| a", "import"),
    ],
)  # fmt: skip
def test_templates_that_cannot_be_used_are_named(source: str, reason: str, tmp_path: Path) -> None:
    file_of(tmp_path / "ps/templates.yaml", [TEMPLATES[0], ("bad", None, source), ("plain", None, "{{text}} ||| b")])
    result = import_folder(tmp_path / "ps", tmp_path / "out")
    assert (result.read, result.kept) == (3, 1)
    assert [name for _, name, _ in result.refused] == ["bad", "plain"]
    assert reason in result.refused[0][2] and "another template" in result.refused[1][2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("metadata: 5", "metadata: input should be a valid dictionary, found 5"),
        ("metadata: [a, b]", "metadata: input should be a valid dictionary"),
        ("metadata: {1: 2}", "metadata.1: input should be a valid string"),
        ("reference: 2001-09-09", "reference: input should be a valid string"),
        ("5: 6", "keys should be strings, found 5"),
    ],
)
def test_one_bad_template_does_not_end_an_import(line: str, reason: str, tmp_path: Path) -> None:
    path = file_of(tmp_path / "ps/templates.yaml", TEMPLATES[:1])
    with path.open("a") as file:
        file.write(f"  other: !Template\n    name: other\n    jinja: a ||| b\n    {line}\n")
    result = import_folder(tmp_path / "ps", tmp_path / "out")
    assert (result.read, result.kept, [name for _, name, _ in result.refused]) == (2, 1, ["other"])
    assert reason in result.refused[0][2]


def test_a_folder_called_as_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ps/x/templates.yaml").mkdir(parents=True)
    file_of(tmp_path / "ps/templates.yaml", TEMPLATES[:1])
    result = import_folder(tmp_path / "ps", tmp_path / "out")
    assert result.kept == 1
    assert result.refused[0][2] == "cannot be read: Is a directory"


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029", "\r", "\t", "\ufeff", "'", '"', "{# x #}", "\n\n"])
def test_odd_characters_are_written_as_they_are(sign: str, tmp_path: Path) -> None:
    blocks = {"a": TemplateBlock(jinja=f"{sign}a{sign}\nb\n {sign} c{sign}"), f"b{sign}c": TemplateBlock(jinja=sign)}
    write_templates(tmp_path / "a.yaml", TemplateFile(templates=blocks))
    assert read_templates(TemplateFileBlock(file=str(tmp_path / "a.yaml"))) == blocks


@pytest.mark.parametrize(
    ("fields", "target", "expected"),
    [
        ({"text": "the-text"}, "its-label", "{% set text = the_text %}{{ text }} ||| {{ its_label }}"),
        ({"text": ["a", "b-c"]}, "label", "{% set text = [a, b_c] %}{{ text }} ||| {{ label }}"),
        ({"text": "my text"}, "label", "template 'p': PromptSource has no way to name the column 'my text'"),
        ({"text": "a", "b": "text"}, "label", "template 'p': fields: PromptSource cannot exchange"),
    ],
)
def test_columns_are_named_as_promptsource_does(fields: Any, target: str, expected: str) -> None:
    block = {"name": "x", "kind": "generate", "target": target, "fields": fields}
    task, template = TaskBlock.model_validate(block), TemplateBlock(jinja="{{ text }} {{ answer }}")
    if "{%" in expected:
        assert promptsource_form("p", template, task)[0] == expected
    else:
        with pytest.raises(InputError, match=expected):
            promptsource_form("p", template, task)


def test_output_that_is_there_and_folders_without_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no templates.yaml in it or below"):
        import_folder(tmp_path, tmp_path / "out")
    file_of(tmp_path / "ps/templates.yaml", TEMPLATES[:1])
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="already there"):
        import_folder(tmp_path / "ps", tmp_path / "out")


def test_a_recipe_reads_a_file_of_templates(tmp_path: Path) -> None:
    file_of(tmp_path / "ps/templates.yaml", [TEMPLATES[0], ("other", None, "{{text}} {{subject}} ||| {{title}}")])
    import_folder(tmp_path / "ps", tmp_path / "out")
    file = str(tmp_path / "out/toy.yaml")
    found = choose_templates(task_of(), TemplateFileBlock(file=file, names=["plain"]))
    assert [template.name for template in found] == ["plain"] and found[0].lenient
    with pytest.raises(InputError, match=r"'other': it reads 'subject', and task toy has no such field or column"):
        choose_templates(task_of(), file)
    with pytest.raises(InputError, match=r"no template 'plan'.*plain"):
        choose_templates(task_of(), TemplateFileBlock(file=file, names=["plan"]))
    with pytest.raises(InputError, match="no such file"):
        choose_templates(task_of(), str(tmp_path / "none.yaml"))
