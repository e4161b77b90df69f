"""What encoder-decoders and masked models are given, by eye."""

import pytest
from tiny import bert_tokenizer, prompt_of, row, tiny_backbone, words

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Sep, Soft

LAYOUT = SlotLayout((SlotGroup("p", 0, 2), SlotGroup("d", 2, 3, side="decoder")))


def encode(backbone: Backbone, prompt: Prompt, purpose: Purpose = "answer") -> Example:
    return backbone.encode_many([prompt], LAYOUT, purpose)[0]


def decoders(backbone: Backbone, example: Example) -> list[str]:
    return [words(backbone, ids) for ids, _ in example.views[0].decoders]


def asked(backbone: Backbone, example: Example, view: int = 0) -> list[tuple[int, int, str]]:
    return [(ask.row, ask.position, words(backbone, [ask.token])) for ask in example.views[view].asks]


# ---- encoder-decoder --------------------------------------------------------------------------------------


def test_t5_answers_at_the_end_with_the_plain_target() -> None:
    backbone = tiny_backbone("t5")
    example = encode(backbone, prompt_of("review: ", row("the film"), " topic: ", Answer(), target="sport team"))
    assert words(backbone, example.views[0].ids) == "▁review : ▁the ▁film ▁topic : </s>"
    assert decoders(backbone, example) == ["<pad> ▁sport ▁team"]
    assert asked(backbone, example) == [(0, 0, "▁sport"), (0, 1, "▁team"), (0, 2, "</s>")]


def test_t5_answers_in_mid_text_with_sentinels() -> None:
    backbone = tiny_backbone("t5")
    example = encode(backbone, prompt_of("it was a ", Answer(), " day", target="warm"))
    assert words(backbone, example.views[0].ids) == "▁it ▁was ▁a <extra_id_0> ▁day </s>"
    assert decoders(backbone, example) == ["<pad> <extra_id_0> ▁warm"]
    assert asked(backbone, example) == [(0, 1, "▁warm"), (0, 2, "<extra_id_1>")]
    generated = encode(backbone, prompt_of("it was a ", Answer(), " day", target="warm"), "generate")
    assert decoders(backbone, generated) == ["<pad> <extra_id_0>"]


def test_bart_has_no_sentinels_and_opens_its_answer_as_its_tokenizer_does() -> None:
    backbone = tiny_backbone("bart")
    example = encode(backbone, prompt_of("it was a ", Answer(), " day", target="warm"))
    assert words(backbone, example.views[0].ids) == "<s> it Ġwas Ġa Ġday </s>"
    assert decoders(backbone, example) == ["</s> <s> w a rm"]
    assert asked(backbone, example) == [(0, 1, "w"), (0, 2, "a"), (0, 3, "rm"), (0, 4, "</s>")]


def test_slots_in_the_encoder_and_in_the_decoder() -> None:
    backbone = tiny_backbone("t5")
    slots = Soft("d", 3, side="decoder")
    example = encode(backbone, prompt_of(Soft("p", 2), slots, "it was ", Answer(), target="good"))
    (view,) = example.views
    assert view.soft == [0, 1, -1, -1, -1]
    assert words(backbone, view.ids) == "<pad> <pad> ▁it ▁was </s>"
    assert view.decoders == [([0, 0, 0, 0, view.asks[0].token], [2, 3, 4, -1, -1])]
    assert asked(backbone, example) == [(0, 3, "▁good"), (0, 4, "</s>")]


def test_decoder_slots_behind_the_answer_are_no_text_behind_it() -> None:
    backbone = tiny_backbone("t5")
    example = encode(backbone, prompt_of("it was ", Answer(), Soft("d", 3, side="decoder"), target="good"))
    assert words(backbone, example.views[0].ids) == "▁it ▁was </s>"


def test_each_choice_is_a_decoder_row() -> None:
    backbone = tiny_backbone("t5")
    example = encode(backbone, prompt_of("it was ", Answer(), choices=("good", "very bad")), "choices")
    assert decoders(backbone, example) == ["<pad>", "<pad> ▁very"]
    assert asked(backbone, example) == [(0, 0, "▁good"), (1, 0, "▁very"), (1, 1, "▁bad")]


def test_a_pair_for_an_encoder_decoder() -> None:
    backbone = tiny_backbone("t5")
    example = encode(backbone, prompt_of("the cat", Sep(), "a dog", Answer(), target="x"))
    assert words(backbone, example.views[0].ids) == "▁the ▁cat </s> ▁a ▁dog </s>"


# ---- masked -----------------------------------------------------------------------------------------------


def test_bert_x_it_soft_mask() -> None:
    backbone = tiny_backbone("bert")
    prompt = prompt_of(row("the film"), " it ", Soft("p", 2), " ", Answer(), ".", target="good")
    example = encode(backbone, prompt)
    (view,) = example.views
    assert words(backbone, view.ids) == "[CLS] the film it [PAD] [PAD] [MASK] . [SEP]"
    assert view.soft == [-1, -1, -1, -1, 0, 1, -1, -1, -1]
    assert asked(backbone, example) == [(0, 6, "good")]
    assert view.types is None


def test_a_pair_equals_the_tokenizers_own_with_its_token_types() -> None:
    backbone = tiny_backbone("bert")
    example = encode(backbone, prompt_of(row("the cat"), Sep(), row("a dog"), " ", Answer(), target="ran"))
    own = bert_tokenizer()("the cat", "a dog [MASK]")
    assert example.views[0].ids == own["input_ids"]
    assert example.views[0].types == own["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_roberta_has_a_double_separator_and_no_token_types() -> None:
    backbone = tiny_backbone("roberta")
    example = encode(backbone, prompt_of(row("the cat"), Sep(), row("a dog"), " ", Answer(), target="ran"))
    assert words(backbone, example.views[0].ids) == "<s> the Ġcat </s> </s> a Ġdog <mask> </s>"
    assert example.views[0].types is None
    assert asked(backbone, example) == [(0, 7, "Ġran")]  # the space before the mask belongs to the answer


def test_as_many_masks_as_the_answer_has_tokens() -> None:
    backbone = tiny_backbone("bert")
    example = encode(backbone, prompt_of("a ", Answer(), " day", target="very warm"))
    assert words(backbone, example.views[0].ids) == "[CLS] a [MASK] [MASK] day [SEP]"
    assert asked(backbone, example) == [(0, 2, "very"), (0, 3, "warm")]


def test_choices_of_different_lengths_stand_in_views_of_their_own() -> None:
    backbone = tiny_backbone("bert")
    example = encode(backbone, prompt_of("a ", Answer(), " day", choices=("bad", "very warm", "good")), "choices")
    assert [words(backbone, view.ids) for view in example.views] == [
        "[CLS] a [MASK] day [SEP]",
        "[CLS] a [MASK] [MASK] day [SEP]",
    ]
    assert [[(a.choice, a.position, words(backbone, [a.token])) for a in view.asks] for view in example.views] == [
        [(0, 2, "bad"), (2, 2, "good")],
        [(1, 2, "very"), (1, 3, "warm")],
    ]


def test_pooling_has_no_mask() -> None:
    backbone = tiny_backbone("bert")
    example = encode(backbone, prompt_of("a ", Answer(), " day", target="warm"), "pool")
    assert words(backbone, example.views[0].ids) == "[CLS] a day [SEP]"


@pytest.mark.parametrize(
    ("prompt", "purpose", "message"),
    [
        (prompt_of("a ", Answer(), target="x"), "generate", "cannot generate text"),
        (prompt_of("a", Soft("d", 3, side="decoder"), Answer(), target="x"), "answer", "no decoder"),
    ],
)
def test_what_a_masked_model_cannot_do(prompt: Prompt, purpose: Purpose, message: str) -> None:
    with pytest.raises(InputError, match=f"row 1: .*{message}"):
        encode(tiny_backbone("bert"), prompt, purpose)
