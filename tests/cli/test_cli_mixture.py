"""A recipe with a mixture on the command line: shares and an example of each format, and its rows asked again."""

from pathlib import Path
from typing import Any

import yaml
from cli_files import Run, classify_recipe, write_recipe, write_rows
from tiny import tiny_rows


def mixture_recipe(folder: Path, model: Path) -> Path:
    tasks: list[dict[str, Any]] = []
    for kind, name in (("classify", "first"), ("generate", "second")):
        data = write_rows(folder / f"{kind}.jsonl", tiny_rows(kind))  # type: ignore[arg-type]
        templates = {"plain": "{{ text }}\ntopic: {{ answer }}"}
        if kind == "generate":
            templates["inverted-text"] = "{{ target }}? ||| {{ text }}"
        tasks.append({"name": name, "path": str(data), "kind": kind, "templates": templates})
    members = [{"task": tasks[0], "weight": 3}, {"task": tasks[1], "weight": 1}]
    tree = {"epoch": 40, "formats": {"few_shot": 0.5, "exemplars": [1, 2]}, "members": members}
    (folder / "mix.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    recipe = classify_recipe(folder, model)
    del recipe["task"]
    recipe |= {"mixture": str(folder / "mix.yaml"), "method": "lora"}
    recipe.pop("shots", None), recipe.pop("template", None)
    recipe["evaluation"] = {"baselines": False, "rows": 3, "max_new_tokens": 3, "tasks": [{"task": tasks[1]}]}
    recipe["training"] = {"steps": 2, "batch_size": 4, "max_tokens": 120, "precision": "fp32"}
    return write_recipe(folder, recipe)


def test_check_shows_shares_and_an_example_of_each_format(cli: Run, llama: Path, tmp_path: Path) -> None:
    recipe = mixture_recipe(tmp_path, llama)
    done = cli("check", recipe)
    assert done.code == 0, done.err
    for words in ("of 2 tasks", "first", "75.", "inverted, few-shot", "plain, few-shot, options", "in the mixture",
                  "tokens an example: ", "The recipe is in order."):  # fmt: skip
        assert words in done.out, words
    found = cli("check", recipe, "--no-model", "--json").json
    assert [(one["task"], round(one["share"], 2)) for one in found["mixture"]["tasks"]] == [
        ("first", 0.75), ("second", 0.25),
    ]  # fmt: skip
    assert {name: round(share, 4) for name, share in found["mixture"]["formats"].items()} == {
        "plain, zero-shot": 0.275, "plain, zero-shot, options": 0.1875, "plain, few-shot": 0.275,
        "plain, few-shot, options": 0.1875, "inverted, zero-shot": 0.0375, "inverted, few-shot": 0.0375,
    }  # fmt: skip
    shown = {one["template"].partition(" (")[2].rstrip(")") for one in found["prompts"]}
    assert shown == set(found["mixture"]["formats"])
    assert [(one["task"], one["in_mixture"]) for one in found["asked"]] == [("second", True)]


def test_check_shows_what_is_held_out_and_its_overlap(cli: Run, llama: Path, tmp_path: Path) -> None:
    """All texts end with the same 14 words, and the second task is kept out."""
    recipe = mixture_recipe(tmp_path, llama)
    tree = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    second = tree["evaluation"].pop("tasks")[0]["task"]
    end = " ".join(f"w{i}" for i in range(14))
    for name in ("classify", "generate"):
        write_rows(tmp_path / f"{name}.jsonl", [{**row, "text": f"{row['text']} {end}"} for row in tiny_rows(name)])  # type: ignore[arg-type]
    tree["held_out"] = {"tasks": [{"task": second, "exemplars": [0, 1]}]}
    recipe.write_text(yaml.safe_dump(tree), encoding="utf-8")
    found = cli("check", recipe, "--no-model", "--json").json
    said = found["held_out"]
    assert [one["task"] for one in found["mixture"]["tasks"]] == ["first"]
    assert [(one["task"], one["why"]) for one in said["left_out"]] == [("second", "shares rows with second")]
    assert [one["name"] for one in said["asked"]] == ["second", "second, 1 exemplar"]
    assert said["overlap"]["second"]["share"] == 1 and said["overlap"]["second"]["short"] == 0
    done = cli("check", recipe, "--no-model")
    for words in ("Held out, so left out of the mixture: second", "100.0 %", "w0 w1 w2"):
        assert words in done.out, words


def test_tune_then_evaluate_other_rows(cli: Run, llama: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    done = cli("tune", mixture_recipe(tmp_path, llama), "--output", place, "--json")
    assert done.code == 0, done.err
    assert list(done.json["tasks"]) == ["second"]
    found = cli("evaluate", place, "--split", "validation", "--json")
    assert found.code == 0, found.err
    assert found.json["split"] == "validation" and list(found.json["tasks"]) == ["second"]


def test_the_shipped_ones_are_listed(cli: Run) -> None:
    found = {one["mixture"]: one["tasks"] for one in cli("list", "mixtures", "--json").json}
    assert found["cot"] == 7 and found["flan-2022"] == sum(found[name] for name in ("muffin", "t0-sf", "cot")) + 2
    assert "Natural Instructions" in cli("list", "mixtures").out
