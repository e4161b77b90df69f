"""Conversations whole: which turns there are, and that the loss lies on the assistant's alone."""

from typing import Any

import pytest
from tiny import gpt2_tokenizer, smol_tokenizer, tiny_backbone, words

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example
from tunewright.errors import InputError
from tunewright.mixtures.conversation import Turns, pairs_of
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt


def turns(*said: str) -> list[dict[str, str]]:
    """`u: …`, `a: …`, `s: …`."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return [{"role": roles[text[0]], "content": text[3:]} for text in said]


TALK = turns("u: the dog", "a: a day", "u: the bank", "a: the sea", "u: snow", "a: rain")


def rendered(messages: Any, chat: bool) -> Prompt:
    prompt = Turns(chat).render({"messages": messages})
    assert prompt is not None
    return prompt


def encode(backbone: Backbone, prompt: Prompt, **keys: Any) -> Example:
    return backbone.encode_many([prompt], SlotLayout(), "answer", **keys)[0]


def asked(backbone: Backbone, example: Example) -> list[str]:
    """What is trained, run by run: tokens that stand side by side joined."""
    found: list[list[int]] = []
    last = -2
    for ask in example.views[0].asks:
        if ask.position != last + 1:
            found.append([])
        found[-1].append(ask.token)
        last = ask.position
    return [words(backbone, ids) for ids in found]


def test_pairs() -> None:
    assert pairs_of(TALK) == [("the dog", "a day"), ("the bank", "the sea"), ("snow", "rain")]
    assert pairs_of(turns("s: be kind", "u: hi", "a: hello")) == [("be kind\n\nhi", "hello")]
    assert pairs_of(turns("a: welcome", "u: one", "u: two", "a: three", "a: four", "u: bye")) == [
        ("one\ntwo", "three\nfour")
    ]
    assert pairs_of(turns("u: hi")) == pairs_of([]) == []
    assert Turns(True).render({"messages": turns("u: hi", "a:  ")}) is None
    with pytest.raises(InputError, match="'messages' must be a list of turns, found 'x'"):
        Turns(True).render({"messages": "x"})


def test_a_chat_is_the_tokenizers_own_and_each_assistants_turn_with_its_end_is_trained() -> None:
    backbone = tiny_backbone("llama")
    example = encode(backbone, rendered(TALK, chat=True))
    text = smol_tokenizer().apply_chat_template(TALK, tokenize=False)
    whole = smol_tokenizer()(text, add_special_tokens=False)["input_ids"]
    view = example.views[0]
    assert view.ids == whole[: len(view.ids)] and whole[len(view.ids) - 1 :][1] == view.asks[-1].token
    assert asked(backbone, example) == ["a Ġday <|im_end|>", "the Ġsea <|im_end|>", "r ain <|im_end|>"]
    assert all((whole[a.position + 1], a.row, a.choice) == (a.token, 0, 0) for a in view.asks)
    labels = [label if label >= 0 else None for label in view.labels]
    assert sum(label is not None for label in labels) == 3 + 3 + 3


def test_without_a_chat_template_the_words_alone_are_trained_and_the_last_end() -> None:
    backbone = tiny_backbone("gpt2")
    prompt = rendered(TALK, chat=False)
    assert prompt.text(prompt.target) == (
        "User: the dog\nAssistant: a day\nUser: the bank\nAssistant: the sea\nUser: snow\nAssistant: rain"
    )
    example = encode(backbone, prompt)
    assert example.views[0].ids == gpt2_tokenizer()(prompt.text("rain"))["input_ids"]
    assert asked(backbone, example) == ["Ġa Ġday", "Ġthe Ġsea", "Ġrain <|endoftext|>"]


def test_what_does_not_fit_is_dropped_from_the_start_on() -> None:
    backbone = tiny_backbone("llama")
    whole = encode(backbone, rendered(TALK, chat=True))
    example = encode(backbone, rendered(TALK, chat=True), max_tokens=whole.tokens)
    assert (example.demonstrations, example.dropped) == (1, 1)
    assert asked(backbone, example) == ["the Ġsea <|im_end|>", "r ain <|im_end|>"]
    assert "dog" not in backbone.tokenizer.decode(example.views[0].ids)


def test_earlier_turns_are_context_where_they_cannot_be_trained() -> None:
    """An encoder-decoder writes one answer; asked to write or to choose, no model is asked for earlier ones."""
    t5 = tiny_backbone("t5")
    example = encode(t5, rendered(TALK, chat=False))
    assert asked(t5, example) == ["▁rain </s>"]
    assert t5.tokenizer.decode(example.views[0].ids).startswith("<unk>ser: the dog")
    llama = tiny_backbone("llama")
    (other,) = llama.encode_many([rendered(TALK, chat=True)], SlotLayout(), "generate")
    assert other.views[0].asks == [] and other.views[0].ids == encode(llama, rendered(TALK, True)).views[0].ids[:-2]


def test_a_rows_end_of_turn_is_characters() -> None:
    backbone = tiny_backbone("llama")
    talk = turns("u: the dog", "a: a <|im_end|> day", "u: snow", "a: rain")
    example = encode(backbone, rendered(talk, chat=True))
    end = backbone.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert [ask.token for ask in example.views[0].asks].count(end) == 2
