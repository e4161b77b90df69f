"""The corpus: which documents come, how often, in which order, and what is said when it is wrong."""

import json
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.pretraining.corpus import CorpusBlock, documents, is_held_out


def block(*sources: dict[str, Any], holdout: float = 0.2) -> CorpusBlock:
    return CorpusBlock.model_validate({"sources": list(sources), "holdout": holdout})


def numbered(path: Path, count: int, word: str = "document") -> Path:
    path.write_text("".join(json.dumps({"body": f"{word} {i}"}) + "\n" for i in range(count)), encoding="utf-8")
    return path


def all_of(*sources: dict[str, Any]) -> list[str]:
    return list(documents(block(*sources, holdout=1e-9), "train", 0, 0))


def test_a_text_file_has_documents_between_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\nmore of one\r\n\r\n\r\n  \ntwo\n\nthree".encode())
    assert sorted(all_of({"path": str(tmp_path / "a.txt")})) == ["one\nmore of one", "three", "two"]


def test_a_folders_text_file_is_one_document_and_its_jsonl_file_many(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.txt").write_text("one\n\nstill one\n")
    (tmp_path / "b.jsonl").write_text('{"text": "two"}\n\n{"text": " three "}\n{"text": "  "}\n')
    (tmp_path / "notes.md").write_text("# four\n\n- one list")
    (tmp_path / "notes.rst").write_text("not read")
    assert sorted(all_of({"path": str(tmp_path)})) == ["# four\n\n- one list", "one\n\nstill one", "three", "two"]


def test_the_order_is_a_function_of_seed_and_epoch_and_each_document_comes_once(tmp_path: Path) -> None:
    corpus = block({"path": str(numbered(tmp_path / "a.jsonl", 300)), "field": "body"})
    first = list(documents(corpus, "train", 0, 0))
    assert first == list(documents(corpus, "train", 0, 0))
    assert first != list(documents(corpus, "train", 0, 1)) != list(documents(corpus, "train", 1, 0))
    assert first != sorted(first)
    assert sorted(first) == sorted(documents(corpus, "train", 1, 5))
    assert len(set(first)) == len(first)


def test_held_out_texts_are_known_by_their_hash_alone(tmp_path: Path) -> None:
    assert not is_held_out("abc", 0.72)  # SHA-256 of "abc" begins ba7816bf: 0.7284 of the range
    assert is_held_out("abc", 0.73)
    a, b = numbered(tmp_path / "a.jsonl", 300), tmp_path / "b.txt"
    b.write_text("\n\n".join(f"document {i}" for i in reversed(range(300))))
    one = set(documents(block({"path": str(a), "field": "body"}), "heldout", 0, 0))
    other = set(documents(block({"path": str(b)}), "heldout", 7, 3))
    assert one == other
    assert 30 < len(one) < 90  # a fifth of 300
    assert one.isdisjoint(documents(block({"path": str(a), "field": "body"}), "train", 0, 0))


def test_weights_say_how_often_a_document_comes(tmp_path: Path) -> None:
    corpus = block(
        {"path": str(numbered(tmp_path / "a.jsonl", 200, "thrice")), "field": "body", "weight": 3},
        {"path": str(numbered(tmp_path / "b.jsonl", 200, "half")), "field": "body", "weight": 0.5},
        {"path": str(numbered(tmp_path / "c.jsonl", 200, "more")), "field": "body", "weight": 1.5},
    )
    seen: dict[str, Counter[int]] = {"thrice": Counter(), "half": Counter(), "more": Counter()}
    for text, count in Counter(documents(corpus, "train", 0, 0)).items():
        seen[text.split()[0]][count] += 1
    assert set(seen["thrice"]) == {3}
    assert set(seen["half"]) == {1} and 50 < seen["half"][1] < 110  # of about 160
    assert set(seen["more"]) == {1, 2} and sum(seen["more"].values()) == len(
        {text for text in documents(corpus, "train", 0, 1) if text.startswith("more")}
    )
    assert set(Counter(documents(corpus, "heldout", 0, 0)).values()) == {1}


def test_sources_end_at_about_the_same_time(tmp_path: Path) -> None:
    corpus = block(
        {"path": str(numbered(tmp_path / "a.jsonl", 1000, "long")), "field": "body"},
        {"path": str(numbered(tmp_path / "b.jsonl", 100, "short")), "field": "body"},
    )
    texts = list(documents(corpus, "train", 0, 0))
    halves = [sum(text.startswith("short") for text in part) for part in (texts[: len(texts) // 2], texts)]
    assert 0.3 < halves[0] / halves[1] < 0.7


def test_the_stream_is_read_as_it_is_asked_for(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.jsonl", 100)
    path.write_bytes(path.read_bytes() + b'{"body": "\xff"}\n')
    corpus = CorpusBlock(sources=[{"path": str(path), "field": "body"}], holdout=0.001, buffer=10)
    stream = documents(corpus, "train", 0, 0)
    early = [int(next(stream).split()[1]) for _ in range(20)]
    assert max(early) <= 30  # nothing beyond 20 + a buffer of 10
    with pytest.raises(InputError, match=r"a\.jsonl line 101: not UTF-8 text"):
        list(stream)


def test_only_the_training_rows_of_a_task(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        rows = [{"title": f"{split} {i}", "text": f"about {i}", "label": "ab"[i % 2], "id": f"x{i}"} for i in range(6)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = tmp_path / "mine.yaml"
    fields = "{title: title, text: text, label: label, id: id}"
    task.write_text(f"kind: classify\npath: {tmp_path}\nfields: {fields}\ndeduplicate: false\n")
    assert sorted(all_of({"task": str(task)})) == [f"train {i}\n\nabout {i}" for i in range(6)]
    assert sorted(all_of({"task": str(task), "fields": ["title"]})) == [f"train {i}" for i in range(6)]
    with pytest.raises(InputError, match=r"has no field 'titel' .did you mean 'title'"):
        all_of({"task": str(task), "fields": ["titel"]})


@pytest.mark.parametrize(
    "content, message",
    [
        (b'{"text": "a"}\n{"body": "b"}\n', r"line 2: no field 'text' \(known: body\)"),
        (b'{"text": 3}\n', "line 1: text is no text but int"),
        (b'{"text": "a"\n', "line 1: invalid JSON"),
        (b"[1]\n", "line 1: a JSON object wanted, found list"),
        (b"\n\n", "no documents: nothing but blank lines"),
    ],
)
def test_wrong_files_are_told_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        all_of({"path": str(tmp_path / "a.jsonl")})


def test_wrong_blocks_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one source wanted .* found task and path"):
        block({"task": "bbc-news", "path": "x.txt"})
    with pytest.raises(ValueError, match=r"field is not for a task; fields: \[NAME\] is"):
        block({"task": "bbc-news", "field": "text"})
    with pytest.raises(InputError, match="no such file or folder"):
        all_of({"path": str(tmp_path / "none.txt")})
    (tmp_path / "a.txt").write_text("one")
    side = "heldout" if not is_held_out("one", 0.2) else "train"
    with pytest.raises(InputError, match=r"no document of .*a\.txt is held out"):
        list(documents(block({"path": str(tmp_path / "a.txt")}), side, 0, 0))  # type: ignore[arg-type]


def test_a_hub_set_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        def __iter__(self) -> Any:
            return ({"body": f"row {i}"} for i in range(10**9))

    def load_dataset(name: str, config: str | None, *, revision: str | None, streaming: bool) -> dict[str, Rows]:
        assert (name, streaming) == ("some/text", True)
        return {"train": Rows()}

    fake = types.ModuleType("datasets")
    fake.load_dataset = load_dataset  # type: ignore[attr-defined]
    exceptions = types.ModuleType("datasets.exceptions")
    exceptions.DatasetsError = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.setitem(sys.modules, "datasets.exceptions", exceptions)
    source = {"hub": {"id": "some/text", "rows": 5}, "field": "body"}
    assert sorted(all_of(source)) == [f"row {i}" for i in range(5)]
    with pytest.raises(InputError, match="it does not say how many rows it has"):
        all_of({"hub": "some/text", "field": "body"})
