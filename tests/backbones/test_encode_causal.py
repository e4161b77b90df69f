"""What a causal model is given: ids, soft positions and what is asked, by eye."""

import pytest
from tiny import prompt_of, row, smol_tokenizer, tiny_backbone, words

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Sep, Soft

TWO = SlotLayout((SlotGroup("p", 0, 2),))


def encode(backbone: Backbone, prompt: Prompt, purpose: Purpose = "answer", layout: SlotLayout = TWO) -> Example:
    return backbone.encode_many([prompt], layout, purpose)[0]


def asked(backbone: Backbone, example: Example) -> list[tuple[int, str]]:
    return [(ask.position, words(backbone, [ask.token])) for ask in example.views[0].asks]


def test_answer_and_end_token_are_asked_one_position_before_they_stand() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, prompt_of("review: ", row("the film"), ". topic: ", Answer(), target="sport"))
    (view,) = example.views
    assert words(backbone, view.ids) == "review : Ġthe Ġfilm . Ġtopic : Ġsport"
    assert view.soft == [-1] * 8
    assert asked(backbone, example) == [(6, "Ġsport"), (7, "<|im_end|>")]
    assert view.labels == [-100] * 6 + [view.ids[7], backbone.tokenizer.eos_token_id]


def test_opt_begins_with_one_bos_and_smollm_with_none() -> None:
    prompt = prompt_of(row("the cat"), ":", Answer(), target=" sat")
    opt, smol = tiny_backbone("opt"), tiny_backbone("llama")
    assert words(opt, encode(opt, prompt).views[0].ids) == "</s> the Ġcat : Ġsat"
    assert words(smol, encode(smol, prompt).views[0].ids) == "the Ġcat : Ġsat"


def test_no_second_bos_where_the_template_writes_it() -> None:
    backbone = tiny_backbone("opt")
    example = encode(backbone, prompt_of("</s>the cat", Answer(), target=" sat"))
    assert words(backbone, example.views[0].ids) == "</s> the Ġcat Ġsat"


def test_a_trailing_space_is_tokenised_with_the_answer_a_newline_is_not() -> None:
    backbone = tiny_backbone("llama")
    spaced = encode(backbone, prompt_of("it was ", Answer(), target="good"))
    assert words(backbone, spaced.views[0].ids) == "it Ġwas Ġgood"
    assert asked(backbone, spaced)[0] == (1, "Ġgood")
    lined = encode(backbone, prompt_of("it was\n", Answer(), target="good"))
    assert words(backbone, lined.views[0].ids) == "it Ġwas Ċ g ood"
    assert asked(backbone, lined)[0] == (2, "g")


def test_a_generation_prompt_ends_before_the_trailing_space() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, prompt_of("it was ", Answer(), target="good"), "generate")
    assert words(backbone, example.views[0].ids) == "it Ġwas"
    assert example.views[0].asks == []


def test_slots_stand_where_the_template_puts_them() -> None:
    backbone = tiny_backbone("opt")
    prompt = prompt_of("the cat", Soft("p", 2), " and", Soft("p", 2), " ", Answer(), target="dog")
    (view,) = encode(backbone, prompt).views
    assert view.ids == [
        *backbone.tokenizer.convert_tokens_to_ids(["</s>", "the", "Ġcat"]),
        *[backbone.pad] * 2,
        backbone.tokenizer.convert_tokens_to_ids("Ġand"),
        *[backbone.pad] * 2,
        backbone.tokenizer.convert_tokens_to_ids("Ġdog"),
    ]
    assert view.soft == [-1, -1, -1, 0, 1, -1, 0, 1, -1]
    assert asked(backbone, encode(backbone, prompt)) == [(7, "Ġdog"), (8, "</s>")]


def test_a_chat_equals_the_tokenizers_own_chat_template() -> None:
    backbone = tiny_backbone("llama")
    prompt = prompt_of("topic of: ", row("the match"), Answer(), target="sport", chat=True)
    example = encode(backbone, prompt)
    turns = [{"role": "user", "content": "topic of: the match"}, {"role": "assistant", "content": "sport"}]
    text = smol_tokenizer().apply_chat_template(turns, tokenize=False)
    whole = smol_tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert whole[-2:] == smol_tokenizer().convert_tokens_to_ids(["<|im_end|>", "Ċ"])
    assert example.views[0].ids == whole[:-2]
    assert asked(backbone, example)[-1][1] == "<|im_end|>"
    asked_only = smol_tokenizer().apply_chat_template(turns[:1], add_generation_prompt=True, tokenize=False)
    generated = encode(backbone, prompt, "generate").views[0].ids
    assert generated == smol_tokenizer()(asked_only, add_special_tokens=False)["input_ids"]


def test_a_chat_template_that_writes_bos_gives_one(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("opt")
    chat = "</s>{% for m in messages %}{{ m['content'] }} </s>{% endfor %}"
    monkeypatch.setattr(backbone.tokenizer, "chat_template", chat)
    example = encode(backbone, prompt_of(row("the cat"), Answer(), target="sat", chat=True))
    assert words(backbone, example.views[0].ids).startswith("</s> the Ġcat")
    assert asked(backbone, example)[-1][1] == "</s>"  # not the space before it


def test_a_chat_without_a_chat_template_is_refused() -> None:
    with pytest.raises(InputError, match="the model has no chat template"):
        encode(tiny_backbone("gpt2"), prompt_of("x", Answer(), target="y", chat=True))


def test_choices_stand_behind_one_context() -> None:
    backbone = tiny_backbone("llama")
    prompt = prompt_of("it was ", Answer(), choices=("good", "very bad", "bad"), choice_labels=(0, 1, 1), gold=1)
    example = encode(backbone, prompt, "choices")
    (view,) = example.views
    assert words(backbone, view.ids) == "it Ġwas Ġvery"  # the last token of a choice is asked, never read
    assert view.branches == [-1, -1, 1]
    assert [(ask.choice, ask.position, words(backbone, [ask.token])) for ask in view.asks] == [
        (0, 1, "Ġgood"),
        (1, 1, "Ġvery"),
        (1, 2, "Ġbad"),
        (2, 1, "Ġbad"),
    ]
    assert (example.choices, example.choice_labels, example.choice_bytes, example.gold) == (3, (0, 1, 1), (4, 8, 3), 1)


def test_a_sliding_window_gives_each_choice_its_own_row() -> None:
    backbone = tiny_backbone("llama")
    backbone.model.config.sliding_window = 8
    prompt = prompt_of("it was ", Answer(), choices=("good", "very bad"))
    first, second = encode(backbone, prompt, "choices").views
    assert (words(backbone, first.ids), words(backbone, second.ids)) == ("it Ġwas", "it Ġwas Ġvery")
    assert [ask.choice for ask in second.asks] == [1, 1]


def test_a_separator_is_a_new_line() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, prompt_of("the cat", Sep(), "a dog ", Answer(), target="ran"))
    assert words(backbone, example.views[0].ids) == "the Ġcat Ċ a Ġdog Ġran"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (prompt_of("it was ", Answer(), " day", target="good"), "row 1: .*must be the last thing in the template"),
        (prompt_of("it", Soft("p", 2, side="decoder"), Answer(), target="x"), "row 1: .*no decoder"),
        (prompt_of("it", Answer(), target=""), "row 1: the answer '' has no tokens"),
        (prompt_of(Answer(), target="x"), "row 1: the prompt has no tokens before the answer"),
        (prompt_of("it", Answer(), "", Answer(), target="x"), "one answer wanted in a template, found 2"),
    ],
)
def test_what_a_causal_model_cannot_do(prompt: Prompt, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(tiny_backbone("llama"), prompt)


def test_choices_wanted_where_there_are_none() -> None:
    with pytest.raises(InputError, match="choices are wanted, the template gives none"):
        encode(tiny_backbone("llama"), prompt_of("it", Answer(), target="x"), "choices")
