"""How a prompt table starts: literal rows, common tokens of each kind of tokenizer, seeds."""

import pytest
import torch
from tiny import MASKED, tiny_backbone, tiny_prepared, words

from tunewright.errors import InputError
from tunewright.methods.soft import starts
from tunewright.prompts.layout import SlotGroup, SlotLayout


def test_a_class_labels_row_is_the_mean_of_its_pieces() -> None:
    """` warm` is one token, ` snow day` two; what is left over comes from the vocabulary."""
    backbone = tiny_backbone("llama")
    table = starts.class_label(backbone, 4, ("warm", "snow day"), 0, "k")
    weight = backbone.model.get_input_embeddings().weight.detach()
    ids = backbone.tokenizer.convert_tokens_to_ids
    assert table.shape == (4, 32)
    assert torch.equal(table[0], weight[ids("Ġwarm")])
    assert torch.allclose(table[1], (weight[ids("Ġsnow")] + weight[ids("Ġday")]) / 2)
    assert torch.equal(table[2:], starts.sampled_vocab(backbone, 2, 0, "k"))


def test_bart_starts_from_its_scaled_vectors() -> None:
    backbone = tiny_backbone("bart")
    weight = backbone.model.get_input_embeddings().weight.detach()
    row = weight[backbone.tokenizer.convert_tokens_to_ids("Ġwarm")]
    assert torch.allclose(starts.class_label(backbone, 1, ("warm",), 0, "k")[0], row * 32**0.5)


def test_more_labels_than_slots_and_no_labels() -> None:
    backbone = tiny_backbone("llama")
    with pytest.raises(InputError, match=r"3 labels do not fit 2 slots: set method.length"):
        starts.class_label(backbone, 2, ("a", "b", "c"), 0, "k")
    with pytest.raises(InputError, match="class-label wants a task with labels"):
        starts.class_label(backbone, 2, (), 0, "k")


def test_a_text_is_repeated_or_cut() -> None:
    backbone = tiny_backbone("llama")
    weight = backbone.model.get_input_embeddings().weight.detach()
    the, cat = backbone.tokenizer.convert_tokens_to_ids(["Ġthe", "Ġcat"])
    assert torch.equal(starts.from_text(backbone, 5, "the cat"), weight[[the, cat, the, cat, the]])
    assert torch.equal(starts.from_text(backbone, 1, "the cat"), weight[[the]])
    with pytest.raises(InputError, match="the text has no tokens"):
        starts.from_text(backbone, 1, "")


@pytest.mark.parametrize(
    ("arch", "first"),
    [("llama", "th the Ġw Ġthe Ġa"), ("t5", "▁ ▁a ▁and ▁answer ▁bad"), ("bert", "and answer bad bank cat")],
)
def test_common_tokens_of_each_kind_of_vocabulary(arch: str, first: str) -> None:
    backbone = tiny_backbone(arch)
    common = starts.common_tokens(backbone, 5)
    if arch == "llama":  # the order of the merges
        merges = [token for token in words(backbone, starts.common_tokens(backbone)).split() if len(token) > 1]
        assert common == backbone.tokenizer.convert_tokens_to_ids(merges[:5])
        assert min(common) == 3 + 256  # behind three special tokens and the bytes
    assert words(backbone, common) == first
    special = set(backbone.tokenizer.get_added_vocab().values())
    everything = starts.common_tokens(backbone)
    assert not special & set(everything)
    if arch == "bert":
        assert not any(token.startswith(("##", "[")) or len(token) < 2 for token in words(backbone, everything).split())


def test_a_vocabulary_is_sampled_without_replacement_until_it_is_used_up() -> None:
    backbone = tiny_backbone("bert")
    known = len(starts.common_tokens(backbone))
    rows = starts.sampled_vocab(backbone, known, 0, "k")
    assert len({tuple(row.tolist()) for row in rows}) == known
    assert starts.sampled_vocab(backbone, known + 5, 0, "k").shape == (known + 5, 32)


def test_samples_depend_on_the_seed_and_the_group_only() -> None:
    backbone = tiny_backbone("llama")
    first = starts.sampled_vocab(backbone, 6, 0, "a")
    assert torch.equal(first, starts.sampled_vocab(backbone, 6, 0, "a"))
    assert not torch.equal(first, starts.sampled_vocab(backbone, 6, 1, "a"))
    assert not torch.equal(first, starts.sampled_vocab(backbone, 6, 0, "b"))


def test_random_uniform_fills_its_bounds() -> None:
    table = starts.random_uniform(200, 32, 0.25, 0, "k")
    assert -0.25 <= table.min() < -0.24 and 0.24 < table.max() <= 0.25
    assert abs(table.mean()) < 0.01
    assert torch.equal(table, starts.random_uniform(200, 32, 0.25, 0, "k"))
    assert not torch.equal(table, starts.random_uniform(200, 32, 0.25, 1, "k"))


# ---- through the method's settings --------------------------------------------------------------------------


def table_of(settings: dict[str, object], arch: str = "llama", template: str | None = None) -> torch.Tensor:
    prepared = tiny_prepared({"name": "prompt-tuning", **settings}, arch, template=template)
    table = prepared.tuner.tunable.table()
    assert table is not None and table.dtype == torch.float32
    return table.detach()


def test_the_settings_choose_the_start() -> None:
    backbone = tiny_backbone("llama")
    key = "tiny-classify/prompt"
    assert torch.equal(table_of({"length": 7}), starts.sampled_vocab(backbone, 7, 0, key))
    uniform = {"length": 7, "init": "random-uniform", "bound": 0.1}
    assert torch.equal(table_of(uniform), starts.random_uniform(7, 32, 0.1, 0, key))
    text = {"length": 7, "init": "text", "text": "the cat sat"}
    assert torch.equal(table_of(text), starts.from_text(backbone, 7, "the cat sat"))
    labels = {"length": 7, "init": "class-label"}
    assert torch.equal(table_of(labels), starts.class_label(backbone, 7, ("sport", "money", "weather"), 0, key))


def test_slots_of_a_template_start_from_its_words() -> None:
    backbone = tiny_backbone("llama")
    template = '{{ text }}{{ soft("it was") }}{{ soft(3, slot="joint") }} {{ answer }}'
    table = table_of({"init": "random-uniform"}, template=template)
    assert table.shape == (5, 32)
    assert torch.equal(table[:2], starts.from_text(backbone, 2, "it was"))
    assert torch.equal(table[2:], starts.random_uniform(3, 32, 0.5, 0, "joint"))


def test_text_and_its_words_go_together() -> None:
    for settings in ({"init": "text"}, {"text": "the cat"}):
        with pytest.raises(InputError, match="init: text and text: WORDS go together"):
            table_of(settings)


@pytest.mark.parametrize("arch", ["llama", "t5", *MASKED])
def test_slots_stand_after_the_fields_in_causal_models_and_in_front_elsewhere(arch: str) -> None:
    prepared = tiny_prepared({"name": "prompt-tuning", "length": 2}, arch)
    example = prepared.encoder(prepared.task.split("test")).examples([0], 0, "pool")[0]
    assert example is not None
    (view,) = example.views
    at = view.soft.index(0)
    before = words(prepared.backbone, view.ids[:at])
    assert before == {
        "llama": "review : Ġthe Ġdog Ġand Ġthe Ġgoal", "t5": "", "bert": "[CLS]", "roberta": "<s>"
    }[arch]  # fmt: skip
    assert prepared.layout == SlotLayout((SlotGroup("tiny-classify/prompt", 0, 2),))
