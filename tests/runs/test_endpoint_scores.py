"""What an endpoint's answers say is what the same model says on this machine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_server import Server, serving
from run_parts import recipe_of, saved_model

from tunewright.endpoints import forms
from tunewright.evaluation.predictions import Prediction
from tunewright.recipe import Recipe
from tunewright.runs.run import run
from tunewright.task_block import Kind


def both(server: Server, folder: Path, kind: Kind, arch: str = "llama", **keys: Any) -> list[list[Prediction]]:
    """The same recipe with the model's own files and with the endpoint."""
    block = {"endpoint": server.url, "name": "tiny", "per_minute": None, **keys.pop("model", {})}
    local = recipe_of(keys.pop("method", "none"), arch, kind, **keys)
    remote = Recipe.model_validate({**local.model_dump(exclude_unset=True), "model": block})
    return [run(recipe, folder / str(i), alone=False).after for i, recipe in enumerate((local, remote))]


def same(pair: list[list[Prediction]]) -> None:
    local, remote = pair
    assert [replace(p, scores=None) for p in local] == [replace(p, scores=None) for p in remote]
    assert len({p.scores for p in local}) > 1
    for here, there in zip(local, remote):
        assert here.scores is not None and there.scores == pytest.approx(here.scores, abs=1e-4)


@pytest.mark.parametrize("kind", ["classify", "choose"])
@pytest.mark.parametrize("with_tokenizer", [False, True])
def test_scores_of_choices(server: Server, tmp_path: Path, kind: Kind, with_tokenizer: bool) -> None:
    model = {"tokenizer": saved_model("llama")} if with_tokenizer else {}
    same(both(server, tmp_path, kind, model=model))
    assert len(server.requests) == 7  # one a row, with all its choices
    assert all(len(request["prompt"]) == 3 for request in server.requests)


@pytest.mark.parametrize("normalisation", ["token", "byte"])
def test_scores_by_length(server: Server, tmp_path: Path, normalisation: str) -> None:
    words = {"sport": ["sport", "a great goal"], "money": "money", "weather": ["weather", "rain and snow"]}
    keys = {"task": {"label_words": words}, "evaluation": {"normalisation": normalisation}}
    same(both(server, tmp_path, "classify", **keys))


@pytest.mark.parametrize(("counts_bos", "places"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("with_tokenizer", [False, True])
def test_a_first_token_of_the_endpoint(
    own_cache: Path, tmp_path: Path, counts_bos: bool, places: bool, with_tokenizer: bool
) -> None:
    """OPT's tokenizer puts `</s>` before a text; endpoints differ in whether they count its letters."""
    with serving(Server("opt")) as server:
        server.counts_bos, server.places = counts_bos, places
        model = {"tokenizer": saved_model("opt")} if with_tokenizer else {}
        same(both(server, tmp_path, "classify", "opt", model=model))


def test_first_tokens_of_a_chat(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of one token each: the first token's probability is the choice's."""
    monkeypatch.setattr(forms, "TOP", 10_000)  # a random model lists no three words among its 20 best
    words = {"sport": "the", "money": "it", "weather": "a"}
    template = {"jinja": "{{ text }}", "chat": True}
    same(both(server, tmp_path, "classify", task={"label_words": words}, template=template, model={"mode": "chat"}))
    assert {request["path"] for request in server.requests} == {"/v1/chat/completions"}
    assert server.requests[0]["messages"][0]["role"] == "user"


@pytest.mark.parametrize(("mode", "kind"), [("completions", "generate"), ("chat", "generate"), ("completions", "tag")])
def test_texts(server: Server, tmp_path: Path, mode: str, kind: Kind) -> None:
    keys = {"template": {"jinja": "{{ text }}", "chat": True}} if mode == "chat" else {}
    local, remote = both(server, tmp_path, kind, model={"mode": mode}, **keys)
    assert local == remote
    assert mode == "chat" or len({p.prediction for p in local}) > 1  # a random model repeats its last token
    assert {request["max_tokens"] for request in server.requests} == {5}


def test_rows_are_cut_with_the_models_tokenizer(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"training": {"max_tokens": 10}, "model": {"tokenizer": saved_model("llama")}}
    same(both(server, tmp_path, "classify", **keys))
    assert capsys.readouterr().err.count("7 of 7 rows were cut to training.max_tokens") == 2


# ---- in-context examples --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice", [{"choose": "fixed"}, {"choose": "random", "balanced": False, "order": "given"}, {"choose": "nearest"}]
)
def test_in_context_examples_stand_before_the_question(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: dict[str, Any]
) -> None:
    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", ByLetters)
    same(both(server, tmp_path, "classify", method={"name": "in-context", "examples": 3, **choice}))
    assert len(server.requests) == 14  # each row without and with examples
    shown = server.requests[-1]["prompt"][0]
    assert shown.count("topic:") == 4 and shown.count("\n\n") == 3


def test_in_context_examples_of_texts(server: Server, tmp_path: Path) -> None:
    local, remote = both(server, tmp_path, "generate", method={"name": "in-context", "examples": 2})
    assert local == remote and "answer" not in local[0].prompt.partition("\n\n")[0][:6]


def test_in_a_chat_they_are_earlier_turns(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "TOP", 10_000)
    words = {"sport": "the", "money": "it", "weather": "a"}
    template = {"jinja": "{{ text }}", "chat": True}
    keys = {"task": {"label_words": words}, "template": template, "model": {"mode": "chat"}}
    same(both(server, tmp_path, "classify", method={"name": "in-context", "examples": 2}, **keys))
    messages = server.requests[-1]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert {messages[1]["content"], messages[3]["content"]} <= set(words.values())


def test_examples_that_do_not_fit_are_dropped_by_the_models_tokenizer(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"training": {"max_tokens": 60}, "model": {"tokenizer": saved_model("llama")}}
    same(both(server, tmp_path, "classify", method={"name": "in-context", "examples": 6}, **keys))
    here, there = (line for line in capsys.readouterr().err.splitlines() if "were left out" in line)
    assert here == there and here.startswith("after: ")


# ---- calibration, ensembles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["contextual", "pmi"])
@pytest.mark.parametrize("method", ["none", {"name": "in-context", "examples": 2}])
def test_calibrated_scores(server: Server, tmp_path: Path, how: str, method: Any) -> None:
    same(both(server, tmp_path, "classify", method=method, evaluation={"calibration": how}))
    extra = {"contextual": 3, "pmi": 1}[how]  # equal prompts without content are asked once
    assert len(server.requests) == (7 + extra) * (1 if method == "none" else 2)


@pytest.mark.parametrize("how", ["mean", "vote", "weighted"])
def test_ensembles(server: Server, tmp_path: Path, how: str) -> None:
    keys = {"template": ["plain", "short"], "evaluation": {"ensemble": how}}
    same(both(server, tmp_path, "classify", **keys))
    assert len({request["prompt"][0] for request in server.requests}) >= 14


class ByLetters:
    """A sentence encoder that counts letters."""

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        found = np.array([[text.count(letter) for letter in "abcdefghijklmnopqrst"] for text in texts], np.float32)
        return found / np.linalg.norm(found, axis=-1, keepdims=True)
