"""In-context examples in runs: where they come from, what is kept, and a tiny model that answers as they do."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from run_parts import read, recipe_of
from tiny import TEMPLATES, tiny_prepared, tiny_rows

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.objectives.losses import answer_loss
from tunewright.prompts.demonstrations import Demonstrations, Demonstrator, PoolRow, Undemonstrated, answered
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt
from tunewright.recipe import Recipe
from tunewright.runs.kept import load_kept
from tunewright.runs.prepare import prepare
from tunewright.runs.run import run
from tunewright.seeds import python_random
from tunewright.settings import validate

LABELS = ("sport", "money", "weather")
KEYWORDS = {"team": 0, "goal": 0, "match": 0, "bank": 1, "price": 1, "trade": 1, "rain": 2, "snow": 2, "wind": 2}


class ByKeyword:
    """A sentence encoder that sees the keyword's class and, a little, the whole text."""

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        found = np.zeros((len(texts), 40), np.float32)
        for i, text in enumerate(texts):
            found[i, KEYWORDS[text.split()[-1].strip(".")]] = 1.0
            found[i, 3 + sum(map(ord, text)) % 37] = 0.2
        return found / np.linalg.norm(found, axis=-1, keepdims=True)


@pytest.fixture
def by_keyword(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.backbones.vectors.SentenceEncoder", ByKeyword)


@cache
def copier() -> str:
    """A tiny causal model trained to answer what the example before the question answers, whatever the texts say."""
    prepared = tiny_prepared("full", "llama")
    task, template, backbone = prepared.task, prepared.templates[0], prepared.backbone
    optimizer = torch.optim.AdamW(backbone.model.parameters(), lr=5e-3)
    random = python_random("copier")
    texts = list(task.split("train").columns["text"])
    for _ in range(80):
        prompts = []
        for _ in range(24):
            label = random.choice(LABELS)
            one, other = (template.render({"text": text, "label": label}) for text in random.sample(texts, 2))
            assert one is not None and other is not None
            plan = Demonstrations(1, "fixed", False, "given", "\n\n")
            pool = [PoolRow("x", None, (answered(one),))]
            prompts += Demonstrator(plan, pool, 0, np.zeros)([Undemonstrated(0, other)])  # type: ignore[arg-type]
        batch = backbone.collate(backbone.encode_many(prompts, SlotLayout(), "answer"))
        loss = answer_loss(prepared.tuner(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 24 * 0.1  # a row: 0.1
    folder = Path(mkdtemp(prefix="copier-"))
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return str(folder)


def method(**settings: Any) -> dict[str, Any]:
    return {"name": "in-context", **settings}


def shown_to(folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Each asked row's line, and the examples that its prompt begins with."""
    for text in (folder / "predictions.jsonl").read_text().splitlines():
        line = json.loads(text)
        yield line, line["prompt"].split("\n\n")[:-1]


def pool_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "tuned/demonstrations.jsonl").read_text().splitlines()]


def test_what_is_kept_is_what_was_shown_and_never_of_test(tmp_path: Path) -> None:
    result = run(recipe_of(method(examples=6), shots=4), tmp_path / "run", alone=False)
    kept = pool_rows(tmp_path / "run")
    assert len(kept) == 6 and Counter(row["label"] for row in kept) == dict.fromkeys(LABELS, 2)
    assert all(row["id"] in result.prepared.task.split("train").ids for row in kept)
    texts = {
        f"review: {row['rendered']['plain'][1]['text']}. topic: {row['label']}" for row in kept
    }  # fmt: skip
    seen = list(shown_to(tmp_path / "run"))
    assert len(seen) == len(result.prepared.task.split("test"))
    assert {tuple(examples) for _, examples in seen} == {tuple(seen[0][1])} and set(seen[0][1]) == texts
    test_texts = set(result.prepared.task.split("test").columns["text"])
    assert not test_texts & {row["rendered"]["plain"][1]["text"] for row in kept}
    assert result.cost["trained_parameters"] == 0 and result.cost["artifact_bytes"] > 0
    assert 6 * 8 < result.cost["prompt_tokens_added"] < 6 * 16
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_random_and_nearest_keep_the_shots(tmp_path: Path, by_keyword: None) -> None:
    for choose in ("random", "nearest"):
        folder = tmp_path / choose
        result = run(recipe_of(method(examples=3, choose=choose), shots=4), folder, alone=False)
        assert sorted(row["id"] for row in pool_rows(folder)) == sorted(result.prepared.task.split("train").ids)
        allowed = {f"review: {r['rendered']['plain'][1]['text']}. topic: {r['label']}" for r in pool_rows(folder)}
        shown = [examples for _, examples in shown_to(folder)]
        assert all(len(set(examples)) == 3 and set(examples) <= allowed for examples in shown)
        assert all({e.rsplit(" ", 1)[1] for e in examples} == set(LABELS) for examples in shown)
        assert len({tuple(examples) for examples in shown}) > 1
        if choose == "nearest":  # the planted neighbour stands last
            assert all(examples[-1].endswith(str(line["target"])) for line, examples in shown_to(folder))


def test_it_all_comes_from_the_seed(tmp_path: Path) -> None:
    def examples(seed: int, name: str) -> list[list[str]]:
        run(recipe_of(method(examples=3), training={"seed": seed}), tmp_path / name, alone=False)
        return [shown for _, shown in shown_to(tmp_path / name)]

    first = examples(0, "a")
    assert first == examples(0, "b")
    assert first != examples(1, "c")


@pytest.mark.parametrize("arch", ["t5", "bert"])
def test_the_other_families(tmp_path: Path, arch: str) -> None:
    result = run(recipe_of(method(examples=3, separator=" ? "), arch), tmp_path / "run", alone=False)
    before, after = ([p.scores for p in found] for found in (result.before, result.after))
    assert before != after and None not in after
    again = load_kept(tmp_path / "run")
    assert again.demonstrator is not None and [one.row for one in again.demonstrator.pool] == [
        row["id"] for row in pool_rows(tmp_path / "run")
    ]


@pytest.mark.parametrize("kind", ["choose", "generate", "regress", "tag"])
def test_every_kind_of_task(tmp_path: Path, kind: Any) -> None:
    run(recipe_of(method(examples=3), kind=kind), tmp_path / "run", alone=False)
    line, examples = next(shown_to(tmp_path / "run"))
    assert len(examples) == 3 and line["after"] is not None
    assert {row["label"] for row in pool_rows(tmp_path / "run")} == {None}


def test_soft_slots_of_a_template_are_left_out(tmp_path: Path) -> None:
    template = "{{ soft('topic') }} {{ text }} {{ soft(3) }}: {{ answer }}"
    recipe = recipe_of(method(examples=1), template=template)
    prepared = prepare(recipe)
    prompt = prepared.encoder(prepared.asked_rows()).prompt(0)
    assert prompt is not None and prompt.text("?").count("topic ") == 2 and prepared.layout.rows == 0


def test_the_budget_is_counted_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(method(examples=6, order="given"), training={"max_tokens": 40})
    run(recipe, tmp_path / "run", alone=False)
    seen = [len(examples) for _, examples in shown_to(tmp_path / "run")]
    dropped = sum(6 - count for count in seen)
    assert 0 < dropped < 6 * len(seen)
    told = f"after: {dropped} of {6 * len(seen)} examples did not fit into training.max_tokens and were left out, in "
    assert f"{told}{len(seen)} of {len(seen)} rows" in " ".join(capsys.readouterr().err.split())


def test_with_templates_of_two_kinds_examples_look_like_the_question(tmp_path: Path) -> None:
    run(recipe_of(method(examples=2), template=["plain", "short"]), tmp_path / "run", alone=False)
    kinds = set()
    for line, examples in shown_to(tmp_path / "run"):
        plain = line["prompt"].split("\n\n")[-1].startswith("review:")
        kinds.add(plain)
        assert all(example.startswith("review:") == plain for example in examples)
    assert kinds == {True, False}


def test_several_tasks_have_each_their_own(tmp_path: Path) -> None:
    tree = recipe_of(method(examples=2)).model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    entry = tree.pop("task")
    generate = recipe_of("none", kind="generate").model_dump(exclude_none=True, exclude_defaults=True, mode="json")
    tree["tasks"] = [{"task": entry}, {"task": generate["task"]}]
    run(validate(Recipe, tree, "recipe"), tmp_path / "run", alone=False)
    assert Counter(row["task"] for row in pool_rows(tmp_path / "run")) == {"tiny-classify": 2, "tiny-generate": 2}
    for line, examples in shown_to(tmp_path / "run"):
        assert all(("answer: " in example) == (line["task"] == "tiny-generate") for example in examples)
    assert [len(part.demonstrator.pool) for part in load_kept(tmp_path / "run").parts if part.demonstrator] == [2, 2]


def test_what_cannot_be() -> None:
    with pytest.raises(InputError, match=r"method.examples: 9 wanted, task tiny-classify has 6 training rows to show"):
        prepare(recipe_of(method(examples=9), shots=2))
    with pytest.raises(InputError, match=r"method in-context: choose: .*'nearest', found 'closest'"):
        prepare(recipe_of(method(choose="closest")))
    with pytest.raises(InputError, match="method in-context: examples: input should be greater than or equal to 1"):
        prepare(recipe_of(method(examples=0)))


def test_a_broken_or_missing_file_of_examples_is_named(tmp_path: Path) -> None:
    run(recipe_of(method(examples=2)), tmp_path / "run", alone=False)
    file = tmp_path / "run/tuned/demonstrations.jsonl"
    for text in ("{", "[]", '{"task": "other"}', '{"task": "tiny-classify", "rendered": {"plain": [{}]}, "id": "a"}'):
        file.write_text(text + "\n")
        with pytest.raises(InputError, match=r"demonstrations.jsonl line 1: not written by this program"):
            load_kept(tmp_path / "run")
    file.unlink()
    with pytest.raises(InputError, match="the run keeps its in-context examples there"):
        load_kept(tmp_path / "run")


def write(folder: Path, **keys: Any) -> Path:
    """A recipe for the command line, its data beside it."""
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in tiny_rows("classify")))
    tree = {
        "model": copier(),
        "task": {"path": str(data), "kind": "classify", "name": "tiny", "templates": {"plain": TEMPLATES["classify"]}},
        "training": {"precision": "fp32"},
        "evaluation": {"baselines": False},
        "output": str(folder / "run"),
        **keys,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_a_model_that_answers_as_its_examples_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One example for all: its answer is everybody's, which it was not without."""
    for seed in (0, 1):
        recipe = write(tmp_path, method=method(examples=1), training={"precision": "fp32", "seed": seed})
        assert main(["tune", str(recipe), "--overwrite"]) == 0
        (kept,) = pool_rows(tmp_path / "run")
        assert {line["after"] for line, _ in shown_to(tmp_path / "run")} == {kept["label"]}
    assert "tokens added to each request" in capsys.readouterr().out


def test_nearest_ones_give_it_the_right_answer_and_again_from_what_is_kept(
    tmp_path: Path, by_keyword: None, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write(tmp_path, method=method(examples=1, choose="nearest"), shots=4)
    assert main(["check", str(recipe), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert all(p["prompt"].count("topic:") == 2 and p["prompt"].count("\n\n") == 1 for p in checked["prompts"])
    assert main(["tune", str(recipe)]) == 0
    before, after = (
        read(tmp_path / "run", name)["metrics"]["accuracy"]["value"] for name in ("before.json", "after.json")
    )
    assert after == 1.0 and before < 0.9
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert read(tmp_path / "run", "evaluation-test.json") == read(tmp_path / "run", "after.json")

    alone = shutil.move(tmp_path / "run/tuned", tmp_path / "elsewhere")
    (tmp_path / "rows.jsonl").unlink()
    lines = [line for line, _ in shown_to(tmp_path / "run")]
    texts = [line["prompt"].split("review: ")[-1].removesuffix(". topic: ") for line in lines]
    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    capsys.readouterr()
    assert main(["predict", str(alone), str(asked)]) == 0
    answers = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [answer["prediction"] for answer in answers] == [line["after"] for line in lines]
    for answer, line in zip(answers, lines):
        scores = np.exp(np.array(line["scores"]) - np.max(line["scores"]))
        assert list(answer["scores"].values()) == pytest.approx(list(scores / scores.sum()), abs=1e-5)


def test_in_a_comparison_like_any_other(tmp_path: Path) -> None:
    tree = yaml.safe_load(write(tmp_path, method="none").read_text())
    base = {key: tree[key] for key in ("model", "training", "evaluation")}
    methods = ["none", {"method": method(examples=1), "label": "one example"}]
    study = {"base": base, "tasks": [{"task": tree["task"]}], "methods": methods, "seeds": 2}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**study, "output": str(tmp_path / "study")}))
    assert main(["compare", str(path)]) == 0
    table = read(tmp_path / "study", "results.json")["tasks"][0]["table"]
    rows = {row["label"]: row for row in table}
    assert rows["one example"]["seeds"] == 2 and rows["one example"]["cost"]["prompt_tokens_added"] > 5
    assert (tmp_path / "study/report.html").is_file()


def test_a_prompt_without_them_is_what_before_asks(tmp_path: Path) -> None:
    prepared = prepare(recipe_of(method(examples=2)))
    rows = prepared.asked_rows()
    before, after = (prepared.encoder(rows, attached=attached).prompt(0) for attached in (False, True))
    assert isinstance(before, Prompt) and after is not None
    assert before.demonstrations == () and len(after.demonstrations) == 2 and after.segments == before.segments
