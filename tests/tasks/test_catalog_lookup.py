"""The catalog's folder as a list of names and entries."""

from pathlib import Path

import pytest

from tunewright.errors import InputError
from tunewright.tasks.catalog import catalog_entry, catalog_folder, catalog_names


def test_entries_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("kind: tag\npath: x\n")
    (tmp_path / "a.yaml").write_text("kind: tag\npath: x\nname: other\n")
    (tmp_path / "notes.txt").write_text("no")
    assert catalog_names(tmp_path) == ["a", "b"]
    assert catalog_entry("b", tmp_path).name == "b" and catalog_entry("b", tmp_path).kind == "tag"
    (tmp_path / "b.yaml").write_text("kind: choose\npath: xy\n")
    assert catalog_entry("b", tmp_path).kind == "choose"  # what was read once is not kept when the file changes
    with pytest.raises(InputError, match=r"^no task 'c' in the catalog \(known: a, b\)$"):
        catalog_entry("c", tmp_path)


def test_the_shipped_folder_is_found_and_its_files_are_valid() -> None:
    assert catalog_folder().is_dir()
    assert [catalog_entry(name).name for name in catalog_names()] == catalog_names() != []
