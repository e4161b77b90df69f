"""A search that asks a model behind an API: the board of the model's own files, budget, induced instructions."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoint_server import Server
from search_files import task_block, template_search, word_search
from tiny import tiny_backbone

from tunewright.cli.main import main
from tunewright.endpoints.faults import Ended
from tunewright.errors import InputError
from tunewright.search.results import Found
from tunewright.search.run import search_templates


def block(server: Server, **keys: Any) -> dict[str, Any]:
    return {"endpoint": server.url, "name": "tiny", "per_minute": None, **keys}


def search(server: Server, folder: Path, name: str = "out", model: dict[str, Any] | None = None, **keys: Any) -> Found:
    resume = keys.pop("resume", False)
    wanted = template_search(folder, model=block(server, **(model or {})), **keys)
    return search_templates(wanted, folder / name, resume=resume)


SMALL = {"candidates": 4, "keep": 2}


def board(found: Found) -> list[tuple[Any, ...]]:
    return [(place["jinja"], place["rows"], place["score"]["value"]) for place in found.places]


def test_the_board_is_that_of_the_models_files(server: Server, tmp_path: Path) -> None:
    local = search_templates(
        template_search(tmp_path, search=SMALL), tmp_path / "local", backbone=tiny_backbone("llama")
    )
    found = search(server, tmp_path, search=SMALL)
    assert board(found) == board(local)
    likelihoods = [[place["likelihood"] for place in one.places] for one in (local, found)]
    assert likelihoods[1] == pytest.approx(likelihoods[0], abs=1e-4)
    facts = json.loads((tmp_path / "out/leaderboard.json").read_text(encoding="utf-8"))
    assert facts["model"] == f"tiny at {server.url}" and facts["asked"]["requests"] == len(server.requests)
    asked = len(server.requests)
    assert board(search(server, tmp_path, "again", search=SMALL)) == board(found) and len(server.requests) == asked


def test_the_budget_ends_and_resume_goes_on(server: Server, tmp_path: Path) -> None:
    whole = search(server, tmp_path, "whole", search=SMALL)
    asked = len(server.requests)
    server.name = "twin"
    twin = {"name": "twin", "requests": asked - 5}
    with pytest.raises(Ended, match=rf"budget of {asked - 5} requests is spent; .* sensitivity with --resume"):
        search(server, tmp_path, search=SMALL, model=twin)
    assert not (tmp_path / "out/leaderboard.json").exists()
    found = search(server, tmp_path, search=SMALL, model=twin, resume=True)
    assert board(found) == board(whole) and len(server.requests) == 2 * asked


def test_choices_by_text(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.logprobs, server.says = False, "sport"
    found = search(server, tmp_path, search=SMALL)
    assert all(place["score"]["value"] == pytest.approx(1 / 3, abs=0.1) for place in found.places)
    assert sum("echo" in request for request in server.requests) == 1  # what it lacks is found out once
    assert capsys.readouterr().err.count("choices are told by the text") == 1


@pytest.mark.parametrize(("mode", "form"), [("completions", "plain"), ("chat", "chat")])
@pytest.mark.parametrize("own", [True, False])
def test_instructions_are_induced(server: Server, tmp_path: Path, mode: str, form: str, own: bool) -> None:
    texts = ["say what the text is about.", "Nothing", "say what the text is about.", "name the topic of the news."]
    server.says, server.texts = "sport", list(texts)
    induce = {"name": "induce", "samples": 4, "examples": 2, "temperature": 0.7}
    keys: dict[str, Any] = {"search": {"generators": [induce], "candidates": 9}}
    model = {"mode": mode, "choices": "text"}
    if own:
        found = search(server, tmp_path, model=model, **keys)
    else:  # another model writes
        keys["search"]["generators"] = [{**induce, "model": block(server, **model)}]
        wanted = template_search(tmp_path, **keys)
        found = search_templates(wanted, tmp_path / "out", backbone=tiny_backbone("llama"))
    drawn = [request for request in server.requests if request["temperature"] == 0.7]
    assert len(drawn) == 4 and len({request["seed"] for request in drawn}) == 4
    assert {request["top_p"] for request in drawn} == {0.9} and {request["max_tokens"] for request in drawn} == {50}
    asked = drawn[0]["messages"][0]["content"] if mode == "chat" else drawn[0]["prompt"]
    assert asked.startswith("I gave a friend an instruction.") and asked.count("Output: ") == 2
    made = {place["how"]: place["jinja"].split("\n")[0] for place in found.places if "induced" in place["how"]}
    if not own:  # the other model's pace may differ when the search goes on
        keys["search"]["generators"][0]["model"]["requests"] = 7
        again = search_templates(
            template_search(tmp_path, **keys), tmp_path / "out", resume=True, backbone=tiny_backbone("llama")
        )
        assert board(again) == board(found)
    assert made == {
        f"induced ({form}, sample 1)": "Instruction: Say what the text is about.",
        f"induced ({form}, sample 4)": "Instruction: Name the topic of the news.",
    }


def test_what_an_api_cannot_do(server: Server, tmp_path: Path) -> None:
    for name in ("autoprompt", "lm-bff"):
        with pytest.raises(InputError, match=f"{name} reads the weights of a model, and those of tiny at .* rules or"):
            search(server, tmp_path, search={"generators": [name]})
    with pytest.raises(InputError, match="ranked by the log probability of the right text"):
        search(server, tmp_path, kind="generate")
    with pytest.raises(InputError, match="model: label words are read off a whole vocabulary, and tiny at"):
        word_search(tmp_path, model=block(server))
    with pytest.raises(InputError, match=r"is asked in chats; use forms: \[chat\]"):
        generators = [{"name": "induce", "forms": ["plain"]}]
        search(server, tmp_path, search={"generators": generators}, model={"mode": "chat"})
    assert not server.requests and not (tmp_path / "out").exists()


def test_from_the_command_line_without_the_key_anywhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.key = "sk-Secret-0123456789"
    monkeypatch.setenv("TINY_KEY", server.key)
    tree = {"model": block(server, key="TINY_KEY"), "task": task_block(tmp_path), "search": SMALL}
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    words = ["search", "template", str(tmp_path / "search.yaml"), "--output", str(tmp_path / "out")]
    assert main(words) == 0
    said = "".join(capsys.readouterr())
    assert f"{len(server.requests)} requests" in said
    monkeypatch.setenv("TINY_KEY", "sk-Secret-wrong")
    assert main([*words[:-1], str(tmp_path / "wrong"), "--set", "model.name=else"]) == 2
    said += "".join(capsys.readouterr())
    assert "it refuses the key in the environment variable TINY_KEY" in said
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Secret" not in written and "Secret" not in said
