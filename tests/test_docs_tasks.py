"""The tables of docs/tasks.md are what the catalog says."""

import importlib.util
import re
from pathlib import Path

import yaml

from tunewright.recipe import Recipe
from tunewright.settings import validate
from tunewright.tasks.catalog import catalog_names
from tunewright.tasks.open import resolve

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "tasks.md").read_text(encoding="utf-8")


def test_the_tables_are_the_catalogs() -> None:
    spec = importlib.util.spec_from_file_location("tasks_table", DOCS / "tasks_table.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert PAGE.partition(module.MARK)[2] == module.tables(), "run: python docs/tasks_table.py"
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert f"the catalog's {len(catalog_names())} tasks" in readme


def test_the_block_shown_is_valid() -> None:
    block = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    recipe = validate(Recipe, {"model": "m", "method": "none", "output": "o", **block}, "docs/tasks.md")
    assert set(block["template"]) <= set(resolve(recipe.one_task).templates)
