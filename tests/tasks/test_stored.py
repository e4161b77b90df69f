"""Tasks opened from the cache: the same rows, ids and fingerprint, without the source being read again."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from tiny_tasks import tiny_rows

import tunewright.tasks.stored as stored
from tunewright.errors import InputError, MachineError
from tunewright.settings import validate
from tunewright.task_block import Kind, TaskBlock
from tunewright.tasks.arrow_rows import StoredRows, Unstorable, write_rows
from tunewright.tasks.fingerprint import fingerprint
from tunewright.tasks.open import open_task
from tunewright.tasks.stored import open_stored
from tunewright.tasks.task import LabelName, Rows, Task

ODD = [1, 2.5, None, True, "é\u2028", [], [None], {"b": 1, "a": [{}]}, 10**30, "\ud800"]


@pytest.fixture(autouse=True)
def _every_size(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "SMALLEST", 0)


def source(folder: Path, kind: Kind) -> TaskBlock:
    """A folder with one file of rows, and the block that reads it."""
    folder.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = [{"id": f"r{i}", **row} for i, row in enumerate(tiny_rows(kind))]
    if kind == "generate":
        rows = [{**row, "odd": ODD[i % 9], "told": ["x", row["target"]]} for i, row in enumerate(rows)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    block: dict[str, Any] = {"kind": kind, "path": str(folder), "templates": {"plain": "{{ text }}{{ answer }}"}}
    if kind == "classify":
        block |= {"label_words": {"sport": ["game", "sport"]}, "name": "topics", "licence": "MIT"}
    if kind == "generate":
        block |= {"references": "told", "splits": {"validation": 0.25, "test": 0.25}}
    return validate(TaskBlock, block, "B")


def same(a: Task, b: Task) -> None:
    for name in ("train", "validation", "test"):
        ours, theirs = a.split(name), b.split(name)
        assert list(ours) == list(theirs) and list(ours.ids) == list(theirs.ids) and len(ours) == len(theirs)
        assert [[type(cell) for cell in row.values()] for row in ours] == [
            [type(cell) for cell in row.values()] for row in theirs
        ]
        assert fingerprint(ours) == fingerprint(theirs)
    assert fingerprint(a) == fingerprint(b)
    for name in Task.__dataclass_fields__.keys() - {"splits"}:
        assert getattr(a, name) == getattr(b, name), name
        assert type(getattr(a, name)) is type(getattr(b, name)), name


@pytest.mark.parametrize("kind", ["classify", "choose", "regress", "generate", "tag"])
def test_what_comes_out_is_what_open_task_gives(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = source(tmp_path / "data", kind)
    plain = open_task(block)
    first = open_stored(block)
    monkeypatch.setattr(stored, "open_task", lambda wanted: pytest.fail("the source was read again"))
    second = open_stored(block)
    for found in (first, second):
        assert all(isinstance(rows, StoredRows) for rows in found.splits.values())
        same(found, plain)
    labels = [cell for row in second.split("train") for cell in row.values() if isinstance(cell, LabelName)]
    assert [label.index_ for label in labels] == [
        cell.index_ for row in plain.split("train") for cell in row.values() if isinstance(cell, LabelName)
    ]


def test_files_are_opened_when_a_row_is_asked_for_and_hold_no_descriptor(tmp_path: Path) -> None:
    found = open_stored(source(tmp_path / "data", "classify")).split("train")
    assert isinstance(found, StoredRows) and "columns" not in found.__dict__ and len(found) == 25
    text = found[3]["text"]
    assert found.columns["text"][3] == text and found[2:5][1]["text"] == text and found[-1] == found[24]
    assert found.take([3]).columns["text"] == [text] and pickle.loads(pickle.dumps(found))[3]["text"] == text
    with pytest.raises(IndexError):
        found[25]
    links = Path("/proc/self/fd")
    if links.is_dir():
        names = [os.readlink(link) for link in links.iterdir() if link.is_symlink() and os.path.lexists(link)]
        assert not any(name.endswith(".arrow") for name in names)


def test_another_source_or_block_is_read_anew(tmp_path: Path) -> None:
    block = source(tmp_path / "data", "classify")
    before = open_stored(block)
    file = tmp_path / "data" / "train.jsonl"
    file.write_text(file.read_text(encoding="utf-8").replace("the sea", "the bay"), encoding="utf-8")
    os.utime(file, ns=(1, 1))
    after = open_stored(block)
    assert {text for text in after.split("train").columns["text"] if "bay" in text}
    assert (
        fingerprint(after)
        != fingerprint(before)
        == fingerprint(Task(**{**vars(before), "splits": dict(before.splits)}))
    )
    assert {text for text in before.split("train").columns["text"] if "sea" in text}  # still there for whoever has it
    other = open_stored(block.model_copy(update={"version": 7}))
    assert other.version == 7


def test_a_broken_or_missing_file_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    block = source(tmp_path / "data", "tag")
    open_stored(block)
    (file,) = own_cache.glob("tasks/*/*/train.arrow")
    file.write_bytes(file.read_bytes()[:-8])
    same(open_stored(block), open_task(block))
    found = open_stored(block)
    file.unlink()
    with pytest.raises(MachineError, match=r"train\.arrow: these rows are gone from the cache"):
        found.split("train")[0]


def test_what_the_cache_cannot_hold_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cell in ((1,), {1: "a"}, b"x", [LabelName("a", 0), "b"]):
        with pytest.raises(Unstorable):
            write_rows(tmp_path / "rows.arrow", Rows({"cell": [cell]}, ["row-0"]))
    write_rows(tmp_path / "rows.arrow", Rows({"cell": ODD, "none": [None] * 10}, [f"row-{i}" for i in range(10)]))
    found = StoredRows(tmp_path / "rows.arrow", 10)
    assert list(found.columns["cell"]) == ODD and list(found.columns["none"]) == [None] * 10
    block = source(tmp_path / "data", "classify")
    monkeypatch.setattr(stored, "SMALLEST", 1 << 20)
    assert not isinstance(open_stored(block).split("train"), StoredRows)
    with pytest.raises(InputError, match="no such file"):
        open_stored(validate(TaskBlock, {"kind": "classify", "path": str(tmp_path / "none.jsonl")}, "B"))
