"""YAML reads unquoted `yes` and `no` as truth values: told, not silently turned into 1 and 0."""

from pathlib import Path

import pytest

from tunewright.errors import InputError
from tunewright.recipe import load_recipe

RECIPE = "model: m\nmethod: none\ntask:\n  path: x.jsonl\n  kind: classify\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("labels: [yes, maybe]", "task.labels: write 'yes' in quotes"),
        ("labels: [maybe, off]", "task.labels: write 'no' in quotes"),
        ("label_names: {0: no}", "task.label_names: write 'no' in quotes"),
        ("label_names: {yes: good}", "task.label_names: write 'yes' in quotes"),
        ("label_words: {good: yes}", "task.label_words: write 'yes' in quotes"),
        ("label_words: {good: [fine, yes]}", "task.label_words: write 'yes' in quotes"),
    ],
)
def test_a_truth_value_among_labels(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{RECIPE}  {line}\n")
    with pytest.raises(InputError) as error:
        load_recipe(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_quoted_ones_and_numbers_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{RECIPE}  labels: ['yes', 'no']\n  label_words: {{'yes': ['yes', 'true'], 'no': 'no'}}\n")
    assert load_recipe(path).task.labels == ["yes", "no"]
    path.write_text(f"{RECIPE}  labels: [0, 1]\n")
    assert load_recipe(path).task.labels == [0, 1]
