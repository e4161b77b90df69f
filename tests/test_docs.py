"""What README says is true: its recipes are valid, its commands run, its tables and files are there."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from tiny import tiny_folder, tiny_rows

from tunewright.cli.main import main
from tunewright.methods.registry import METHODS
from tunewright.pretraining.ppt.recipe import load_prompt_recipe
from tunewright.pretraining.raw.recipe import load_pretraining
from tunewright.recipe import Recipe, Study, TaskBlock, load_recipe, load_study
from tunewright.settings import validate
from tunewright.studies.grid import trials_of

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """The `tunewright` commands of README, in shell blocks and in the text."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(\.venv/bin/tunewright [^`]+)`", README)
    found = [shlex.split(line, comments=True) for line in lines]
    return [words[1:] for words in found if words and words[0].endswith("tunewright")]


def test_yaml_blocks_are_valid() -> None:
    kinds = []
    for text in blocks("yaml"):
        value = yaml.safe_load(text)
        if "methods" in value:
            assert len(trials_of(validate(Study, value, "README"), "README")) == 15
            kinds.append("study")
        elif "model" in value:
            validate(Recipe, value, "README")
            kinds.append("recipe")
        else:
            validate(TaskBlock, value["task"], "README")
            kinds.append("task")
    assert kinds == ["recipe", "task", "recipe", "study"]


def test_the_recipe_explained_is_the_recipe_in_the_folder() -> None:
    assert yaml.safe_load(blocks("yaml")[0]) == yaml.safe_load(
        (ROOT / "recipes/bbc-prompt-tuning.yaml").read_text(encoding="utf-8")
    )


def test_all_recipes_are_valid() -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        keys = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "methods" in keys:
            assert trials_of(load_study(path), str(path))
        elif "form" in keys:
            load_prompt_recipe(path)
        elif "objective" in keys:
            load_pretraining(path)
        else:
            load_recipe(path)


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """Overrides that make any recipe a matter of seconds, without a network."""
    data = tmp_path / "tickets.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")), encoding="utf-8")
    task = {
        "path": str(data), "kind": "classify", "fields": {"text": "text", "label": "label"},
        "templates": {"plain": "{{ text }}\nTopic: {{ answer }}"},
    }  # fmt: skip
    keys = {
        "model": str(tiny_folder(tmp_path / "model", "causal")), "task": json.dumps(task), "shots": 2,
        "training.steps": 5, "evaluation.baselines": False,
    }  # fmt: skip
    return [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]


def test_the_commands_run(small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for words in commands():
        command = words[0]
        seen.append(command)
        monkeypatch.chdir(ROOT)
        output = tmp_path / "runs" / "x"
        if command == "check":
            assert main([*words, *small]) == 0
        elif command == "tune":
            assert main([*words, *small, "--set", "training.checkpoint_every=10", "--output", str(output)]) == 0
            assert (output / "after.json").is_file()
            monkeypatch.chdir(tmp_path)
        elif command == "init":
            file = str(tmp_path / "tickets.jsonl")
            assert main(["init", file, "--output", str(tmp_path / "new.yaml")]) == 0
            load_recipe(tmp_path / "new.yaml")
        elif command == "compare":
            study = {
                "base": {"model": small[1].partition("=")[2], "shots": 2, "training": {"steps": 2},
                         "evaluation": {"baselines": False}},
                "tasks": [{"task": json.loads(small[3].partition("=")[2])}], "methods": ["lora"], "seeds": 1,
                "output": str(tmp_path / "study"),
            }  # fmt: skip
            (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
            assert main(["compare", str(tmp_path / "study.yaml")]) == 0
            assert (tmp_path / "study" / "report.html").is_file()
        else:
            raise AssertionError(f"README has a command that this test does not know: {command}")
    assert set(seen) == {"check", "tune", "init", "compare"}


def test_every_method_stands_in_the_table() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", README, re.MULTILINE)) == set(METHODS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
