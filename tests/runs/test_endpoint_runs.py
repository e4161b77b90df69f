"""A run with a model behind an API: its folder, its cache, its budget, what goes wrong, and that the key stays out."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import openai._base_client
import pytest
import yaml
from endpoint_server import Server
from run_parts import ALWAYS, read, recipe_of

from tunewright.cli.main import main
from tunewright.endpoints import client
from tunewright.errors import InputError, MachineError
from tunewright.evaluation.scoring import NO_CHOICE
from tunewright.runs.folder import recipe_tree
from tunewright.runs.kept import load_kept

KEY = "sk-Secret-0123456789"
ROWS = 7


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)


class Tune:
    """`tunewright tune` on a recipe in this folder; `code`, `out`, `err` of the last call."""

    def __init__(self, folder: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.server, self.capsys = folder, server, capsys
        self.code, self.out, self.err = 0, "", ""

    def __call__(self, *words: str, model: dict[str, Any] | None = None, output: str = "run", **keys: Any) -> int:
        method = keys.pop("method", "none")
        tree = recipe_tree(recipe_of(method, "llama", keys.pop("kind", "classify"), **keys))
        tree["model"] = {"endpoint": self.server.url, "name": "tiny", "per_minute": None, **(model or {})}
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        return self.run("tune", str(self.folder / "recipe.yaml"), "--output", str(self.folder / output), *words)

    def run(self, *words: str) -> int:
        self.capsys.readouterr()
        self.code = main(list(words))
        self.out, self.err = self.capsys.readouterr()
        return self.code

    @property
    def error(self) -> str:
        """The one line of the error."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line.removeprefix("error: ")


@pytest.fixture
def tune(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> Tune:
    return Tune(tmp_path, server, capsys)


def lines(tune: Tune, output: str = "run") -> list[dict[str, Any]]:
    text = (tune.folder / output / "predictions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# ---- the folder, the cache, the budget ------------------------------------------------------------------------


def test_the_folder_and_what_is_kept(tune: Tune, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MachineError("no sentence vectors here")

    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", refuse)
    assert tune(evaluation={"baselines": True, "metrics": ["accuracy", "macro-f1"]}) == 0
    folder = tune.folder / "run"
    assert {path.name for path in folder.iterdir()} == ALWAYS | {"baselines.json"}
    assert read(folder, "before.json") == read(folder, "after.json")
    assert read(folder, "cost.json")["asked"] == {
        "answers": ROWS, "from_cache": 0, "requests": ROWS, "prompt_tokens": 10 * ROWS, "completion_tokens": ROWS,
        "models": ["tiny"],
    }  # fmt: skip
    assert f"{ROWS} requests (0 of {ROWS} answers from the cache; 70 tokens read, 7 written)" in tune.out
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"tiny at {server.url}" in page and "TF-IDF" in page

    (tune.folder / "new.jsonl").write_text('{"text": "the film and the rain"}\n{"text": " "}\n', encoding="utf-8")
    assert tune.run("predict", str(folder), str(tune.folder / "new.jsonl")) == 0
    first, second = (json.loads(line) for line in tune.out.splitlines())
    assert first["prediction"] in first["scores"] and sum(first["scores"].values()) == pytest.approx(1)
    assert second["prediction"] is None
    asked = len(server.requests)
    assert tune.run("evaluate", str(folder)) == 0
    assert read(folder, "evaluation-test.json") == read(folder, "before.json") and len(server.requests) == asked
    assert tune.run("inspect", str(folder)) == 2 and f"those of tiny at {server.url} cannot be reached" in tune.error
    with pytest.raises(InputError, match=f"its model is tiny at {server.url}, whose weights cannot be reached"):
        load_kept(folder)


def test_a_repeated_run_asks_nothing(tune: Tune, server: Server) -> None:
    assert tune() == 0
    first = lines(tune)
    assert tune(output="again") == 0
    assert len(server.requests) == ROWS and lines(tune, "again") == first
    assert f"{ROWS} requests, {ROWS} of them answered before" in tune.err
    assert read(tune.folder / "again", "cost.json")["asked"]["from_cache"] == ROWS
    assert tune(output="other", model={"name": "else"}) == 2  # another model has nothing in the cache
    assert len(server.requests) == ROWS + 1


def test_equal_prompts_are_asked_once(tune: Tune, server: Server) -> None:
    assert tune(template="same for all: {{ text[:3] }} {{ answer }}") == 0
    assert len(server.requests) == len({request["prompt"][0] for request in server.requests}) < ROWS


def test_the_budget_stops_and_the_rest_is_done_later(tune: Tune, server: Server) -> None:
    assert tune(output="whole") == 0
    server.requests.clear()
    server.name = "twin"
    model = {"name": "twin", "requests": 4}
    assert tune(model=model) == 2
    assert tune.error == (
        f"model.requests: the budget of 4 requests is spent; 4 of {ROWS} answers are there and kept: the same command "
        "goes on from there (tune, compare, search and sensitivity with --resume), or give a larger model.requests"
    )
    assert "model.requests: the budget of 4 will end before they are done" in tune.err
    assert len(server.requests) == 4 and not (tune.folder / "run/before.json").exists()
    assert tune(model=model) == 2 and "--resume goes on with it" in tune.error
    assert tune("--resume", model={**model, "requests": 3, "at_once": 1}) == 0
    assert len(server.requests) == ROWS
    assert lines(tune) == lines(tune, "whole")
    assert tune("--resume", model={**model, "choices": "text"}) == 2 and "another recipe" in tune.error


def test_repeated_requests_count(tune: Tune, server: Server) -> None:
    server.fails = [429, 429, 429]
    assert tune(model={"requests": 5, "at_once": 1}) == 2
    assert "the budget of 5 requests is spent; 2 of 7 answers" in tune.error and len(server.requests) == 5


def test_a_few_at_once(tune: Tune, server: Server) -> None:
    server.pause = 0.1
    assert tune(model={"at_once": 3}) == 0
    assert server.most_at_once == 3
    server.pause, server.name = 0.0, "twin"
    assert tune(output="twin", model={"at_once": 1, "name": "twin"}) == 0
    assert lines(tune, "twin") == lines(tune)


# ---- choices told by text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lack", ["no logprobs", "no echo", "refused"])
def test_without_log_probabilities_the_text_is_read(tune: Tune, server: Server, lack: str) -> None:
    server.says = "Sport."
    server.logprobs = lack != "no logprobs"
    if lack != "no logprobs":
        server.echo = None if lack == "refused" else False  # type: ignore[assignment]
    assert tune() == 0
    assert "choices are told by the text of an answer, not by log probabilities: " in tune.err
    assert {line["before"] for line in lines(tune)} == {"sport"} and "scores" not in lines(tune)[0]
    probe, *rest = server.requests
    assert "echo" in probe and all("echo" not in request for request in rest) and len(rest) == ROWS
    start = "Answer with exactly one of these options and nothing else:\n- money\n- sport\n- weather\n\nreview: "
    assert all(request["prompt"].startswith(start) for request in rest)
    assert tune(output="again") == 0 and len(server.requests) == ROWS + 1  # what it lacks is kept too


def test_answers_that_name_no_choice_are_counted(tune: Tune, server: Server) -> None:
    server.says = "I would say it is sport"
    assert tune(model={"mode": "chat", "choices": "text"}) == 0
    assert f"asking: {ROWS} of {ROWS} answers named none of the choices and count as wrong" in tune.err
    assert {line["before"] for line in lines(tune)} == {NO_CHOICE}
    assert read(tune.folder / "run", "before.json")["metrics"]["accuracy"]["value"] == 0
    assert server.requests[0]["messages"][0]["content"].endswith("topic:")


def test_a_chat_does_not_score_words_of_several_tokens(tune: Tune, server: Server) -> None:
    server.says = "money"
    assert tune(model={"mode": "chat"}) == 0
    assert "is not among the most probable first tokens that it lists" in tune.err
    assert {line["before"] for line in lines(tune)} == {"money"}
    assert tune(output="forced", model={"mode": "chat", "choices": "logprobs"}) == 2
    assert "is never among the 20 most probable first tokens of an answer" in tune.error
    assert tune(output="rows", kind="choose", model={"mode": "chat"}) == 0


# ---- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [[429], [500, 503], ["hang"]])
def test_what_passes_is_tried_again(tune: Tune, server: Server, fails: list[Any]) -> None:
    server.fails = list(fails)
    hangs = "hang" in fails  # a busy machine may be late again
    assert tune(model={"timeout": 2.0, "at_once": 1} if hangs else {}) == 0
    assert len(server.requests) >= ROWS + 1 if hangs else len(server.requests) == ROWS + len(fails)


@pytest.mark.parametrize(
    ("fails", "code", "said"),
    [
        ([429] * 9, 3, "too many requests, or its quota is used up (429: this request was told to fail) (2 tries)"),
        ([500] * 9, 3, "it fails (500: this request was told to fail) (2 tries)"),
        (["hang"] * 9, 3, "no answer within 0.5 s (2 tries)"),
        (["garbage"], 3, "an answer is not JSON: '<html>busy</html>'"),
        ([400] * 9, 2, "refuses the request (400: this request was told to fail)"),
    ],
)
def test_what_does_not_pass(
    tune: Tune, server: Server, monkeypatch: pytest.MonkeyPatch, fails: list[Any], code: int, said: str
) -> None:
    monkeypatch.setattr(client, "RETRIES", 1)
    server.fails = list(fails)
    timeout = 0.5 if "hang" in fails else 60.0
    assert tune(model={"timeout": timeout, "at_once": 1, "choices": "text"}) == code
    assert said in tune.error and tune.error.startswith("row train-" if code == 2 else server.url)
    assert not (tune.folder / "run/before.json").exists()
    server.fails = []
    server.says = "money"
    assert tune("--resume", model={"at_once": 1, "choices": "text"}) == 0


def test_wrong_addresses_names_and_keys(tune: Tune, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRIES", 1)
    assert tune(model={"endpoint": "http://127.0.0.1:9/v1"}) == 3
    assert tune.error.startswith("http://127.0.0.1:9/v1: cannot be reached: ") and "(2 tries)" in tune.error
    assert tune("--overwrite", model={"endpoint": server.url.removesuffix("/v1")}) == 2
    assert "it knows no model 'tiny', or the address is wrong (404" in tune.error
    assert tune("--overwrite", model={"name": "tinny"}) == 2 and "it knows no model 'tinny'" in tune.error
    monkeypatch.delenv("TINY_KEY", raising=False)
    assert tune(output="none", model={"key": "TINY_KEY"}) == 2
    assert tune.error == "model.key: the environment variable TINY_KEY is not set"
    assert not (tune.folder / "none").exists()
    server.key = KEY
    assert tune(output="none", model={}) == 2 and "it refuses requests without a key (model.key) (401" in tune.error
    assert server.requests[-1]["authorization"] is None


def test_the_key_is_never_written(tune: Tune, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server repeats the key in its answers and its errors."""
    server.key = KEY
    monkeypatch.setenv("TINY_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    said = []
    assert tune("--json", model={"key": "TINY_KEY"}) == 0
    said += [tune.out, tune.err]
    assert {request["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
    monkeypatch.setenv("TINY_KEY", wrong := KEY[::-1])
    assert tune("--json", output="wrong", model={"key": "TINY_KEY", "requests": 9, "choices": "text"}) == 2
    assert (
        "it refuses the key in the environment variable TINY_KEY (401: Incorrect key provided: Bearer ***" in tune.err
    )
    said += [tune.out, tune.err]
    files = [path for path in tune.folder.rglob("*") if path.is_file()]
    assert len(files) > 15 and any("cache" in path.parts for path in files)
    written = b"".join(path.read_bytes() for path in files) + "".join(said).encode()
    for secret in (KEY, wrong, "Secret"):
        assert secret.encode() not in written
    assert b'"***"' in written or b"Bearer ***" in written  # the test server did repeat it


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"endpoint": "localhost:8000"}, "model.endpoint: an address that starts with http:// or https:// wanted"),
        ({"endpoint": "https://me:hunter2@x.org/v1"}, "model.endpoint: no user, password or ?… in the address"),
        ({"endpoint": "https://x.org/v1?key=hunter2"}, "model.endpoint: no user, password or ?… in the address"),
        ({"key": "sk-hunter2"}, "model.key: the NAME of an environment variable wanted"),
        ({"api_key": "sk-hunter2"}, "unknown key 'model.api_key'"),
        ({"requests": 0}, "model.requests: input should be greater than 0"),
        ({"mode": "talk"}, "model.mode: input should be 'completions' or 'chat'"),
    ],
)
def test_blocks_that_are_wrong(tune: Tune, server: Server, model: dict[str, Any], said: str) -> None:
    recipe = tune.folder / "recipe.yaml"
    tree = {**recipe_tree(recipe_of("none")), "model": {"endpoint": "http://x/v1", "name": "tiny", **model}}
    recipe.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert tune.run("tune", str(recipe), "--output", str(tune.folder / "run")) == 2
    assert said in tune.error and "hunter2" not in tune.err and not (tune.folder / "run").exists()


def test_methods_that_train_and_templates_that_do_not_fit(tune: Tune, server: Server) -> None:
    assert tune(method={"name": "prompt-tuning", "length": 4}) == 2
    assert tune.error == (
        f"method prompt-tuning: it needs the weights of a model, and those of tiny at {server.url} cannot be reached; "
        "use method none or in-context, or a model of the catalog, the hub or a folder"
    )
    assert tune(template={"jinja": "{{ text }}", "chat": True}) == 2 and "set model.mode: chat" in tune.error
    assert tune(template="It was {{ answer }}: {{ text }}") == 2
    assert "{{ answer }} must be the last thing in the template" in tune.error
    assert not server.requests and not (tune.folder / "run").exists()


def test_check_says_what_would_be_asked(tune: Tune, server: Server) -> None:
    assert tune() == 0
    asked = len(server.requests)
    recipe = str(tune.folder / "recipe.yaml")
    assert tune.run("check", recipe, "--set", "model.requests=3", "--set", "evaluation.split=validation") == 0
    assert f"tiny at {server.url} (behind an API; nothing was sent)" in tune.out
    assert "4; the budget is 3" in tune.out and "topic: " in tune.out
    assert tune.run("check", recipe, "--json") == 0
    facts = json.loads(tune.out)["model"]
    assert (facts["requests"], facts["known"], facts["budget"]) == (ROWS, ROWS, 500)
    assert tune.run("check", recipe, "--no-model", "--set", "method=lora") == 2 and "cannot be reached" in tune.error
    assert len(server.requests) == asked


# ---- in-context examples, calibration, pace -------------------------------------------------------------------


def test_in_context_runs_keep_their_examples(tune: Tune, server: Server) -> None:
    method = {"name": "in-context", "examples": 2}
    assert tune(method=method) == 0
    assert f"{2 * ROWS} requests" in tune.err and len(server.requests) == 2 * ROWS
    folder = tune.folder / "run"
    assert (folder / "tuned/demonstrations.jsonl").is_file()
    assert tune.run("evaluate", str(folder)) == 0 and len(server.requests) == 2 * ROWS  # the same prompts again
    assert read(folder, "evaluation-test.json") == read(folder, "after.json")
    assert tune.run("check", str(tune.folder / "recipe.yaml")) == 0
    assert f"{2 * ROWS}, {2 * ROWS} of them answered before; the budget is 500" in tune.out
    server.says = "sport"
    assert tune("--overwrite", method=method, model={"choices": "text"}) == 0
    asked = server.requests[-1]["prompt"]
    assert asked.index("topic:") < asked.index("Answer with exactly one of these options") < asked.rindex("topic:")


def test_each_template_is_weighed_with_examples_in_its_own_form(tune: Tune, server: Server) -> None:
    method, keys = {"name": "in-context", "examples": 2}, {"evaluation": {"ensemble": "weighted"}}
    assert tune(method=method, template=["plain", "short"], **keys) == 0
    shown = [request["prompt"][0] for request in server.requests]
    assert {text.count("topic:") for text in shown} == {0, 1, 3}  # of three in `plain`, none in `short`
    planned = int(tune.err.partition(f"{server.url}: ")[2].partition(" requests")[0])
    assert planned == len(server.requests)


@pytest.mark.parametrize("evaluation", [{"calibration": "contextual"}, {"calibration": "pmi"}, {"ensemble": "mean"}])
def test_what_wants_scores_says_so(tune: Tune, server: Server, evaluation: dict[str, str]) -> None:
    ((key, how),) = evaluation.items()
    keys: dict[str, Any] = {"evaluation": evaluation, "template": ["plain", "short"]}
    assert tune(model={"choices": "text"}, **keys) == 2
    assert tune.error == (
        f"evaluation.{key} {how}: it wants log probabilities of the choices, and tiny at {server.url} tells choices by "
        "the text of an answer: model.choices is text"
    )
    assert not server.requests and not (tune.folder / "run").exists()
    server.logprobs = False
    assert tune(**keys) == 2 and "gives no log probabilities of a given text" in tune.error
    assert len(server.requests) == 1


def test_the_endpoint_says_when_to_come_back(tune: Tune, server: Server) -> None:
    server.fails, server.retry_after = [429], "1.3"
    assert tune(model={"at_once": 1}) == 0
    assert server.times[1] - server.times[0] > 1.2  # the client's own wait would be 0.01 s here


KILLED = """
import sys
from tunewright.cli.main import run
sys.argv = ["tunewright", *sys.argv[1:]]
run()
"""


def test_a_killed_run_goes_on_from_the_cache(tune: Tune, server: Server) -> None:
    assert tune(output="whole", model={"name": "tiny"}) == 0
    server.name, server.pause = "twin", 0.4
    server.requests.clear()
    tree = yaml.safe_load((tune.folder / "recipe.yaml").read_text(encoding="utf-8"))
    tree["model"] |= {"name": "twin", "at_once": 1}
    (tune.folder / "recipe.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    words = ["tune", str(tune.folder / "recipe.yaml"), "--output", str(tune.folder / "run")]
    with subprocess.Popen([sys.executable, "-c", KILLED, *words], stderr=subprocess.DEVNULL) as process:
        while len(server.requests) < 4 and process.poll() is None:
            time.sleep(0.05)
        process.kill()
    time.sleep(0.5)  # the last one's answer, to nobody
    assert len(server.requests) == 4
    server.pause = 0.0
    assert tune.run(*words, "--resume") == 0
    assert 7 <= len(server.requests) <= 8  # the one under way was lost
    assert lines(tune) == lines(tune, "whole")
