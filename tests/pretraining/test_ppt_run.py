"""From a recipe to a prompt: a run, a resumed one, what starts from it, and what is said when it cannot be."""

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from ppt_parts import Stub, recipe_of_prompt, tree_of, tuning_recipe
from stopping import stop_at
from toy_corpus import TOY, many

from tunewright.cli.main import main
from tunewright.errors import InputError
from tunewright.pretraining.ppt import run as running
from tunewright.pretraining.ppt import sentences
from tunewright.pretraining.ppt.fit import PairCut
from tunewright.pretraining.ppt.forms import FORMS
from tunewright.pretraining.ppt.run import Questions, pretrain_prompt
from tunewright.runs.kept import load_kept
from tunewright.runs.run import run
from tunewright.training.batches import Place
from tunewright.training.loop import Interrupted


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("arch", "form"), [("llama", "sentence-pair"), ("t5", "sentence-pair"), ("bert", "sentence-pair"),
                       ("llama", "multiple-choice"), ("t5", "unified")]
)  # fmt: skip
def test_a_prompt_from_raw_text_starts_a_run(
    tmp_path: Path, arch: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A store for rows that come again would grow with every question.
    monkeypatch.setattr("tunewright.runs.tuning.constant_prefixes", None)
    result = pretrain_prompt(recipe_of_prompt(tmp_path, arch, form=form), tmp_path / "prompt")
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / "prompt").iterdir()} >= {
        "recipe.yaml", "environment.json", "metrics.jsonl", "before.json", "after.json", "cost.json",
        "predictions.jsonl", "tuned",
    }  # fmt: skip
    before, after = read(tmp_path / "prompt/before.json"), read(tmp_path / "prompt/after.json")
    assert before["task"] == after["task"] == f"ppt-{form}" and after["n"] == 24
    assert after["metrics"]["accuracy"]["low"] < after["metrics"]["accuracy"]["high"]
    assert result.cost["prompt_tokens_added"] == 4
    steps = [json.loads(line) for line in (tmp_path / "prompt/metrics.jsonl").read_text().splitlines()]
    assert sum("loss" in step for step in steps) == 6 and all(
        len(s["validation"]) == 2 for s in steps if "loss" not in s
    )
    kept = load_kept(tmp_path / "prompt")
    assert kept.task.name == f"ppt-{form}"
    start = {"name": "prompt-tuning", "init": {"prompt": str(tmp_path / "prompt")}}
    assert run(tuning_recipe(tmp_path, arch, method=start), tmp_path / "run").cost["prompt_tokens_added"] == 4


def test_held_out_questions_are_of_held_out_documents(tmp_path: Path) -> None:
    questions = Questions(recipe_of_prompt(tmp_path))

    def documents_of(side: Any) -> set[str]:
        rows = questions.rows(side)
        return {row[name].split()[-2] for row in rows for name in ("text_a", "text_b")}

    train, heldout = documents_of("train"), documents_of("heldout")
    assert not train & heldout and len(train) + len(heldout) == 60 and len(heldout) > 5
    other_seed = Questions(recipe_of_prompt(tmp_path, training={"seed": 1}))
    assert list(other_seed.rows("heldout")) == list(questions.rows("heldout"))
    assert list(other_seed.rows("train")) != list(questions.rows("train"))


@pytest.mark.parametrize("form", ["sentence-pair", "unified"])
def test_an_interrupted_pretraining_ends_as_if_it_had_not_been(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of_prompt(tmp_path, form=form, training={"steps": 8, "evaluate_every": 2})
    whole = pretrain_prompt(recipe, tmp_path / "whole")
    place = tmp_path / "run"
    stop_at(5, monkeypatch)
    with pytest.raises(Interrupted, match="after step 5"):
        pretrain_prompt(recipe, place)
    monkeypatch.undo()
    ended = pretrain_prompt(recipe, place, resume=True)
    assert ended.after == whole.after
    for name in ("metrics.jsonl", "predictions.jsonl", "after.json", "tuned/prompt.safetensors"):
        assert (place / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    with pytest.raises(InputError, match="already there; --resume goes on"):
        pretrain_prompt(recipe, place)
    with pytest.raises(InputError, match="holds a run of another recipe"):
        pretrain_prompt(recipe.model_copy(update={"language": "de"}), place, resume=True)


@pytest.mark.parametrize("size", [{"batch_size": 4}, {"batch_size": None, "batch_tokens": 400}])
def test_steps_from_any_place_on_are_the_same(
    tmp_path: Path, size: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over windows of documents, windows of steps and the ends of epochs."""
    monkeypatch.setattr(sentences.windows, "__defaults__", ("en", 10, None))
    recipe = recipe_of_prompt(tmp_path, training=size)
    questions = Questions(recipe)
    prepared, cut = running._prepared(recipe, running.make_method(recipe.method), None, questions)
    batches = running._batches(prepared, questions, cut)
    epoch = sum(1 for _ in questions.rows("train"))
    whole = list(islice(batches.steps(Place(0, 0)), 3 * epoch // 4))  # of 4 rows or more: past two epochs
    assert whole[-1][0].epoch >= 2
    ids = [[example.views[0].ids for example in examples] for _, examples in whole]
    for start in (0, 1, 7, 8, 30, len(whole) - 5):
        rest = list(islice(batches.steps(whole[start][0]), 4))
        assert [place for place, _ in rest] == [place for place, _ in whole[start + 1 : start + 5]]
        assert [[e.views[0].ids for e in examples] for _, examples in rest] == ids[start + 1 : start + 5]


def test_a_long_pair_is_cut_in_proportion(tmp_path: Path) -> None:
    recipe = recipe_of_prompt(tmp_path, training={"max_tokens": 64})
    questions = Questions(recipe)
    prepared, cut = running._prepared(recipe, running.make_method(recipe.method), None, questions)
    assert cut.room is not None and cut.room < 64
    a, b = " ".join(["dog"] * 60), " ".join(["cat"] * 30)
    tokens = [len(prepared.backbone.text.starts(text)) for text in (a, b)]
    row = cut({"text_a": a, "text_b": b, "label": "yes"})
    kept = [len(prepared.backbone.text.starts(row[name])) for name in ("text_a", "text_b")]
    assert cut.room - 4 <= sum(kept) <= cut.room
    assert abs(kept[0] / kept[1] - tokens[0] / tokens[1]) < 0.35
    assert set(row["text_a"].split()) == {"dog"} and set(row["text_b"].split()) == {"cat"}  # whole words
    encoder = prepared.encoder(running.rows_of([row], "x"))
    [example] = encoder.examples([0], 0, "answer")
    assert example is not None and not example.shortened and 58 <= len(example.views[0].ids) <= 64
    short = {"text_a": "the dog", "text_b": "the cat", "label": "yes"}
    assert cut(short) == short and cut.count == 1
    assert PairCut(prepared, FORMS["single-sentence"])({"text": a}) == {"text": a}


def test_a_template_of_ones_own(tmp_path: Path) -> None:
    template = "{{ text_a }} | {{ text_b }} -> {{ answer }}"
    keys = {"template": {"jinja": template, "answer_choices": ["A", "B", "C"]}}
    pretrain_prompt(recipe_of_prompt(tmp_path, **keys), tmp_path / "prompt")
    kept = load_kept(tmp_path / "prompt")
    prompt = kept.templates[0].render({"text_a": "x", "text_b": "y"})
    assert prompt is not None and prompt.text("A") == "x | y -> A" and prompt.choices == ("A", "B", "C")


# ---- labelled sentences ------------------------------------------------------------------------------------


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setattr(running, "load_labeller", lambda block: (stub, [0, 1]))
    return stub


SINGLE = {"form": "single-sentence", "labeller": {"run": "a run"}}


def test_single_sentences_by_a_labeller(tmp_path: Path, stub: Stub) -> None:
    result = pretrain_prompt(recipe_of_prompt(tmp_path, **SINGLE), tmp_path / "prompt")
    lines = [json.loads(line) for line in (tmp_path / "prompt/pseudo-labels.jsonl").read_text().splitlines()]
    assert len(lines) == len(stub.asked) == len(set(stub.asked)) == 360  # 60 documents of 6 sentences
    by_length = {0: "terrible", 1: "bad", 2: "maybe", 3: "good", 4: "great", 5: None}  # .35 lies between the bands
    assert all(line["label"] == by_length[len(line["text"]) % 6] for line in lines)
    assert lines[0]["probabilities"] == [1 - lines[0]["probabilities"][1], lines[0]["probabilities"][1]]
    assert {line["split"] for line in lines} == {"train", "heldout"}
    assert set(result.after[0].choices) == {"terrible", "bad", "maybe", "good", "great"}
    unified = {**SINGLE, "form": "unified"}
    result = pretrain_prompt(recipe_of_prompt(tmp_path, "t5", **unified), tmp_path / "unified")
    assert any(set(p.choices) == {"terrible", "bad", "maybe", "good", "great"} for p in result.after)


def test_interrupted_labelling_goes_on(tmp_path: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of_prompt(tmp_path, **SINGLE)
    pretrain_prompt(recipe, tmp_path / "whole")
    ask = Stub.ask_texts

    def broken(self: Stub, texts: Any, bar: Any) -> Any:
        yield from islice(ask(self, texts, bar), 300)
        raise KeyboardInterrupt

    monkeypatch.setattr(Stub, "ask_texts", broken)
    with pytest.raises(KeyboardInterrupt):
        pretrain_prompt(recipe, tmp_path / "run")
    monkeypatch.setattr(Stub, "ask_texts", ask)
    part = tmp_path / "run/pseudo-labels.part.jsonl"
    assert part.exists() and not (tmp_path / "run/pseudo-labels.jsonl").exists()
    with open(part, "a", encoding="utf-8") as torn:
        torn.write('{"split": "tr')
    stub.asked.clear()
    pretrain_prompt(recipe, tmp_path / "run", resume=True)
    assert len(stub.asked) == 360 - 256  # whole chunks are kept
    for name in ("pseudo-labels.jsonl", "metrics.jsonl", "tuned/prompt.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_labeller_that_is_sure_of_nothing_held_out(
    tmp_path: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = iter(range(10**6))
    monkeypatch.setattr(Stub, "ask_texts", lambda self, texts, bar: (
        (0.35, 0.65) if next(sure) >= 240 else (1 - p, p) for p, _ in zip(cycle((0.01, 0.2, 0.5, 0.8, 0.99)), texts)
    ))  # fmt: skip
    with pytest.raises(InputError, match=r"labeller a run: it is sure of none of .* held-out sentences"):
        pretrain_prompt(recipe_of_prompt(tmp_path, **SINGLE), tmp_path / "prompt")


# ---- what is wrong -----------------------------------------------------------------------------------------


def fails(tmp_path: Path, message: str, **keys: Any) -> None:
    with pytest.raises(InputError, match=message):
        pretrain_prompt(recipe_of_prompt(tmp_path, **keys), tmp_path / "prompt")
    assert not (tmp_path / "prompt").exists()


def test_no_document_long_enough(tmp_path: Path) -> None:
    many(tmp_path / "corpus.jsonl", 60, sentences=4)
    fails(tmp_path, "no question can be asked about the documents: of 4[0-9], 4[0-9] have fewer than 5 sentences of 5")


def test_too_little_held_out(tmp_path: Path) -> None:
    file = tmp_path / "few.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TOY), encoding="utf-8")
    fails(tmp_path, r"corpus: no document of .*few.jsonl is held out", corpus=[{"path": str(file)}])


def test_methods_and_templates_that_do_not_fit(tmp_path: Path) -> None:
    fails(tmp_path, "method lora: it has no soft prompt to pretrain", method="lora")
    fails(tmp_path, "method.ensemble: one prompt is pretrained", method={"name": "prompt-tuning", "ensemble": 2})
    fails(tmp_path, "unknown field 'text'", template="{{ text }} {{ answer }}")
    fails(tmp_path, "51 tokens where the limit is 20.*: raise training.max_tokens", training={"max_tokens": 20})
    message = "the template and the prompt's slots take 48 of 51 tokens; no room for two sentences is left"
    fails(tmp_path, message, training={"max_tokens": 51})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"form": "single-sentence"}, "form single-sentence wants a labeller"),
        ({"labeller": {"run": "x"}}, "labeller: the form sentence-pair has no use for one"),
        ({"training": {"epochs": 2, "steps": None}}, "a corpus is streamed, its length unknown; give training.steps"),
        ({"form": "pairs"}, "form: input should be 'sentence-pair'"),
        ({"method": {"length": 4}}, "a method's name wanted"),
        ({**SINGLE, "labeller": {"run": "x", "bands": [[0, 0.5], [0.4, 0.6], [0.7, 0.8], [0.8, 0.9], [0.9, 1]]}},
         "bands: they must rise from 0 to 1 without overlapping"),
        ({"shots": 3}, "unknown key 'shots'"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recipe_of_prompt(tmp_path, **keys)


def test_labellers_that_cannot_be(tmp_path: Path) -> None:
    fails(tmp_path, "nowhere: no tuned/tuned.json: not a finished run",
          form="single-sentence", labeller={"run": str(tmp_path / "nowhere")})  # fmt: skip
    run(tuning_recipe(tmp_path), tmp_path / "three")
    fails(tmp_path, r"three: it tells 3 labels apart \(.*\); two or five wanted",
          form="single-sentence", labeller={"run": str(tmp_path / "three")})  # fmt: skip
    run(tuning_recipe(tmp_path, kind="generate"), tmp_path / "words")
    fails(tmp_path, "words: tuned on a task of kind generate; to label rows, classify is wanted",
          form="single-sentence", labeller={"run": str(tmp_path / "words")})  # fmt: skip


def test_a_word_that_no_sentence_has(tmp_path: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    bands = [[0, 0.05], [0.1, 0.3], [0.4, 0.45], [0.7, 0.9], [0.95, 1]]
    recipe = recipe_of_prompt(tmp_path, form="single-sentence", labeller={"run": "a run", "bands": bands})
    with pytest.raises(
        InputError, match=r"labeller a run: of 2\d\d sentences none is maybe \(terrible \d+, bad \d+, maybe 0"
    ):
        pretrain_prompt(recipe, tmp_path / "prompt")


# ---- the command -------------------------------------------------------------------------------------------


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["pretrain-prompt", *map(str, arguments)])
        return code, *capsys.readouterr()

    recipe = tmp_path / "pairs.yaml"
    recipe.write_text(yaml.safe_dump(tree_of(tmp_path)), encoding="utf-8")
    folder, less = tmp_path / "out", ("--set", "training.steps=2", "--set", "method.length=3")
    code, out, err = command(recipe, "--output", folder, *less)
    assert code == 0, err
    assert "prompt-tuning on ppt-sentence-pair (24 rows of test" in out
    assert f"init: {{prompt: {folder}}}" in out
    code, out, _ = command(recipe, "--output", folder, *less, "--resume", "--json")
    assert code == 0 and json.loads(out)["after"] == read(folder / "after.json")["metrics"]
    code, _, err = command(recipe, "--output", folder)
    assert code == 2 and "already there" in err
    code, _, err = command(recipe, "--set", "form=single-sentence")
    assert code == 2 and "wants a labeller" in err
