"""Label words: candidates from the vocabulary, the planted ones found on every family, the winner's file used."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from search_files import plant, word_search
from tiny import tiny_backbone

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.evaluation.scoring import Asking, predict
from tunewright.prompts.resolve import choose_templates
from tunewright.search.prepare import prepare_search
from tunewright.search.run_label_words import search_label_words
from tunewright.search.vocabulary import Reader, whole_words
from tunewright.task_block import TemplateFileBlock

PLANTED = {"sport": "great", "money": "bad", "weather": "maybe"}
CLOZE = "{{ text }}\nit is {{ answer }}."
END = "{{ text }}\ntopic: {{ answer }}"


@pytest.mark.parametrize(("arch", "jinja"), [("llama", END), ("gpt2", END), ("t5", CLOZE), ("bert", CLOZE)])
def test_planted_words_are_found(arch: str, jinja: str, tmp_path: Path) -> None:
    search = word_search(tmp_path, template=jinja, search={"words": 8, "mappings": 20, "keep": 3})
    found = search_label_words(search, tmp_path / "out", backbone=plant(search, arch, PLANTED, jinja))
    best = found.places[0]
    assert best["label_words"] == {label: [word] for label, word in PLANTED.items()}
    assert (best["score"]["value"], best["rows"], best["train"]["accuracy"]) == (1.0, 6, 1.0)
    assert found.facts["exact"]
    written = yaml.safe_load(found.templates.read_text(encoding="utf-8"))["templates"]
    assert list(written) == ["best", "second", "third"]
    assert written["best"] == {"jinja": jinja, "answer_choices": ["great", "bad", "maybe"]}


def model_says(backbone: Backbone, prompt: str) -> torch.Tensor:
    """The causal model's own distribution after a text, by transformers alone."""
    ids = backbone.tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return backbone.model(input_ids=ids).logits[0, -1].log_softmax(-1)


def test_the_distribution_is_the_models_own(tmp_path: Path) -> None:
    search = word_search(tmp_path, template=END)
    backbone = tiny_backbone("llama")
    prepared = prepare_search(search, backbone)
    reader = Reader(prepared, whole_words(backbone))
    rows = prepared.task.split("train").take([0, 5])
    tokens = sorted(reader.words)
    log_probs = reader.log_probs(reader.states(rows), tokens)
    for row, found in zip(rows, log_probs):
        expected = model_says(backbone, f"{row['text']}\ntopic:")[tokens]
        assert torch.allclose(torch.from_numpy(found).float(), expected, atol=1e-4)
    great = backbone.tokenizer.convert_tokens_to_ids("Ġgreat")
    assert reader.words[great] == "great"
    scores = reader.scores(rows, ["great", "very good"])
    assert scores[:, 0] == pytest.approx(log_probs[:, tokens.index(great)], abs=1e-4)


def test_only_whole_words_are_candidates() -> None:
    for arch, inside in (("llama", "ing"), ("bert", "##s")):
        backbone = tiny_backbone(arch)
        found = whole_words(backbone)
        assert {"great", "bad", "topic"} <= set(found.values())
        assert all(word.isalpha() and len(word) > 1 for word in found.values())
        assert backbone.tokenizer.get_vocab().get(inside) not in found
        assert not set(found) & set(backbone.tokenizer.all_special_ids)


def test_at_a_line_break_words_have_no_space_before_them(tmp_path: Path) -> None:
    """The token of `great` after a line break is another one than after a space; only the right one counts."""
    backbone = tiny_backbone("llama")
    ids = {backbone.tokenizer.convert_tokens_to_ids(token) for token in ("Ġtopic", "topic")}
    for jinja, token in (("{{ text }} {{ answer }}", "Ġtopic"), ("{{ text }}\n{{ answer }}", "topic")):
        prepared = prepare_search(word_search(tmp_path, template=jinja), backbone)
        reader = Reader(prepared, whole_words(backbone))
        assert ids <= set(reader.words)
        prompt = reader.prompts(prepared.task.split("train").take([0]))[0]
        assert reader.as_tokens(prompt, sorted(ids)) == [backbone.tokenizer.convert_tokens_to_ids(token)]


def test_words_of_several_tokens_come_from_the_user_and_several_stand_for_a_label(tmp_path: Path) -> None:
    settings = {"words": 5, "mappings": 10, "per_label": 3, "label_words": {"sport": ["green field", "great"]}}
    search = word_search(tmp_path, template=END, search=settings)
    backbone = tiny_backbone("llama", 3)
    found = search_label_words(search, tmp_path / "out", backbone=backbone)
    words = json.loads((tmp_path / "out/words.json").read_text(encoding="utf-8"))
    assert words["candidates"]["sport"][:2] == ["green field", "great"]
    assert "green field" not in words["candidates"]["money"]
    best = found.places[0]["label_words"]
    assert all(len(own) == 3 for own in best.values())
    assert len({word for own in best.values() for word in own}) == 9
    # The file's template asked by the ordinary way of evaluation gives the same scores.
    prepared = prepare_search(search, backbone)
    wanted = TemplateFileBlock(file=str(found.templates), names=["best"])
    (template,) = choose_templates(prepared.task, wanted)
    assert template.label_words == {label: tuple(own) for label, own in best.items()}
    encoder = prepared.encoder(prepared.validation())
    encoder.templates = [template]
    predictions = predict(prepared.tuner, encoder, prepared.task, Asking())
    right = [p.prediction == p.target for p in predictions]
    assert sum(right) / len(right) == pytest.approx(found.places[0]["score"]["value"])
    log_sums = [torch.tensor(p.scores).log_softmax(0)[p.choices.index(p.target)] for p in predictions]
    assert float(sum(log_sums)) / len(log_sums) == pytest.approx(found.places[0]["likelihood"], abs=1e-4)


def test_resume_after_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stopped search has done is not done again, and the end is the same."""
    import tunewright.search.run_label_words as module

    search = word_search(tmp_path, template=END, search={"words": 5, "mappings": 8})
    whole = search_label_words(search, tmp_path / "whole", backbone=tiny_backbone("llama"))
    real, calls = module.measured, []

    def stop(*args: object) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "measured", stop)
    with pytest.raises(Exception, match="--resume goes on") as error:
        search_label_words(search, tmp_path / "cut", backbone=tiny_backbone("llama"))
    assert error.value.exit_code == 130  # type: ignore[attr-defined]
    assert len((tmp_path / "cut/candidates.jsonl").read_text().splitlines()) == 3
    monkeypatch.setattr(module, "_from_training", None)  # not called again
    again = search_label_words(search, tmp_path / "cut", resume=True, backbone=tiny_backbone("llama"))
    assert again.to_json() == whole.to_json()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"search": {"label_words": {"sports": ["a b"]}}}, "'sports' is not a label (did you mean 'sport'?)"),
        ({"search": {"label_words": {"sport": " "}}}, "the label 'sport' has an empty word"),
        ({"template": [END, CLOZE]}, "one template, found several"),
        ({"template": "{{ text }}{{ soft(3) }} {{ answer }}"}, "it has soft slots"),
        ({"template": "{{ answer_choices }} {{ text }} {{ answer }}"}, "shows the label words"),
    ],
)
def test_bad_input(keys: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        search_label_words(word_search(tmp_path, **keys), tmp_path / "out", backbone=tiny_backbone("llama"))
    assert said in str(error.value)
    assert not (tmp_path / "out").exists()
