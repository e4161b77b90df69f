"""A catalog task whose data lies on this machine is read from there instead of the hub."""

import json
from pathlib import Path

import pytest

from tunewright.tasks.open import open_task


def write(folder: Path, split: str, rows: list[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_our_field_names_and_the_hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sst2's text is `sentence` on the hub; both names are read, and the file's own test split is used."""
    for split, text in (("train", "text"), ("validation", "text"), ("test", "sentence")):
        write(
            tmp_path / "sst2",
            split,
            [{text: f"{split} a", "label": "negative"}, {text: f"{split} b", "label": "positive"}],
        )
    monkeypatch.setenv("TUNEWRIGHT_DATA", str(tmp_path))
    task = open_task("sst2")
    assert {name: rows.columns["text"] for name, rows in task.splits.items()} == {
        "train": ["train a", "train b"], "validation": ["validation a", "validation b"], "test": ["test a", "test b"],
    }  # fmt: skip
    assert task.labels == ("negative", "positive") and task.default_template == "plain"


def test_without_a_folder_of_that_name_the_source_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewright.tasks.open import local_copy, resolve

    monkeypatch.setenv("TUNEWRIGHT_DATA", str(tmp_path))
    assert local_copy(resolve("sst2")).hub == "stanfordnlp/sst2"
    assert local_copy(resolve("support-chats")).generator is not None
