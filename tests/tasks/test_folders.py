"""Which files of a folder are which split."""

from pathlib import Path

import pytest

from tunewright.errors import InputError
from tunewright.tasks.folders import read_path


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def texts(folder: Path) -> dict[str, list[str]]:
    return {name: read().columns["text"] for name, read in read_path(folder).items()}


def test_split_files_in_any_format_jsonl_first(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "train.csv": "text\nfrom csv\n",
            "train.jsonl": '{"text": "from jsonl"}',
            "dev.tsv": "text\tl\nd\t1\n",
            "test.json": '[{"text": "t"}]',
            "labels.json": "[1]",
        },
    )
    assert texts(tmp_path) == {"train": ["from jsonl"], "validation": ["d"], "test": ["t"]}


@pytest.mark.parametrize("name", ["validation", "valid", "dev", "val"])
def test_names_of_validation(tmp_path: Path, name: str) -> None:
    fill(tmp_path, {"train.txt": "a", f"{name}.txt": "b"})
    assert texts(tmp_path) == {"train": ["a"], "validation": ["b"]}


def test_a_folder_per_label_is_sorted(tmp_path: Path) -> None:
    fill(tmp_path, {"neg/2.txt": "n2", "neg/10.txt": "n10", "pos/1.txt": "p1", "pos/x.md": "no", ".git/1.txt": "no"})
    split = read_path(tmp_path)["train"]()
    assert split.columns == {"text": ["n10", "n2", "p1"], "label": ["neg", "neg", "pos"]}
    assert split.place(2) == str(tmp_path / "pos" / "1.txt")


def test_a_folder_per_split_and_label(tmp_path: Path) -> None:
    fill(tmp_path, {"train/a/1.txt": "ta", "train/b/1.txt": "tb", "test/a/1.txt": "xa"})
    assert texts(tmp_path) == {"train": ["ta", "tb"], "test": ["xa"]}


def test_a_document_that_is_not_utf8_is_read_and_said(tmp_path: Path) -> None:
    fill(tmp_path, {"a/1.txt": "£5", "b/1.txt": ""})
    (tmp_path / "b" / "1.txt").write_bytes(b"\xa315.8m")
    split = read_path(tmp_path)["train"]()
    assert split.columns["text"] == ["£5", "£15.8m"]
    assert split.notes == (f"{tmp_path.name}: files that are not UTF-8, read as Windows-1252: 1",)


def test_single_files_and_documents(tmp_path: Path) -> None:
    one = fill(tmp_path / "one", {"chats.jsonl": '{"text": "a"}'})
    assert texts(one) == {"train": ["a"]} == texts(one / "chats.jsonl")
    assert texts(fill(tmp_path / "docs", {"b.txt": "B", "a.txt": "A"})) == {"train": ["A", "B"]}


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such file or folder$"):
        read_path(tmp_path / "nowhere")
    fill(tmp_path, {"a.csv": "x", "b.csv": "x"})
    with pytest.raises(InputError, match=r"no train file \(train.jsonl, .*; seen: a.csv, b.csv$"):
        read_path(tmp_path)
