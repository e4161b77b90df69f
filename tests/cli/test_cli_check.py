"""`tunewright check`: what it counts, measures and shows, and that it changes nothing."""

from pathlib import Path

import pytest
from cli_files import Run, classify_recipe, model, write_recipe, write_rows
from forgetting_parts import battery
from tiny import tiny_rows


def test_counts_lengths_and_prompts(cli: Run, llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama)
    write_rows(tmp_path / "rows.jsonl", [*tiny_rows("classify"), {"text": "", "label": "sport"}])
    recipe = write_recipe(tmp_path, tree)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = cli("check", recipe, "--json")
    assert done.code == 0, done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    facts = done.json
    assert (facts["task"], facts["kind"], facts["labels"]) == ("rows", "classify", ["money", "sport", "weather"])
    assert {split: counts["rows"] for split, counts in facts["splits"].items()} == {
        "train": 25,
        "validation": 4,
        "test": 7,
    }
    totals = {label: sum(c["labels"][label] for c in facts["splits"].values()) for label in facts["labels"]}
    assert totals == {"money": 12, "sport": 12, "weather": 12}
    assert "train: empty rows skipped: 1" in facts["notes"]
    assert (facts["model"]["family"], facts["model"]["slots"], facts["slots"]) == (
        "causal",
        4,
        "4, added by the method",
    )
    tokens = facts["model"]["tokens"]
    assert tokens["rows"] == 25 and 4 < tokens["min"] <= tokens["median"] <= tokens["max"] < 64
    assert facts["model"]["cut"] == 0
    memory = facts["memory"]
    assert memory["peak"] == memory["parts"]["program"] + memory["parts"]["weights"] + memory["added"] < 10**10
    assert memory["free"] > memory["added"] > memory["parts"]["gradients"] == 4 * 4 * 32  # four slots of 32 numbers
    assert len(facts["prompts"]) == 3 and facts["prompts"][0]["id"] == "train-1"
    assert facts["prompts"][0]["prompt"] == "the film and the team\ntopic: "
    assert facts["prompts"][0]["target"] == "sport"


def test_text_for_people(cli: Run, llama: Path, tmp_path: Path) -> None:
    done = cli("check", write_recipe(tmp_path, classify_recipe(tmp_path, llama)), "--rows", "1")
    assert done.code == 0
    for words in (
        "25 rows (money ",
        "tokens a row",
        "0 of 25 rows pass training.max_tokens (512)",
        "in order",
        "memory: about ",
    ):
        assert words in done.out
    assert "the film and the team‹soft:rows/prompt×4›\ntopic: sport\n" in done.out
    assert done.out.count("── train-") == 1


def test_rows_that_will_be_cut_are_counted(cli: Run, llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama)
    rows = tiny_rows("classify")
    data = tmp_path / "data"
    data.mkdir()
    write_rows(data / "train.jsonl", [{"text": "the sea and the snow " * 100, "label": "sport"}, *rows[:20]])
    write_rows(data / "validation.jsonl", rows[20:24])
    write_rows(data / "test.jsonl", rows[24:])
    tree["task"]["path"] = str(data)
    tree["training"]["max_tokens"] = 40
    facts = cli("check", write_recipe(tmp_path, tree), "--json").json
    assert facts["model"]["cut"] == 1
    assert facts["model"]["tokens"]["rows"] == 21
    assert facts["model"]["tokens"]["max"] > 250 > 40 > facts["model"]["tokens"]["median"]


def test_without_a_model(cli: Run, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, Path("no-such-model")))
    done = cli("check", recipe, "--no-model", "--json")
    assert done.code == 0 and done.json["model"] == {"name": "no-such-model"}
    assert len(done.json["prompts"]) == 3
    assert cli("check", recipe).code == 2


def test_a_template_is_tried_on_every_row_even_with_shots(cli: Run, llama: Path, tmp_path: Path) -> None:
    rows = tiny_rows("classify")
    for row in rows:
        row["extra"] = {"name": "x"}
    rows[17]["extra"] = "not an object"
    tree = classify_recipe(tmp_path, llama, shots=1)
    tree["task"]["fields"]["extra"] = "extra"
    tree["task"]["templates"]["plain"] = "{{ text }} {{ extra.name }}\ntopic: {{ answer }}"
    write_rows(tmp_path / "rows.jsonl", rows)
    done = cli("check", write_recipe(tmp_path, tree))
    assert done.code == 2 and "row train-18" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(("arch", "family"), [("t5", "seq2seq"), ("bert", "masked")])
def test_other_families(
    arch: str, family: str, cli: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = write_recipe(tmp_path, classify_recipe(tmp_path, model(tmp_path_factory, arch)))
    done = cli("check", recipe, "--json")
    assert done.code == 0 and done.json["model"]["family"] == family


def test_a_family_that_cannot_generate(cli: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    tree = classify_recipe(tmp_path, model(tmp_path_factory, "bert"))
    write_rows(tmp_path / "rows.jsonl", tiny_rows("generate"))
    tree["task"] = {
        "path": tree["task"]["path"],
        "kind": "generate",
        "templates": {"plain": "{{ text }} {{ answer }}"},
    }
    recipe = write_recipe(tmp_path, tree)
    for command in ("check", "tune"):
        done = cli(command, recipe)
        assert done.code == 2 and len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_several_templates_take_turns(cli: Run, llama: Path, tmp_path: Path) -> None:
    tree = classify_recipe(tmp_path, llama, template=["plain", "{{ text }} is about {{ answer }}"])
    facts = cli("check", write_recipe(tmp_path, tree), "--json").json
    assert [prompt["template"] for prompt in facts["prompts"]] == ["plain", "inline", "plain"]
    assert facts["prompts"][1]["prompt"].endswith(" is about ")


def test_battery_and_remedies_are_opened(cli: Run, llama: Path, tmp_path: Path, own_cache: Path) -> None:
    tasks = battery()["tasks"]
    tree = classify_recipe(tmp_path, llama)
    tree["evaluation"] = {**tree.get("evaluation", {}), "battery": battery()}
    tree["remedies"] = {"replay": {"tasks": tasks, "rows": 4}, "l2-sp": {}, "early-stop": {"battery": battery()}}
    recipe = write_recipe(tmp_path, tree)
    facts = cli("check", recipe, "--json").json
    names = ["other-choose", "other-classify", "text"]
    assert facts["battery"] == {"name": "own", "listed": 3, "tasks": names, "missing": []}
    assert facts["remedies"] == {"replay": {"rows": 12}, "early-stop": {"tasks": names[:2]}, "l2-sp": {}}
    assert facts["memory"]["parts"]["remedies"] == 4 * 4 * 32  # the start of four slots of 32 numbers
    assert cli("check", recipe, "--no-model", "--json").json["battery"] == {"name": "own", "listed": 3}
    tree["evaluation"]["battery"] = "generall"
    done = cli("check", write_recipe(tmp_path, tree))
    assert done.code == 2 and "generall" in done.err
