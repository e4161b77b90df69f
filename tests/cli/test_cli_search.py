"""`tunewright search`: what it prints and writes, that the winner's file is a recipe's template, bad input."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_files import Run, classify_recipe, write_recipe
from rich.console import Console

from tunewright.recipe import load_recipe
from tunewright.runs.prepare import open_tasks
from tunewright.search import board as board_module
from tunewright.search.board import Place, board


def search_file(folder: Path, llama: Path, block: dict[str, Any], **keys: Any) -> Path:
    tree = classify_recipe(folder, llama)
    kept = {key: tree[key] for key in ("model", "task", "output")}
    tree = {**kept, "shots": 2, "search": block, "training": {"precision": "fp32"}, **keys}
    return write_recipe(folder, tree, "search.yaml")


def test_a_template_is_searched_and_used(cli: Run, llama: Path, tmp_path: Path) -> None:
    path = search_file(tmp_path, llama, {"candidates": 12, "keep": 3})
    done = cli("search", "template", path)
    assert done.code == 0, done.err
    assert "accuracy on 9 rows of train+validation (intervals at 95 %)" in done.out
    lines = [line.strip() for line in done.out.splitlines() if " rule: " in line or " given: " in line]
    assert lines[0].startswith("best ") and len(lines) == 10
    assert "Note: the best of many on the rows that chose it" in done.out
    assert "scored: 12 of 12, best" in done.err
    out = tmp_path / "out"
    assert {file.name for file in out.iterdir()} == {
        "recipe.yaml", "environment.json", "generated.jsonl", "candidates.jsonl", "templates.yaml", "leaderboard.json",
    }  # fmt: skip
    assert cli("search", "template", path).code == 2  # already there
    again = cli("search", "template", path, "--resume", "--json")
    assert again.code == 0
    assert (
        again.json["places"][0]["jinja"]
        == yaml.safe_load((out / "templates.yaml").read_text())["templates"]["best"]["jinja"]
    )
    tune = classify_recipe(tmp_path, llama, template={"file": str(out / "templates.yaml"), "names": ["best"]})
    (opened,) = open_tasks(load_recipe(write_recipe(tmp_path, tune)))
    assert opened.templates[0].source == again.json["places"][0]["jinja"]


def test_label_words_are_searched(cli: Run, llama: Path, tmp_path: Path) -> None:
    path = search_file(tmp_path, llama, {"words": 4, "mappings": 12, "per_label": 2})
    done = cli("search", "label-words", path, "--output", tmp_path / "words")
    assert done.code == 0, done.err
    best = next(line for line in done.out.splitlines() if line.strip().startswith("best "))
    assert "money: " in best and "; sport: " in best and "; weather: " in best
    file = yaml.safe_load((tmp_path / "words/templates.yaml").read_text())
    assert 2 <= len(file["templates"]) <= 10  # grown mappings that are equal are one
    assert all(len(words) == 2 for words in file["templates"]["best"]["label_words"].values())


@pytest.mark.parametrize(
    ("what", "block", "keys", "said"),
    [
        ("template", {"generators": ["ruls"]}, {}, "unknown generator 'ruls' (did you mean 'rules'?)"),
        ("template", {"generators": [{"nam": "rules"}]}, {}, "a generator's name wanted"),
        ("template", {"generators": []}, {}, "search.generators"),
        ("template", {"generators": [{"name": "rules", "verbs": 2}]}, {}, "generator rules: unknown key 'verbs'"),
        ("template", {"candidats": 3}, {}, "unknown key 'search.candidats' (did you mean 'candidates'?)"),
        ("template", {"words": 3}, {}, "search.words belongs to `tunewright search label-words`"),
        ("label-words", {"candidates": 3}, {}, "search.candidates belongs to `tunewright search template`"),
        ("label-words", {"label_words": {"sport": [True]}}, {}, "write 'yes' in quotes"),
        ("label-words", {"per_label": 0}, {}, "search.per_label"),
        ("template", {}, {"method": "lora"}, "unknown key 'method'"),
        ("template", {}, {"training": {"steps": 3}}, "unknown key 'training.steps'"),
    ],
)
def test_bad_input(
    cli: Run, llama: Path, tmp_path: Path, what: str, block: dict[str, Any], keys: dict[str, Any], said: str
) -> None:
    done = cli("search", what, search_file(tmp_path, llama, block, **keys))
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_each_file_goes_to_its_own_command(cli: Run, llama: Path, tmp_path: Path) -> None:
    done = cli("tune", search_file(tmp_path, llama, {}))
    assert (done.code, "a file for `tunewright search`" in done.err) == (2, True)
    assert cli("search", "templates", tmp_path / "x.yaml").code == 2


def test_the_live_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: ranks, scores and templates in one line each, `[` in them kept."""
    screen = Console(force_terminal=True, width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    monkeypatch.setattr(board_module, "console", screen)
    with board("scored", 40) as shown:
        shown.update(3, [Place(0.75, 16, "rule: x", "[b] {{ text }}\nA: {{ answer }}")])
    text = screen.export_text()
    assert "scored: 3 of 40" in text
    assert "0.750" in text and "[b] {{ text }}⏎A: {{ answer }}" in text
