"""What a corpus's filters drop, by eye, and near-duplicates against brute force."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewright.errors import InputError
from tunewright.pretraining.corpus import CorpusBlock, documents, filtered
from tunewright.pretraining.filters import FiltersBlock, broken_rule
from tunewright.pretraining.sieve import Alike, shingles
from tunewright.seeds import numpy_random
from tunewright.settings import validate


def corpus_of(path: Path, filters: Any, **keys: Any) -> CorpusBlock:
    return validate(CorpusBlock, {"sources": [{"path": str(path)}], "filters": filters, **keys}, "corpus")


@pytest.mark.parametrize(
    ("rule", "limit", "passes", "breaks"),
    [
        ("min_words", 3, "one two three", "one two"),
        ("max_words", 3, "one two three", "one two three four"),
        ("mean_word_length", [3, 5], "four five", "a b c"),
        ("mean_word_length", [3, 5], "the cats", "uncharacteristically long"),
        ("symbols", 0.5, "a # b c", "# … b"),
        ("letters", 0.5, "a 1", "a 1 2"),
        ("bullets", 0.5, "- a\nb", "- a\n• b\nc"),
        ("ellipses", 0.5, "a...\nb", "a...\nb…\nc"),
        ("stop_words", 2, "The man, and that", "the the man"),
        ("repeated_lines", 0.34, "a\na\nb", "a\na\na"),
        ("repeated_line_characters", 0.4, "aa\naa\nbbbb", "aaaa\naaaa\nb"),
    ],
)
def test_each_rule(rule: str, limit: Any, passes: str, breaks: str) -> None:
    limits = validate(FiltersBlock, {rule: limit}, "filters").limits()
    assert set(limits) == {rule}
    assert broken_rule(passes, limits) is None and broken_rule(breaks, limits) == rule


def test_gophers_numbers_and_ones_own() -> None:
    limits = validate(FiltersBlock, {"rules": "gopher", "min_words": 5}, "filters").limits()
    assert limits["min_words"] == 5 and limits["mean_word_length"] == (3.0, 10.0) and limits["stop_words"] == 2
    assert validate(CorpusBlock, {"sources": [{"path": "x"}], "filters": "gopher"}, "c").filters == FiltersBlock(
        rules="gopher"
    )
    assert not FiltersBlock().limits()
    plain = "The ministers of the state have met in the old city to talk about it. " * 8
    assert broken_rule(plain, FiltersBlock(rules="gopher").limits()) is None
    assert broken_rule("7 " * 60, FiltersBlock(rules="gopher").limits()) == "mean_word_length"


WORDS = [f"word{i}" for i in range(400)]


def changed(words: list[str], count: int, seed: int) -> list[str]:
    random = numpy_random("changed", seed)
    out = list(words)
    for at in random.choice(len(words), size=count, replace=False):
        out[at] = f"other{at}"
    return out


def jaccard(a: str, b: str) -> float:
    x, y = shingles(a, 2), shingles(b, 2)
    return len(x & y) / len(x | y)


def test_near_duplicates_are_those_of_brute_force() -> None:
    """Pairs well above and well below the threshold (MinHash's error at 256 hashes is 0.03)."""
    block = validate(FiltersBlock, {"near_duplicates": {"threshold": 0.6, "words": 2, "permutations": 256}}, "f")
    assert block.near_duplicates is not None
    first = " ".join(WORDS[:200])
    near, far = 0, 0
    for seed, count in enumerate((0, 2, 5, 10, 15, 60, 80, 100)):
        alike = Alike(block.near_duplicates)
        assert alike.add(first) is None
        other = " ".join(changed(WORDS[:200], count, seed)).upper() + "!"
        true, found = jaccard(first, other), alike.add(other)
        if true > 0.7:
            near += 1
            assert found is not None and abs(found[1] - true) < 0.12 and found[0].startswith("word0 word1")
        elif true < 0.5:
            far += 1
            assert found is None
    assert near >= 4 and far >= 3


def written(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_shingles() -> None:
    assert shingles("The cat, the CAT!", 2) == {"the cat", "cat the"}
    assert shingles("One", 5) == {"one"} and shingles("?!", 5) == {"?!"}


def test_one_of_those_alike_stays_in_either_split(tmp_path: Path) -> None:
    """30 texts, 30 with two words changed, 10 of the first once more; and 5 that are too short."""
    base = [" ".join(f"d{d}w{i}" for i in range(120)) for d in range(30)]
    near = [" ".join(changed(text.split(), 2, i)) for i, text in enumerate(base)]
    file = written(tmp_path / "a.jsonl", [*base, *near, *base[:10], *(f"no {i}" for i in range(5))])
    rules = {"min_words": 5, "near_duplicates": {"words": 3}}
    corpus = corpus_of(file, rules, holdout=0.3)
    kept = {split: list(documents(corpus, split, 0, 0)) for split in ("train", "heldout")}
    assert sorted([*kept["train"], *kept["heldout"]]) == sorted(base) and all(kept.values())
    assert list(documents(corpus, "train", 3, 1)) != kept["train"]
    assert sorted(documents(corpus, "train", 3, 1)) == sorted(kept["train"])
    told = filtered(corpus)
    assert told is not None and (told["documents"], told["kept"]) == (75, 30)
    assert told["sources"][0]["dropped"] == {"near_duplicates": 30, "duplicates": 10, "min_words": 5}
    assert told["examples"]["min_words"][0] == "no 0"
    pair = told["near_duplicates"][0]
    assert pair["similarity"] >= 0.8 and pair["kept"] == base[0][:199] + "…" and pair["dropped"] == near[0][:199] + "…"


def test_a_text_in_two_sources_stays_in_the_first_as_often_as_its_weight_says(tmp_path: Path) -> None:
    texts = [" ".join(WORDS[i * 20 : i * 20 + 20]) for i in range(12)]
    first, second = written(tmp_path / "a.jsonl", texts[:8]), written(tmp_path / "b.jsonl", texts[4:])
    sources = [{"path": str(first), "weight": 2}, {"path": str(second)}]
    corpus = CorpusBlock.model_validate({"sources": sources, "holdout": 1e-9, "filters": {"near_duplicates": True}})
    assert sorted(documents(corpus, "train", 0, 0)) == sorted([*texts[:8] * 2, *texts[8:]])


def test_streamed_documents_are_sifted_as_they_come(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", ["one", "one two three", "four five six"])
    corpus = corpus_of(file, {"min_words": 2}, streaming=True, holdout=1e-9)
    assert sorted(documents(corpus, "train", 0, 0)) == ["four five six", "one two three"]
    told = filtered(corpus)
    assert told is not None and told["kept"] == 2 and told["of_the_first"] == 10_000
    assert filtered(corpus_of(file, None)) is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"filters": {"min_word": 3}}, "unknown key 'filters.min_word'.*did you mean 'min_words'"),
        ({"filters": {"min_words": 9, "max_words": 3}}, "min_words is above max_words"),
        ({"filters": {"mean_word_length": [5, 3]}}, "mean_word_length: two numbers wanted"),
        ({"filters": "c4"}, "gopher"),
        ({"filters": {"near_duplicates": {"threshold": 1.5}}}, "threshold"),
        (
            {"filters": {"near_duplicates": True}, "streaming": True},
            "near_duplicates reads the whole corpus beforehand",
        ),
    ],
)
def test_what_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        validate(CorpusBlock, {"sources": [{"path": "x"}], **keys}, "corpus")


def test_filters_that_leave_nothing(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", ["one", "two"])
    with pytest.raises(InputError, match=r"left to train on after corpus\.filters"):
        list(documents(corpus_of(file, {"min_words": 2}), "train", 0, 0))
