"""AutoPrompt: a planted trigger is found in all families; losses, gradients and the way back to text by references."""

from typing import Any

import pytest
import torch
from planting import choices, loss, planted
from tiny import tiny_prepared

from tunewright.errors import InputError
from tunewright.prompts.template import Template
from tunewright.runs.prepare import Prepared
from tunewright.search.autoprompt import AutoPromptSettings, _Search, autoprompt
from tunewright.search.candidates import Candidate
from tunewright.search.triggers import filled, usable_tokens, with_places
from tunewright.task_block import TemplateBlock

OTHERS = ("film", "dog", "yes", "maybe", "warm", "field", "was", "great", "a", "of", "it", "night")
SLOT = "{{ text }} {{ soft(1) }} topic: {{ answer }}"


def found(prepared: Prepared, **settings: Any) -> list[Candidate]:
    return list(autoprompt(prepared, AutoPromptSettings(**{"rows": 24, "steps": 4, **settings}), 0))


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_a_planted_trigger_is_found(arch: str) -> None:
    prepared = planted(arch, "green", OTHERS, 60)
    prepared.templates[:] = [Template.from_block("t", SLOT, prepared.task)]
    start = _Search(prepared, AutoPromptSettings(rows=24), 0)
    assert start.tokens[start.ids[0]] != " green"
    assert len(start.tokens) > 50
    best = found(prepared, candidates=10)[-1]
    assert best.jinja == "{{ text }} green topic: {{ answer }}"
    assert best.how.startswith("autoprompt, step ") and "; validation 1.000 -0.0" in best.how
    with torch.no_grad():  # what the user gets is what was searched
        validation = choices(prepared, best.jinja, "validation")
        assert (
            float(loss(prepared.tuner, validation))
            < 0.1
            < float(loss(prepared.tuner, choices(prepared, "{{ text }} film topic: {{ answer }}", "validation")))
        )


@pytest.mark.parametrize("arch", ["llama", "gpt2", "opt", "t5-untied", "bart", "bert", "roberta"])
def test_losses_and_gradients_are_those_of_the_text(arch: str) -> None:
    """Several candidates in one pass have each the loss of the hard template; the gradient is that at the words."""
    prepared = tiny_prepared("none", arch, template="review: {{ text }} {{ soft(2) }} topic: {{ answer }}")
    search = _Search(prepared, AutoPromptSettings(rows=6, tried_at_once=2), 0)
    rows = search._drawn("candidates", 0)
    ids = list(search.tokens)
    sets = [[ids[3], ids[40]], [ids[10], ids[7]], [ids[25], ids[30]]]
    sets = [pair for pair, good in zip(sets, search._writable(sets, rows)) if good]
    assert len(sets) == 3
    losses = search._losses(sets, search._examples(rows))
    embeddings = prepared.backbone.model.get_input_embeddings()
    for pair, value in zip(sets, losses):
        words = "".join(search.tokens[i] for i in pair)
        jinja = "review: {{ text }}" + words + " topic: {{ answer }}"
        template = Template.from_block("hard", jinja, prepared.task)
        encoder = search._encoder(search.train, template, search.layout)
        batch = prepared.backbone.collate([e for e in encoder.examples(rows, 0, "choices") if e is not None])
        vectors: list[torch.Tensor] = []

        def keep(module: Any, inputs: Any, output: torch.Tensor, vectors: list[torch.Tensor] = vectors) -> torch.Tensor:
            vectors.append(output.detach().requires_grad_())
            return vectors[-1]

        handle = embeddings.register_forward_hook(keep)
        expected = loss(prepared.tuner, batch)
        handle.remove()
        assert float(value) == pytest.approx(expected.item(), rel=1e-4)
        (by_word,) = torch.autograd.grad(expected, vectors[:1])
        soft = prepared.backbone.collate(search._examples(rows)).soft
        at = [soft == row for row in range(2)]
        reference = torch.stack([by_word[where].sum(0) for where in at])
        search.ids = pair
        assert torch.allclose(search._gradient(search._examples(rows)), reference, atol=1e-4)


def test_candidates_are_ranked_by_minus_gradient_times_vector() -> None:
    search = _Search(tiny_prepared("none", "bert"), AutoPromptSettings(triggers=1), 0)
    gradient = torch.randn(search.backbone.width, generator=torch.Generator().manual_seed(1))
    weight = search.backbone.model.get_input_embeddings().weight
    scores = {i: -float(weight[i] @ gradient) for i in search.tokens}
    assert search._ranked(gradient, 7) == sorted(scores, key=lambda i: -scores[i])[:7]


@pytest.mark.parametrize(
    ("source", "at", "expected"),
    [
        ("{{ text }} It was {{ answer }}.", "end", "{{ text }} It was<> {{ answer }}."),
        ("{{ text }} It was {{ answer }}.", "front", "<> {{ text }} It was {{ answer }}."),
        ("{{ text }}\nTopic:{{ ' ' }}{{ answer }}", "end", "{{ text }}\nTopic:<>{{ ' ' }}{{ answer }}"),
        ("{{ text }}\nTopic:\n{{- answer }}", "end", "{{ text }}\nTopic:<>\n{{- answer }}"),
        ("{{ text }}?{{ answer }}", "end", "{{ text }}?<> {{ answer }}"),
        ("{{ text }} Topic: ||| {{ label }}", "end", "{{ text }} Topic:<> ||| {{ label }}"),
        ("{{ text }} Topic: ", "end", "{{ text }} Topic:<> "),
        ("{{ text }} Topic:", "end", "{{ text }} Topic:<> "),
    ],
)
def test_places_for_triggers(source: str, at: Any, expected: str) -> None:
    assert with_places(source, 3, at) == expected.replace("<>", '{{ soft(3, slot="autoprompt") }}')


def test_a_templates_own_slots_are_the_places() -> None:
    source = with_places("{{ soft('it was') }} {{ text }}  {{ soft(2, slot=\"x\") }} a {{ answer }}", 5, "front")
    assert source == "{{ soft('it was') }} {{ text }}{{ soft(2, slot=\"x\") }} a {{ answer }}"
    assert filled(source, [" one", " {two}"]) == " one {{ text }} {{ '{' }}two} a {{ answer }}"


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_only_whole_words_that_survive_are_used(arch: str) -> None:
    backbone = tiny_prepared("none", arch).backbone
    banned = backbone.text.ids_of_words(" sport")
    tokens = usable_tokens(backbone, set(banned))
    assert all(backbone.text.ids_of_words(text) == [i] for i, text in tokens.items())
    assert {" green", " film"} <= set(tokens.values())
    assert " sport" not in tokens.values()
    assert not any(set("{}|") & set(text) or not text.startswith(" ") for text in tokens.values())
    special = set(backbone.tokenizer.all_special_ids)
    assert not special & set(tokens)


def test_label_words_and_the_seed() -> None:
    prepared = tiny_prepared("none", "llama")
    few = {"triggers": 3, "candidates": 10, "rows": 8}
    first, again = found(prepared, **few), found(prepared, **few)
    assert first == again and first
    other = list(autoprompt(prepared, AutoPromptSettings(steps=4, **few), 1))
    assert other != first
    for one in first:
        words = one.jinja.removeprefix("review: {{ text }}. topic:").removesuffix("{{ ' ' }}{{ answer }}").split()
        assert len(words) == 3 and not {"sport", "money", "weather"} & set(words)


def test_an_answer_may_be_free_text() -> None:
    (*_, best) = found(tiny_prepared("none", "t5-untied", "generate"), triggers=2, steps=4, candidates=10, rows=8)
    assert best.jinja.startswith("{{ text }}. answer: ")
    with pytest.raises(InputError, match="loss: choice wants choices; the task's kind is generate"):
        found(tiny_prepared("none", "t5", "generate"), loss="choice")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ text }} {{ soft(2) ~ soft(1) }} {{ answer }}", r"each soft\(…\) of the template must stand alone"),
        ("{{ text }} {{ soft(2, side='decoder') }} {{ answer }}", "words have no place in a decoder"),
        ("{{ text }} a{{ soft(2) }}b {{ answer }}", r"leave a space behind soft\(…\)"),
    ],
)
def test_places_that_are_refused(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        found(tiny_prepared("none", "t5", template=template))


def test_a_chat_and_its_own_label_words_stay() -> None:
    prepared = tiny_prepared("none", "llama")
    block = {"jinja": "{{ text }} {{ soft(1) }}", "chat": True, "answer_choices": ["green", "good", "bad"]}
    prepared.templates[:] = [Template.from_block("t", TemplateBlock.model_validate(block), prepared.task)]
    search = _Search(prepared, AutoPromptSettings(), 0)
    assert not {" green", " good", " bad"} & set(search.tokens.values()) and " sport" in search.tokens.values()
    assert all(one.chat for one in found(prepared, rows=8, candidates=10))
