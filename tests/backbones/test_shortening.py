"""Too long a prompt loses row text, the longest field first; nothing else, and no more than it must."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHITECTURES, prompt_of, row, tiny_backbone, words

from tunewright.backbones.base import Backbone
from tunewright.backbones.examples import Example, Purpose
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Soft

LAYOUT = SlotLayout((SlotGroup("p", 0, 3), SlotGroup("d", 3, 2, side="decoder")))
ALL = {arch: tiny_backbone(arch) for arch in ARCHITECTURES}
LLAMA = ALL["llama"]


def encode(
    prompt: Prompt, limit: int, purpose: Purpose = "answer", backbone: Backbone = LLAMA, room: int = 0
) -> Example:
    return backbone.encode_many([prompt], LAYOUT, purpose, max_tokens=limit, room=room, names=["row train-7"])[0]


def test_the_longest_field_is_cut_first_and_to_the_limit_exactly() -> None:
    prompt = prompt_of(
        row("the cat sat on the mat", "long"), ":", row(" a dog ran", "short"), ".", Answer(), target=" yes"
    )
    whole = "the Ġcat Ġsat Ġon Ġthe Ġmat : Ġa Ġdog Ġran . Ġyes"  # 12 tokens, and the end token

    def at(limit: int) -> tuple[str, bool]:
        example = encode(prompt, limit)
        return words(LLAMA, example.views[0].ids), example.shortened

    assert at(13) == (whole, False)
    assert at(12) == ("the Ġcat Ġsat Ġon Ġthe : Ġa Ġdog Ġran . Ġyes", True)
    assert at(10) == ("the Ġcat Ġsat : Ġa Ġdog Ġran . Ġyes", True)
    assert at(9) == ("the Ġcat Ġsat : Ġa Ġdog . Ġyes", True)  # equally long: the later one gives way
    assert at(8) == ("the Ġcat : Ġa Ġdog . Ġyes", True)
    assert at(4) == (": . Ġyes", True)
    with pytest.raises(
        InputError, match="row train-7: 13 tokens where the limit is 3, and only 9 of them are row text"
    ):
        at(3)


def test_words_slots_and_answer_are_never_cut() -> None:
    prompt = prompt_of("it was ", Soft("p", 3), row("the cat sat"), " on", Answer(), target=" the sea")
    (view,) = encode(prompt, 10).views
    assert view.soft == [-1, -1, -1, 0, 1, 2, -1, -1, -1]
    assert words(LLAMA, view.ids[:3]) == "it Ġwas Ġ"
    assert words(LLAMA, view.ids[6:]) == "Ġon Ġthe Ġsea"
    with pytest.raises(InputError, match="only 3 of them are row text that may be cut"):
        encode(prompt, 9)


def test_a_target_longer_than_the_limit_is_an_error() -> None:
    prompt = prompt_of(row("the cat"), Answer(), target=" sat on the mat and the dog ran")
    with pytest.raises(InputError, match=r"row train-7: the target has 8 tokens, the limit is 8 \(training.max_tokens"):
        encode(prompt, 8)
    with pytest.raises(InputError, match="row train-7: the target has 8 tokens, the limit is 8"):
        encode(prompt, 8, backbone=ALL["t5"])


def test_a_generation_leaves_room_for_the_new_tokens() -> None:
    prompt = prompt_of(row("the cat sat on the mat"), ".", Answer())
    assert words(LLAMA, encode(prompt, 9, "generate", room=5).views[0].ids) == "the Ġcat Ġsat ."
    t5 = ALL["t5"]  # its answer stands in the decoder
    assert words(t5, encode(prompt, 9, "generate", t5, room=5).views[0].ids) == "▁the ▁cat ▁sat ▁on ▁the ▁mat . </s>"
    with pytest.raises(InputError, match=r"max_tokens: 9 leaves no room for a prompt beside 9 new tokens"):
        encode(prompt, 9, "generate", room=9)


def test_the_models_own_positions_are_a_limit_too() -> None:
    long = prompt_of(row("the cat sat on the mat " * 60), ".", Answer(), target=" yes")
    assert [backbone.positions() for backbone in ALL.values()] == [256, 128, 128, 10**6, 10**6, 128, 128, 128]
    for arch in ("gpt2", "bart", "roberta"):
        example = encode(long, 1000, backbone=ALL[arch])
        assert example.shortened and 120 < len(example.views[0].ids) <= 128


def test_the_decoder_has_its_limit() -> None:
    """BART's decoder has 128 positions: its slots count."""
    backbone = ALL["bart"]
    target = " ".join(["the"] * 125)
    prompt = prompt_of(Soft("d", 2, side="decoder"), row("the cat"), Answer(), target=target)
    assert (
        len(encode(prompt_of(row("the cat"), Answer(), target=target), 999, backbone=backbone).views[0].decoders) == 1
    )
    with pytest.raises(InputError, match="129 tokens where the limit is 128"):
        encode(prompt, 999, backbone=backbone)


def test_choices_count_by_the_longest() -> None:
    prompt = prompt_of(row("the cat sat on the mat"), ".", Answer(), choices=(" a", " very good day"))
    assert words(LLAMA, encode(prompt, 8, "choices").views[0].ids) == "the Ġcat Ġsat Ġon . Ġvery Ġgood"


@settings(max_examples=60, deadline=None)
@given(
    arch=st.sampled_from(ARCHITECTURES),
    first=st.lists(st.sampled_from(["the cat", "</s>", "<mask>", "é", " ", "zebra", "\n"]), max_size=25),
    second=st.text(max_size=40),
    limit=st.integers(14, 40),
)
def test_wild_text_fits_whatever_it_is(arch: str, first: list[str], second: str, limit: int) -> None:
    """Also where one added token in a row's text stands for many tokens."""
    backbone = ALL[arch]
    prompt = prompt_of(row("".join(first), "a"), " and ", row(second, "b"), Soft("p", 3), " ", Answer(), target="good")
    (view,) = encode(prompt, limit, backbone=backbone).views
    assert len(view.ids) <= limit
    assert [slot for slot in view.soft if slot >= 0] == [0, 1, 2]
