"""Rows encoded by an earlier start are read from a file, and are the same."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import prompt_of, row, tiny_backbone, tiny_folder

from tunewright.backbones.base import Backbone
from tunewright.backbones.encoded_store import EncodedStore
from tunewright.backbones.encoding_key import open_store
from tunewright.backbones.example_bytes import from_bytes, to_bytes
from tunewright.backbones.examples import Ask, Example, Purpose, View
from tunewright.backbones.load import load_backbone
from tunewright.backbones.shorten import TooLong
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Soft

LAYOUT = SlotLayout((SlotGroup("p", 0, 2),))
MB = 2**20


def prompts() -> list[Prompt]:
    """Two equal ones among them, and one that is shortened to 12 tokens."""
    texts = ["the film", "the game was good", "the film", "the storm " * 12]
    return [
        prompt_of(
            row(text), Soft("p", 2), " topic: ", Answer(), target="sport", choices=("sport", "news team"), gold=i % 2
        )
        for i, text in zip((0, 1, 0, 1), texts)
    ]


def with_store(arch: str, file: Path) -> Backbone:
    backbone = tiny_backbone(arch)
    backbone.encoded_store = EncodedStore(file, MB)
    return backbone


def encode(backbone: Backbone, purpose: Purpose, limit: int = 20) -> list[Example]:
    return backbone.encode_many(prompts(), LAYOUT, purpose, max_tokens=limit)


def never(*args: Any, **keys: Any) -> None:
    raise AssertionError("a row was tokenised")


def count(file: Path) -> int:
    (found,) = sqlite3.connect(file).execute("SELECT COUNT(*) FROM encoded").fetchone()
    return int(found)


@pytest.mark.parametrize("purpose", ["answer", "choices", "state", "pool"])
@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_a_second_start_tokenises_nothing_and_reads_the_same(arch: str, purpose: Any, tmp_path: Path) -> None:
    wanted = encode(tiny_backbone(arch), purpose)
    assert [example.shortened for example in wanted] == [False, False, False, True]
    assert repr(encode(with_store(arch, tmp_path / "rows"), purpose)) == repr(wanted)
    assert count(tmp_path / "rows") == 3
    again = with_store(arch, tmp_path / "rows")
    again.text.ids = never  # type: ignore[method-assign, assignment]
    found = encode(again, purpose)
    assert repr(found) == repr(wanted)
    assert found[0] is not found[2]  # each row's own, for rows have weights


def test_what_bytes_hold() -> None:
    view = View([5, 0, 7], [-1, 1, -1], [Ask(0, 2, 9, 1)], [0, 0, 1], None, [([3, 4], [-1, 0])])
    example = Example([view], 2, (1, 0), (4, 5), 1, unread=3, shortened=True, demonstrations=2, dropped=1)
    kept = to_bytes(example)
    assert [int.from_bytes(kept[i : i + 4], "little", signed=True) for i in range(4, len(kept), 4)] == [
        *(2, 1, 3, 1, 2, 1), *(2, 1, 0), *(2, 4, 5), 1,
        *(3, 5, 0, 7), *(1, 1, 1), *(1, 0, 2, 9, 1), *(3, 0, 0, 1), -1, *(1, 2, 3, 4, 1, 1, 0),
    ]  # fmt: skip
    assert repr(from_bytes(kept)) == repr(example)
    assert from_bytes(kept[:-1] + b"\x01") is None


def test_other_choices_layouts_limits_purposes_and_tokenizers_are_other_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    encode(with_store("llama", file), "answer")
    encode(with_store("llama", file), "choices")
    assert count(file) == 6
    encode(with_store("llama", file), "answer", limit=12)
    assert count(file) == 9
    with_store("llama", file).encode_many(prompts(), SlotLayout((SlotGroup("p", 5, 2),)), "answer", max_tokens=20)
    assert count(file) == 12
    encode(with_store("gpt2", file), "answer")
    assert count(file) == 15


def test_a_chat_with_another_day_in_its_frame_is_another_row(tmp_path: Path) -> None:
    for day in ("1 May", "2 May"):
        backbone = with_store("llama", tmp_path / "rows")
        assert isinstance(backbone.tokenizer.chat_template, str)
        frame = backbone.frame()
        backbone._frame = type(frame)(f"{day} {frame.before}", frame.between, frame.end)
        backbone.encode_many([prompt_of(row("the film"), Answer(), target="good", chat=True)], SlotLayout(), "answer")
    assert count(tmp_path / "rows") == 2


def test_plain_goes_without(tmp_path: Path) -> None:
    backbone = with_store("llama", tmp_path / "rows")
    backbone.plain = True
    encode(backbone, "answer")
    assert not (tmp_path / "rows").exists()


def test_an_error_is_the_same_at_each_start(tmp_path: Path) -> None:
    wrong = [prompts()[0], prompt_of("it is ", Answer(), target="good " * 30)]
    for _ in range(2):
        with pytest.raises(TooLong, match="row 2: the target has"):
            with_store("llama", tmp_path / "rows").encode_many(wrong, LAYOUT, "answer", max_tokens=20)


@pytest.mark.parametrize("broken", [b"not a database at all" * 99, b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_broken_file_is_begun_anew(broken: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(broken)
    wanted = repr(encode(tiny_backbone("llama"), "answer"))
    assert repr(encode(with_store("llama", tmp_path / "rows"), "answer")) == wanted
    encode(with_store("llama", tmp_path / "rows"), "answer")
    assert count(tmp_path / "rows") == 3


def test_a_broken_row_is_encoded_again(tmp_path: Path) -> None:
    wanted = repr(encode(with_store("llama", tmp_path / "rows"), "answer"))
    with sqlite3.connect(tmp_path / "rows") as file:
        file.execute("UPDATE encoded SET example = x'00' || substr(example, 2)")
    assert repr(encode(with_store("llama", tmp_path / "rows"), "answer")) == wanted


def test_the_oldest_make_room(tmp_path: Path) -> None:
    store = EncodedStore(tmp_path / "rows", 60_000)
    example = Example([View(list(range(250)), [-1] * 250)])
    for i in range(200):  # about 1 kB each
        store.put({bytes([i]): example})
    assert (tmp_path / "rows").stat().st_size < 70_000
    kept = [found is not None for found in store.get([bytes([i]) for i in range(200)])]
    assert not kept[0] and kept[199] and 20 < sum(kept) < 60
    assert kept[200 - sum(kept) :] == [True] * sum(kept)


def test_no_room_for_a_file_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    backbone = with_store("llama", tmp_path / "in the way" / "rows")
    assert repr(encode(backbone, "answer")) == repr(encode(tiny_backbone("llama"), "answer"))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tunewright.backbones.encoded_store import EncodedStore
from tunewright.backbones.examples import Example, View
store = EncodedStore(Path(sys.argv[1]), 2**20)
for i in range(60):
    store.put({bytes([int(sys.argv[2]), i]): Example([View([i], [-1])]), bytes([9, i]): Example([View([i], [-1])])})
"""
    command = [sys.executable, "-c", code, str(tmp_path / "rows")]
    both = [subprocess.Popen([*command, number]) for number in "12"]
    assert [process.wait(60) for process in both] == [0, 0]
    found = EncodedStore(tmp_path / "rows", MB).get([bytes([n, i]) for n in (1, 2, 9) for i in range(60)])
    read = [None if example is None else example.views[0].ids for example in found]
    assert all(ids in (None, [i % 60]) for i, ids in enumerate(read))  # None: the other held the file for long
    assert len(read) - read.count(None) > 90
    assert sqlite3.connect(tmp_path / "rows").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_where_it_lies_and_how_it_is_switched_off(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_folder(own_cache.parent / "model", "llama")
    assert load_backbone(str(folder)).encoded_store is None  # the tests' own setting
    monkeypatch.setenv("TUNEWRIGHT_ENCODED_MB", "3")
    backbone = load_backbone(str(folder))
    encode(backbone, "answer")
    store = backbone.encoded_store
    assert store is not None and store.limit == 3 * MB
    assert (own_cache / "encoded" / "rows.sqlite").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("TUNEWRIGHT_ENCODED_MB", "much")
    with pytest.raises(InputError, match="TUNEWRIGHT_ENCODED_MB: 'much' is no number of megabytes"):
        open_store()
