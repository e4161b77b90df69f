"""The search for templates: the planted one wins, rounds, resume, the test split untouched."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from search_files import plant, template_search
from tiny import tiny_backbone

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asking, predict
from tunewright.prompts.resolve import choose_templates
from tunewright.search.candidates import Candidate, Generator
from tunewright.search.prepare import deciding_rows, prepare_search
from tunewright.search.rank import rounds, work
from tunewright.search.results import Found
from tunewright.search.run import search_templates
from tunewright.search.scorer import Scorer
from tunewright.settings import Strict
from tunewright.task_block import TemplateFileBlock
from tunewright.tasks.task import Rows

PLANTED = "{{ text }}\nLabel: {{ answer }}"
LABELS = {"sport": "sport", "money": "money", "weather": "weather"}


def run(folder: Path, backbone: Backbone | None = None, name: str = "out", **keys: Any) -> Found:
    resume = keys.pop("resume", False)
    search = template_search(folder, **keys)
    return search_templates(search, folder / name, resume=resume, backbone=backbone or tiny_backbone("llama"))


class Settings(Strict):
    beam: int = 1


def use(monkeypatch: pytest.MonkeyPatch, make: Generator) -> None:
    """`make` in the place of every generator."""
    monkeypatch.setattr("tunewright.search.gather.generator", lambda name, keys: (make, Settings(**keys)))


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_the_planted_template_wins(arch: str, tmp_path: Path) -> None:
    jinja = PLANTED + ("." if arch == "bert" else "")
    search = template_search(tmp_path, search={"candidates": 40, "keep": 4})
    backbone = plant(search, arch, LABELS, jinja)
    found = search_templates(search, tmp_path / "out", backbone=backbone)
    best = found.places[0]
    assert (best["jinja"], best["how"]) == (jinja, "rule: cue 'Label:'")
    assert (best["score"]["value"], best["rows"]) == (1.0, 30)
    assert best["likelihood"] == pytest.approx(0.0, abs=1e-3)
    written = yaml.safe_load(found.templates.read_text(encoding="utf-8"))["templates"]
    assert list(written) == ["best", "second", "third", "fourth"]
    assert written["best"] == {"jinja": jinja}
    board = json.loads((tmp_path / "out/leaderboard.json").read_text(encoding="utf-8"))
    assert board["candidates"] == len(board["places"]) == 40
    assert [place["rank"] for place in board["places"]] == list(range(1, 41))
    assert any(place["how"] == "given: plain" for place in board["places"])


def test_scores_are_those_of_ordinary_evaluation(tmp_path: Path) -> None:
    backbone = tiny_backbone("llama")
    found = run(tmp_path, backbone, search={"candidates": 12, "keep": 12})
    search = template_search(tmp_path)
    prepared = prepare_search(search, backbone)
    (template,) = choose_templates(prepared.task, TemplateFileBlock(file=str(found.templates), names=["second"]))
    encoder = prepared.encoder(deciding_rows(prepared, search))
    encoder.templates = [template]
    predictions = predict(prepared.tuner, encoder, prepared.task, Asking())
    right = sum(p.prediction == p.target for p in predictions)
    assert found.places[1]["score"]["value"] == pytest.approx(right / 30)


def test_generate_is_ranked_by_the_targets_likelihood(tmp_path: Path) -> None:
    """Against transformers' own forward: log probability of target and end token, a byte of the target."""
    import torch

    backbone = tiny_backbone("llama")
    found = run(tmp_path, backbone, kind="generate", search={"candidates": 5, "keep": 5, "by": "validation"})
    assert found.metric == "log-likelihood a byte"
    place = next(place for place in found.places if place["how"] == "given: plain")
    values = []
    for row in _rows():
        context = backbone.tokenizer(f"{row['text']}\nanswer:")["input_ids"]
        ids = backbone.tokenizer(f"{row['text']}\nanswer: {row['target']}")["input_ids"]
        ids = [*ids, backbone.tokenizer.eos_token_id]
        with torch.no_grad():
            log_probs = backbone.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        total = sum(float(log_probs[i - 1, ids[i]]) for i in range(len(context), len(ids)))
        values.append(total / len(row["target"].encode()))
    assert place["score"]["value"] == pytest.approx(sum(values) / len(values), abs=1e-4)
    assert [p["score"]["value"] for p in found.places] == sorted(p["score"]["value"] for p in found.places)[::-1]


def _rows() -> list[dict[str, str]]:
    from tiny import tiny_rows

    rows = tiny_rows("generate")
    order = [i for first in range(6) for i in range(first, 36, 6)]
    return [rows[i] for i in order[24:30]]


def test_choices_of_a_row(tmp_path: Path) -> None:
    found = run(tmp_path, kind="choose", search={"candidates": 6, "keep": 6})
    assert len(found.places) == 6
    assert all(0 <= place["score"]["value"] <= 1 for place in found.places)


def test_rounds_double_the_rows_and_halve_the_candidates() -> None:
    assert rounds(40, 64, 10) == [16, 32, 64]
    assert rounds(30, 64, 10) == [32, 64]
    assert rounds(1000, 64, 10) == [16, 32, 64]
    assert rounds(10, 64, 10) == [64]
    assert rounds(40, 30, 10) == [30]  # fewer than twice 16 rows: all at once
    assert work(40, 64, 10) == 40 + 20 + 10
    assert work(5, 64, 1) == 5 + 3 + 2


def test_the_better_half_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.search.rank.FEWEST", 7)
    found = run(tmp_path, search={"candidates": 16, "keep": 4})
    assert [place["rows"] for place in found.places] == [30] * 4 + [15] * 4 + [8] * 8
    lines = [json.loads(line) for line in (tmp_path / "out/candidates.jsonl").read_text().splitlines()]
    first = {line["candidate"]: line for line in lines if line["rows"] == [0, 8]}
    assert len(first) == 16
    key = {n: (math.fsum(line["score"]), math.fsum(line["likelihood"])) for n, line in first.items()}
    expected = sorted(sorted(key, key=lambda n: (-key[n][0], -key[n][1], n))[:8])
    assert [line["candidate"] for line in lines if line["rows"] == [8, 15]] == expected


def test_first_rows_hold_all_labels_of_both_splits(tmp_path: Path) -> None:
    search = template_search(tmp_path)
    rows = deciding_rows(prepare_search(search, tiny_backbone("llama")), search)
    assert {name.partition("-")[0] for name in rows.ids[:6]} == {"train", "validation"}
    assert sorted(map(str, rows.columns["label"][:6])) == ["money", "money", "sport", "sport", "weather", "weather"]


def test_equal_prompts_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two templates that differ on some rows only share the others; one that is equal everywhere is left out."""
    shorter = "{{ text }}\ntopic: {{ answer }}"
    some = "{{ text }}\n{% if 'dog' in text %}the {% endif %}topic: {{ answer }}"

    def twins(prepared: Any, settings: Any, seed: int) -> Iterator[Candidate]:
        yield Candidate("{{text}}\n{{ 'topic' }}: {{ answer }}", "same")
        yield Candidate(some, "some")

    use(monkeypatch, twins)
    asked: list[str] = []
    real = Scorer._choices
    monkeypatch.setattr(
        Scorer, "_choices", lambda self, e, prompts: asked.extend(p.text() for p in prompts) or real(self, e, prompts)
    )
    found = run(tmp_path, template=shorter)
    assert [place["how"] for place in sorted(found.places, key=lambda p: p["how"])] == ["given: inline", "some"]
    assert found.facts["equal"] == 1
    dogs = sum("dog" in row["text"] for row in asked_rows(tmp_path))
    assert 0 < dogs < 30
    assert len(asked) == len(set(asked)) == 30 + dogs


def asked_rows(folder: Path) -> Rows:
    search = template_search(folder)
    return deciding_rows(prepare_search(search, tiny_backbone("llama")), search)


def test_stopped_at_any_place_and_resumed_it_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"search": {"candidates": 12, "keep": 3}}
    monkeypatch.setattr("tunewright.search.rank.FEWEST", 7)
    whole = run(tmp_path, name="whole", **keys).to_json()
    real, calls = Scorer.score, []

    def stop(self: Scorer, *arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) in (3, 9, 17):
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(Scorer, "score", stop)
    for _ in range(3):
        with pytest.raises(Exception, match="results are kept, --resume goes on") as error:
            run(tmp_path, name="cut", resume=True, **keys)
        assert error.value.exit_code == 130  # type: ignore[attr-defined]
    journal = tmp_path / "cut/candidates.jsonl"
    journal.write_text(journal.read_text() + '{"candidate": 5, "rows": [8, 1')  # killed while writing
    before = len(journal.read_text().splitlines()) - 1
    calls[:] = [None] * 20
    again = run(tmp_path, name="cut", resume=True, **keys)
    assert again.to_json() == whole
    for name in ("templates.yaml", "leaderboard.json", "candidates.jsonl"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert len(calls) - 20 == len(journal.read_text().splitlines()) - before  # only what was missing


@pytest.mark.parametrize("by", ["train+validation", "train", "validation"])
def test_the_test_split_is_never_read(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment the task is open: no row of it is taken or looked at, and the generators do not have it."""
    read: set[str] = set()
    item, take = Rows.__getitem__, Rows.take

    def watched_item(self: Rows, index: Any) -> Any:
        if isinstance(index, int):
            read.add(self.ids[index])
        return item(self, index)

    def watched_take(self: Rows, indices: Any) -> Rows:
        read.update(self.ids[i] for i in indices)
        return take(self, indices)

    seen: list[set[str]] = []

    def peek(prepared: Any, settings: Any, seed: int) -> Iterator[Candidate]:
        seen.append(set(prepared.task.splits))
        yield Candidate("{{ text }} is {{ answer }}", "peek")

    monkeypatch.setattr(Rows, "__getitem__", watched_item)
    monkeypatch.setattr(Rows, "take", watched_take)
    use(monkeypatch, peek)
    run(tmp_path, search={"by": by})
    assert seen == [{"train", "validation"}]
    splits = {name.partition("-")[0] for name in read}
    assert splits == {"train", "validation"}
    places = json.loads((tmp_path / "out/leaderboard.json").read_text())["places"]
    assert places[0]["rows"] == {"train+validation": 30, "train": 24, "validation": 6}[by]


def test_candidates_that_cannot_be_asked_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def odd(prepared: Any, settings: Any, seed: int) -> Iterator[Candidate]:
        assert settings.beam == 3
        yield Candidate("{{ answer }} stands first {{ text }}", "first")
        yield Candidate("{{ txet }} {{ answer }}", "typo")
        yield Candidate("{{ text }} {{ label }}", "leak")
        yield Candidate("{{ text }} {{ answer }}", "one word", ("a",))
        yield Candidate("{{ text if 'dog' in text }} {{ answer }}", "blank")
        yield Candidate("{{ text }} is {{ answer }}", "good", ("a", "b", "c"), score=0.5)

    use(monkeypatch, odd)
    found = run(tmp_path, search={"generators": [{"name": "rules", "beam": 3}]})
    assert "generator rules: 6 candidates, and no more" in capsys.readouterr().err
    reasons = {entry["how"]: entry["reason"] for entry in found.facts["refused"]}
    assert "must be the last thing" in reasons["first"]
    assert "unknown field 'txet' (did you mean 'text'?)" in reasons["typo"]
    assert "which is the answer" in reasons["leak"]
    assert "1 answer_choices for 3 labels" in reasons["one word"]
    assert "empty prompt" in reasons["blank"]
    good = next(place for place in found.places if place["how"] == "good")
    assert (good["answer_choices"], good["generator_score"]) == (["a", "b", "c"], 0.5)


def test_words_of_the_start_are_kept_and_those_of_other_starts_go_with_their_variants(tmp_path: Path) -> None:
    starts = [
        {"jinja": "{{ text }}\nA: {{ answer }}",
         "label_words": {"sport": ["ball", "game"], "money": "cash", "weather": "sun"}},
        {"jinja": "{{ text }} So: {{ answer }}", "answer_choices": ["x", "y", "z"]},
    ]  # fmt: skip
    found = run(tmp_path, template=starts, search={"candidates": 16})
    words = {place["how"]: place.get("label_words") or place.get("answer_choices") for place in found.places}
    assert words["given: inline"] == {"sport": ["ball", "game"], "money": ["cash"], "weather": ["sun"]}
    assert words["given: inline-2"] == ["x", "y", "z"]
    assert sum(own == ["x", "y", "z"] for own in words.values()) > 3
    assert sum(own == words["given: inline"] for own in words.values()) > 3


@pytest.mark.parametrize(
    ("keys", "arch", "said"),
    [
        ({"kind": "regress"}, "llama", "templates are searched for tasks of kind classify or choose or generate"),
        ({"kind": "generate"}, "bert", "is a masked model; it cannot generate text"),
        ({"template": "{{ text }} {{ soft(2) }} {{ answer }}"}, "llama", "it has soft slots"),
        ({"template": "{{ answer }} {{ text }}"}, "llama", "must be the last thing in the template"),
        ({"shots": 200}, "llama", "200 rows wanted"),
        ({"template": "plan"}, "llama", "did you mean 'plain'?"),
    ],
)
def test_bad_input(keys: dict[str, Any], arch: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        run(tmp_path, tiny_backbone(arch), **keys)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_generator_that_refuses_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(prepared: Any, settings: Any, seed: int) -> Iterator[Candidate]:
        raise InputError("generator lm-bff: name a model")
        yield

    use(monkeypatch, refusing)
    with pytest.raises(InputError, match="name a model"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()
