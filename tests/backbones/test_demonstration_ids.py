"""Prompts with demonstrations as ids: all families, chats, special text, and the budget of tokens."""

from typing import Any

import pytest
from tiny import prompt_of, row, smol_tokenizer, tiny_backbone, words

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer, Demonstration, Prompt, Segment, Sep, Text


def shown(name: str, rank: int, *segments: Segment | str) -> Demonstration:
    return Demonstration(name, prompt_of(*segments).segments, rank)


def with_two(separator: str = "\n", **keys: Any) -> Prompt:
    """`b` is the more useful one."""
    return prompt_of(
        "review: ", row("the dog"), ". topic: ", Answer(),
        target="money", choices=("money", "sport"), gold=0, separator=separator,
        demonstrations=(
            shown("a", 1, "review: ", row("the team"), ". topic: ", Answer(text="sport")),
            shown("b", 0, "review: ", row("the bank"), ". topic: ", Answer(text="money")),
        ), **keys,
    )  # fmt: skip


def encode(backbone: Backbone, prompt: Prompt, purpose: Purpose = "choices", **keys: Any) -> Example:
    return backbone.encode_many([prompt], SlotLayout(), purpose, **keys)[0]


def test_a_causal_model_reads_them_before_the_question() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, with_two(), "generate")
    text = "review: the team. topic: sport\nreview: the bank. topic: money\nreview: the dog. topic:"
    assert example.views[0].ids == smol_tokenizer()(text)["input_ids"]
    assert (example.demonstrations, example.dropped, example.shortened) == (2, 0, False)
    whole = encode(backbone, with_two(), "answer").views[0]
    assert [token for token in whole.labels if token != -100] == [
        *smol_tokenizer()(" money")["input_ids"], backbone.tokenizer.eos_token_id,
    ]  # fmt: skip
    assert encode(backbone, with_two()).choices == 2


def test_an_encoder_reads_them_too_and_words_are_filled_in() -> None:
    backbone = tiny_backbone("t5")
    text = "review: the team. topic: sport ? review: the bank. topic: money ? review: the dog. topic:"
    assert encode(backbone, with_two(" ? ")).views[0].ids == backbone.tokenizer(text)["input_ids"]
    cloze = prompt_of(
        "it was ", Answer(), ". ", row("the dog"), target="good", choices=("good", "bad"), separator=" ? ",
        demonstrations=(shown("a", 0, "it was ", Answer(text="bad"), ". ", row("the rain")),),
    )  # fmt: skip
    found = encode(backbone, cloze, "answer").views[0]
    assert words(backbone, found.ids) == "▁it ▁was ▁bad . ▁the ▁rain ▁ ? ▁it ▁was <extra_id_0> ▁ . ▁the ▁dog </s>"
    assert words(backbone, found.decoders[0][0]) == "<pad> <extra_id_0> ▁good"


def test_a_masked_model_has_one_mask_and_the_types_of_its_own_pair() -> None:
    backbone = tiny_backbone("bert")
    prompt = prompt_of(
        row("the dog"), Sep(), Answer(), ", ", row("a day"), target="yes", choices=("yes", "no"), separator=" ? ",
        demonstrations=(shown("a", 0, row("the cat"), Sep(), Answer(text="no"), ", ", row("a night")),),
    )  # fmt: skip
    view = encode(backbone, prompt).views[0]
    assert words(backbone, view.ids) == (
        "[CLS] the cat [SEP] no , a night ? the dog [SEP] [MASK] , a day [SEP]"
    )  # fmt: skip
    assert view.types == [0] * 12 + [1] * 5
    assert [ask.position for ask in view.asks] == [12, 12]


def test_a_chat_has_them_as_earlier_turns() -> None:
    backbone = tiny_backbone("llama")
    turns = [
        {"role": "user", "content": "review: the team. topic: "},
        {"role": "assistant", "content": "sport"},
        {"role": "user", "content": "review: the bank. topic: "},
        {"role": "assistant", "content": "money"},
        {"role": "user", "content": "review: the dog. topic: "},
    ]
    text = smol_tokenizer().apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    example = encode(backbone, with_two(chat=True), "generate")
    assert example.views[0].ids == smol_tokenizer()(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{% if loop.last %}<|im_start|>{{ m['content'] }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m['content'] }}{{ loop.length }} {% endfor %}",
    ],
)
def test_a_chat_template_that_loses_earlier_turns_is_refused(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llama")
    monkeypatch.setattr(backbone.tokenizer, "chat_template", template)
    with pytest.raises(InputError, match="does not keep earlier turns as they are; use in-context examples"):
        encode(backbone, with_two(chat=True), "generate")


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_special_tokens_of_rows_are_characters_and_those_of_the_separator_are_tokens(arch: str) -> None:
    backbone = tiny_backbone(arch)
    special = {"llama": "<|im_end|>", "t5": "</s>", "bert": "[SEP]"}[arch]
    end = backbone.tokenizer.convert_tokens_to_ids(special)
    prompt = prompt_of(
        row("the dog"), ": ", Answer(), target="x", choices=("good",), separator=special,
        demonstrations=(shown("a", 0, row(f"a {special} b"), ": ", Answer(text=f"bad{special}")),),
    )  # fmt: skip
    ids = encode(backbone, prompt).views[0].ids
    assert ids.count(end) == 1 + backbone.text.after.count(end)


@pytest.mark.parametrize("arch", ["llama", "t5", "bert"])
def test_they_are_dropped_whole_the_least_useful_first_and_the_question_stays(arch: str) -> None:
    backbone = tiny_backbone(arch)
    sizes = []
    for names in (("a", "b"), ("b",), ()):
        prompt = with_two(" ? ")
        few = tuple(one for one in prompt.demonstrations if one.row in names)
        sizes.append(encode(backbone, prompt_of(*prompt.segments, target="money", choices=prompt.choices,
                                                separator=" ? ", demonstrations=few)))  # fmt: skip
    both, one, none = (len(example.views[0].ids) for example in sizes)
    longer = 1 if arch == "llama" else 0  # a choice's token stands behind a causal prompt
    for limit in range(none + longer, both + longer + 1):
        example = encode(backbone, with_two(" ? "), max_tokens=limit)
        fits = 2 if limit >= both + longer else 1 if limit >= one + longer else 0
        assert (example.demonstrations, example.dropped) == (fits, 2 - fits)
        assert example.views[0].ids == sizes[2 - fits].views[0].ids
        assert not example.shortened
    cut = encode(backbone, with_two(" ? "), max_tokens=none + longer - 1)
    assert (cut.demonstrations, cut.dropped, cut.shortened) == (0, 2, True)


def test_room_for_the_answer_is_kept() -> None:
    backbone = tiny_backbone("llama")
    size = len(encode(backbone, with_two(), "generate").views[0].ids)
    assert encode(backbone, with_two(), "generate", max_tokens=size + 5, room=5).dropped == 0
    assert encode(backbone, with_two(), "generate", max_tokens=size + 5, room=6).dropped == 1


def test_five_hundred_of_them_are_not_a_matter_of_minutes() -> None:
    """What fits is searched by halves: nine looks, not five hundred."""
    backbone = tiny_backbone("llama")
    many = tuple(shown(str(i), i, row("the team"), ": ", Answer(text="sport")) for i in range(500))
    looks = []
    encoding = backbone._encode
    backbone._encode = lambda *given: looks.append(1) or encoding(*given)  # type: ignore[method-assign, func-returns-value]
    prompt = prompt_of(row("the dog"), ": ", Answer(), target="x", separator="\n", demonstrations=many)
    example = encode(backbone, prompt, "generate", max_tokens=100)
    assert 0 < example.demonstrations < 30 and len(looks) <= 12
    assert Text("\n") in prompt.whole
