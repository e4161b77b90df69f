"""Runs of 13 words that asked rows and training rows both have."""

import numpy as np
import pytest
from mixture_parts import mixture, task

from tunewright.mixtures import overlap
from tunewright.mixtures.overlap import Found, find_overlap, texts_of
from tunewright.tasks.task import Rows

ALPHABET = list("abcdefghijklmnopqrstuvwxyz")


def rows(*texts: str) -> Rows:
    return Rows({"text": list(texts), "label": ["yes"] * len(texts)}, [f"test-{i}" for i in range(len(texts))])


def training(*texts: str) -> list[tuple[str, str, dict[str, str]]]:
    return [("m", f"train-{i}", {"text": text}) for i, text in enumerate(texts)]


def test_thirteen_words_in_a_row_whatever_their_case_and_punctuation() -> None:
    asked = {"t": rows(" ".join(ALPHABET[:13]), " ".join(ALPHABET[:12]), " ".join(ALPHABET[13:]), "x y")}
    shown = 'X "A", B; c (D) e. F g h I j-K l: m! z'
    found = find_overlap(asked, training("nothing here", shown, shown))["t"]
    assert (found.rows, found.short) == (4, 2)
    assert found.found == {"test-0": Found("m", "train-1", "a b c d e f g h i j k l m")}
    assert found.to_json() == {
        "rows": 4, "short": 2, "overlapping": 1, "share": 0.25, "ids": ["test-0"],
        "examples": [{"id": "test-0", "member": "m", "row": "train-1", "words": "a b c d e f g h i j k l m"}],
    }  # fmt: skip


def test_runs_end_with_a_text() -> None:
    """Twelve words of one text and those of the next are no run, within a row and between rows."""
    asked = {"t": rows(" ".join(ALPHABET[:13]))}
    split = [("m", "r", {"one": " ".join(ALPHABET[:12] * 2), "two": " ".join(ALPHABET[12:])})]
    assert find_overlap(asked, split)["t"].found == {}
    assert find_overlap(asked, training(" ".join(["y"] * 9 + ALPHABET[:7]), " ".join(ALPHABET[7:])))["t"].found == {}
    words = [("m", "r", {"tokens": ALPHABET[:13]})]
    assert set(find_overlap(asked, words)["t"].found) == {"test-0"}
    talk = {"messages": [{"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"}], "n": 3}
    assert list(texts_of(talk)) == ["user", "a b", "assistant", "c"]


def test_many_rows_of_two_tasks_in_small_batches_as_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of runs in plain Python say the same, with batches of a few texts as with all at once."""
    random = np.random.default_rng(0)

    def texts(count: int) -> list[str]:
        made = [[ALPHABET[i] for i in random.integers(0, 3, random.integers(5, 40))] for _ in range(count)]
        return [" ".join(words) for words in made]

    base = texts(60)
    asked = {"a": rows(*texts(20), *(base[i] + " tail" for i in range(0, 60, 7))), "b": rows(*texts(30))}

    def runs(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}

    known = set().union(*map(runs, base))
    wanted = {
        name: {row for row, text in zip(one.ids, one.columns["text"]) if runs(text) & known}
        for name, one in asked.items()
    }
    assert wanted["a"] and len(wanted["a"]) < len(asked["a"])
    for words in (50, 200_000):
        monkeypatch.setattr(overlap, "_BATCH_WORDS", words)
        found = find_overlap(asked, training(*base))
        assert {name: set(one.found) for name, one in found.items()} == wanted
    assert find_overlap({"t": rows("short")}, training(*base))["t"].short == 1


def test_the_rows_an_example_can_show() -> None:
    """Ten of 24 are in use; as exemplars all can come."""
    block = {"epoch": 80, "rows": 10, "formats": {"few_shot": 0.0}, "members": ["a"]}
    found = mixture(block, task("a"))
    reach = [name for _, name, _ in found.rows_in_reach()]
    drawn = found.draws(np.arange(80)).row
    assert sorted(reach) == sorted(found.members[0].rows.ids[i] for i in set(drawn.tolist())) and len(reach) == 10
    block["formats"] = {"few_shot": 0.1}
    assert len(list(mixture(block, task("a")).rows_in_reach())) == 24
