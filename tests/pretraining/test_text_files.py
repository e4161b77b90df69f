"""Text files of every kind, packed or not, and a corpus that is read only as far as it is asked for."""

import gzip
import json
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tunewright.errors import InputError
from tunewright.pretraining import text_files
from tunewright.pretraining.corpus import CorpusBlock, documents
from tunewright.pretraining.text_files import count_of, documents_of, is_text
from tunewright.seeds import numpy_random


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", b"one\n\ntwo\n", ["one", "two"]),
        ("a.txt.gz", gzip.compress(b"one\n\ntwo\n", mtime=0), ["one", "two"]),
        ("a.md", b"# one\n\ntwo\n", ["# one\n\ntwo"]),
        ("a.MD.GZ", gzip.compress(b"# one\n\ntwo\n", mtime=0), ["# one\n\ntwo"]),
        ("a.jsonl.gz", gzip.compress(jsonl(["one", " ", "two"]), mtime=0), ["one", "two"]),
        ("b.v2.ndjson", jsonl(["one"]), ["one"]),
    ],
)
def test_files_of_each_kind(tmp_path: Path, name: str, content: bytes, found: list[str]) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert is_text(file) and list(documents_of(file, "text", whole=False)) == found
    assert count_of(file, False, estimate=True) >= len(found) and count_of(file, False, estimate=False) >= len(found)


def test_a_parquet_file(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"body": ["one", "", "two"], "n": [1, 2, 3]}), file)
    assert list(documents_of(file, "body", whole=True)) == ["one", "two"] and count_of(file, True, estimate=True) == 3
    with pytest.raises(InputError, match=r"a\.parquet: no field 'bodies' .did you mean 'body'"):
        list(documents_of(file, "bodies", whole=True))
    with pytest.raises(InputError, match=r"a\.parquet row 1: n is no text but int"):
        list(documents_of(file, "n", whole=True))


def test_what_is_no_text_file(tmp_path: Path) -> None:
    assert not any(is_text(Path(name)) for name in ("a.gz", ".a.txt", "a.parquet.gz", "a.tar.gz", "README", "a.csv"))
    (tmp_path / "a.csv").write_text("a,b\n")
    broken = {"a.txt.gz": gzip.compress(b"one two three" * 99)[:40], "b.jsonl.gz": b"no gzip", "c.parquet": b"PAR1 not"}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: not a (whole gzip|Parquet) file"):
            list(documents_of(tmp_path / name, "text", whole=False))
    with pytest.raises(InputError, match=r"read from \.txt, \.md, \.jsonl .each also \.gz. or \.parquet files"):
        list(documents(CorpusBlock(sources=[{"path": str(tmp_path / "a.csv")}]), "train", 0, 0))


def test_a_streamed_corpus_is_read_no_further_than_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 documents of noise, 1.6 MB: without `streaming` all are counted before the first is read."""
    file = tmp_path / "big.jsonl.gz"
    file.write_bytes(gzip.compress(jsonl([f"document {i} {numpy_random(i).bytes(250).hex()}" for i in range(3000)])))
    read = 0
    lines = text_files._lines

    def counted(file: Path):  # type: ignore[no-untyped-def]
        nonlocal read
        for line in lines(file):
            read += 1
            yield line

    monkeypatch.setattr(text_files, "_lines", counted)
    whole = CorpusBlock(sources=[{"path": str(file)}], holdout=0.1, buffer=50)
    streamed = whole.model_copy(update={"streaming": True})
    size = 0
    with gzip.open(file) as handle:
        handle.read(1 << 20)
        size = handle.fileobj.tell()
    assert size < file.stat().st_size  # the estimate did not read it all
    assert 1500 < count_of(file, False, estimate=True) < 6000
    assert len(list(islice(documents(streamed, "heldout", 0, 0), 5))) == 5 and read < 200
    read = 0
    early = list(islice(documents(streamed, "train", 0, 0), 20))
    assert read < 120 and [int(text.split()[1]) for text in early] != sorted(int(text.split()[1]) for text in early)
    assert early == list(islice(documents(whole, "train", 0, 0), 20))  # the same order, and a seed's own
    assert early != list(islice(documents(streamed, "train", 1, 0), 20))
