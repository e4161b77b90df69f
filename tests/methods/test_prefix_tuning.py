"""Prefix tuning: PEFT's own model says the same, alone and padded; its starts; what is trained and kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from tiny import (
    ARCHITECTURES,
    CAUSAL,
    SEQ2SEQ,
    prompt_of,
    row,
    tiny_backbone,
    tiny_parts,
    tiny_prepared,
    tiny_train,
)
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, DistilBertConfig, DistilBertForMaskedLM

from tunewright.backbones.base import Backbone
from tunewright.backbones.causal import TREE_READY
from tunewright.backbones.examples import Example
from tunewright.backbones.load import make_backbone
from tunewright.errors import InputError
from tunewright.methods.base import Setting, Tunable, load_safetensors
from tunewright.methods.registry import make_method
from tunewright.methods.soft.prefix_files import kv_shape, read_prefix
from tunewright.methods.soft.starts import words_to_ids
from tunewright.objectives.losses import choice_scores
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Answer
from tunewright.runs.kept import load_kept, write_kept
from tunewright.training.tuner import Tuner

P = 3
SETTING = Setting("classify", ("good", "bad"), 0)
TASK_TYPE = {"causal": "CAUSAL_LM", "seq2seq": "SEQ_2_SEQ_LM", "masked": "FEATURE_EXTRACTION"}
PROMPTS = [
    prompt_of(row("the film was good and the story was fine"), ". topic: ", Answer(), target="sport"),
    prompt_of(row("a cat"), ". topic: ", Answer(), target="warm rain and snow"),
    prompt_of(row("who said that"), " it is true: ", Answer(), target="no"),
]
CHOICES = ("good", "very warm day", "bad rain")
CHOOSING = [replace(prompt, choices=CHOICES, choice_labels=(0, 1, 2)) for prompt in PROMPTS]


class Deep(Tunable):
    """A fixed prefix."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone)
        self.kv = torch.randn(P, *kv_shape(backbone), generator=torch.Generator().manual_seed(5))
        self.prefix_length = P

    def layer_kv(self) -> Tensor:
        return self.kv


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def log_probs(tuner: Tuner, examples: list[Example]) -> Tensor:
    return tuner(tuner.backbone.collate(examples))


def pefts(arch: str, kv: Tensor) -> torch.nn.Module:
    """PEFT's prefix model over the same weights. In an encoder-decoder it gives layer i the (2·i)-th of its own."""
    model, _ = tiny_parts(arch)
    family = "causal" if arch in CAUSAL else "seq2seq" if arch in SEQ2SEQ else "masked"
    layers = kv.shape[1] * (2 if family == "seq2seq" else 1)
    config = PrefixTuningConfig(task_type=TASK_TYPE[family], num_virtual_tokens=P, num_layers=layers)
    theirs = get_peft_model(model, config).eval()
    flat = kv.flatten(2).repeat_interleave(2, dim=1) if family == "seq2seq" else kv
    theirs.prompt_encoder["default"].embedding.weight.data = flat.flatten(1)
    return theirs


@torch.no_grad()
def their_log_probs(theirs: torch.nn.Module, example: Example) -> Tensor:
    """PEFT's answer to one unpadded row."""
    (view,) = example.views
    extra: dict[str, Any] = {"decoder_input_ids": torch.tensor([view.decoders[0][0]])} if view.decoders else {}
    ids = torch.tensor([view.ids])
    lines = torch.log_softmax(theirs(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).logits[0], -1)
    return torch.stack([lines[ask.position, ask.token] for ask in view.asks])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_pefts_prefix_model_says_the_same(arch: str, attention: str) -> None:
    """Llama here has half as many key-value heads as heads."""
    backbone = tiny_backbone(arch)
    backbone.model.set_attn_implementation(attention)
    tuner = Tuner(backbone, Deep(backbone)).eval()
    examples = backbone.encode_many(PROMPTS, SlotLayout(), "answer")
    plain = log_probs(Tuner(backbone, Tunable(backbone)).eval(), examples)
    theirs = pefts(arch, tuner.tunable.kv)
    expected = torch.cat([their_log_probs(theirs, example) for example in examples])
    assert (expected - plain).abs().max() > 0.05
    assert close(torch.cat([log_probs(tuner, [example]) for example in examples]), expected)
    assert close(log_probs(tuner, examples), expected)


@pytest.mark.parametrize("arch", ["llama", "t5", "bert", "roberta"])
def test_pefts_prefix_model_says_the_same_right_padded(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Deep(backbone)).eval()
    batch = backbone.collate(backbone.encode_many(PROMPTS[:2], SlotLayout(), "answer"))
    assert not batch.mask.all()
    extra = {} if batch.decoder_ids is None else {"decoder_input_ids": batch.decoder_ids}
    theirs = pefts(arch, tuner.tunable.kv)
    with torch.no_grad():
        out = theirs(input_ids=batch.ids, attention_mask=batch.mask.long(), **extra).logits
        lines = torch.log_softmax(out[batch.ask_row, batch.ask_position], -1)
        assert close(tuner(batch), lines.gather(1, batch.ask_token[:, None]).squeeze(1))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_choices_together_are_choices_apart(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Deep(backbone)).eval()
    batch = backbone.collate(backbone.encode_many(CHOOSING, SlotLayout(), "choices"))
    assert (batch.tree is not None) == (arch in CAUSAL)
    with torch.no_grad():
        together = choice_scores(tuner(batch), batch)
    apart = [
        log_probs(tuner, backbone.encode_many([replace(prompt, choices=(choice,))], SlotLayout(), "choices")).sum()
        for prompt in PROMPTS
        for choice in CHOICES
    ]
    assert close(together, torch.stack(apart).view(3, 3))


# ---- starts -------------------------------------------------------------------------------------------------


def causal_backbone(kind: str) -> Backbone:
    if kind in CAUSAL:
        return tiny_backbone(kind)
    _, tokenizer = tiny_parts("llama")
    end: Any = tokenizer.eos_token_id
    config = AutoConfig.for_model(
        kind, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        vocab_size=len(tokenizer), initializer_range=0.1, bos_token_id=end, eos_token_id=end, pad_token_id=end,
        sliding_window=None,
        **({} if kind in ("phi", "gpt_neox") else {"num_key_value_heads": 2}),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_backbone(AutoModelForCausalLM.from_config(config), tokenizer, kind, "causal")


@pytest.mark.parametrize("kind", sorted(TREE_READY))
def test_a_start_from_words_reads_as_if_they_stood_there(kind: str) -> None:
    """Before training the prefix is those words: a causal model with them before the text says the same."""
    backbone = causal_backbone(kind)
    backbone.text.before = []
    ids = words_to_ids(backbone, "the film was")
    method = make_method({"name": "prefix-tuning", "init": "text", "text": "the film was", "length": len(ids)})
    tuner = Tuner(backbone, method.tune(backbone, SlotLayout(), SETTING)).eval()
    examples = backbone.encode_many(CHOOSING, SlotLayout(), "choices")
    found = log_probs(tuner, examples)
    for example in examples:
        (view,) = example.views
        view.asks = [ask._replace(position=ask.position + len(ids)) for ask in view.asks]
        view.ids, view.soft = [*ids, *view.ids], [*[-1] * len(ids), *view.soft]
        if view.branches is not None:
            view.branches = [*[-1] * len(ids), *view.branches]
    assert close(found, log_probs(Tuner(backbone, Tunable(backbone)).eval(), examples))


@pytest.mark.parametrize("projection", [False, True])
def test_starts(projection: bool) -> None:
    """With a network in between, training begins at the same numbers."""
    block = {"name": "prefix-tuning", "length": 4, "projection": projection}
    found = {}
    for init in ("sampled-vocab", "class-label", "random"):
        for seed in (0, 0, 1):
            kv = tiny_prepared({**block, "init": init}, "llama", training={"seed": seed}).tuner.tunable.layer_kv()
            assert kv is not None and kv.shape == (4, 2, 2, 2, 8)
            found.setdefault(init, []).append(kv.detach())
    for init, (first, again, other) in found.items():
        assert torch.equal(first, again), init
        assert (init == "class-label" and torch.equal(first[:3], other[:3])) or not torch.equal(first, other)
    prepared = tiny_prepared({**block, "init": "class-label"}, "llama")
    embedding = prepared.backbone.model.get_input_embeddings()
    labels = [prepared.backbone.text.ids_of_words(" " + label) for label in ("sport", "money", "weather")]
    words = torch.stack([embedding(torch.tensor(ids)).mean(0) for ids in labels]).detach()
    assert torch.allclose(found["class-label"][0][:3], prepared.backbone.key_values(words), atol=1e-6)


def test_a_start_from_another_run(tmp_path: Path) -> None:
    block = {"name": "prefix-tuning", "length": 4}
    first = tiny_prepared(block, "llama", training={"seed": 3})
    first.tuner.tunable.save(tmp_path)
    start = {"prompt": str(tmp_path)}
    second = tiny_prepared({"name": "prefix-tuning", "init": start}, "llama")
    assert second.tuner.tunable.prefix_length == 4
    assert torch.equal(second.tuner.tunable.layer_kv(), first.tuner.tunable.layer_kv())  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a prefix of 4; leave method.length \(5\) out"):
        tiny_prepared({"name": "prefix-tuning", "init": start, "length": 5}, "llama")
    with pytest.raises(InputError, match=r"a prefix for 2 key-value heads .made for tiny-llama., tiny-gpt2 has 4"):
        tiny_prepared({"name": "prefix-tuning", "init": start}, "gpt2")
    with pytest.raises(InputError, match=r"holds no deep prompt \(no prefix.json\)"):
        tiny_prepared({"name": "prefix-tuning", "init": {"prompt": str(tmp_path / "none")}}, "llama")


# ---- training, keeping ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("arch", ["llama", "t5-untied", "bert"])
def test_only_the_prefix_is_trained_in_every_layer(arch: str, projection: bool) -> None:
    block = {"name": "prefix-tuning", "length": 4, "projection": projection}
    prepared = tiny_prepared(block, arch)
    tunable, tuner = prepared.tuner.tunable, prepared.tuner
    names = {"tunable.encoder.embedding.weight"}
    if projection:
        names |= {f"tunable.encoder.transform.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
    assert set(tunable.trained()) == names
    seen = []
    made = tunable.layer_kv
    tunable.layer_kv = lambda: seen.append(made()) or seen[-1]  # type: ignore[method-assign, func-returns-value]
    examples = prepared.encoder(prepared.task.split("train")).examples(range(4), 0, "answer")
    before = made().clone()
    loss = tuner(prepared.backbone.collate([e for e in examples if e])).sum()
    seen[0].retain_grad()
    loss.backward()
    assert seen[0].grad.shape == (4, 2, 2, *tunable.shape[2:])
    assert (seen[0].grad.abs().sum((0, 3, 4)) > 0).all()  # keys and values of every layer
    assert all(p.grad is not None and p.grad.any() for p in tunable.trained().values())
    assert all(p.grad is None for p in prepared.backbone.model.parameters())
    assert torch.equal(made(), before)


def test_two_passes_are_equal_and_leave_the_prefix_alone() -> None:
    for arch in ("llama", "bart", "bert"):
        backbone = tiny_backbone(arch)
        tuner = Tuner(backbone, Deep(backbone)).eval()
        kept = tuner.tunable.kv.clone()
        examples = backbone.encode_many(CHOOSING, SlotLayout(), "choices")
        assert torch.equal(log_probs(tuner, examples), log_probs(tuner, examples))
        assert torch.equal(tuner.tunable.kv, kept)


@pytest.mark.parametrize("projection", [False, True])
def test_what_is_kept_answers_alone(tmp_path: Path, projection: bool) -> None:
    """The kept folder holds PEFT's flat form; the network is gone, and so may be the run it started from."""
    other = tmp_path / "other"
    other.mkdir()
    tiny_prepared({"name": "prefix-tuning", "length": 4}, "llama").tuner.tunable.save(other)
    block = {"name": "prefix-tuning", "projection": projection, "init": {"prompt": str(other)}}
    prepared = tiny_prepared(block, "llama", training={"learning_rate": 1e-2, "steps": 3})
    tiny_train(prepared, None)
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    write_kept(tuned, prepared)
    assert sorted(file.name for file in tuned.iterdir()) == ["prefix.json", "prefix.safetensors", "tuned.json"]
    assert torch.equal(read_prefix(tuned).kv, prepared.tuner.tunable.layer_kv())  # type: ignore[arg-type]
    for file in other.iterdir():
        file.unlink()
    again = load_kept(tuned, tiny_backbone("llama"))
    examples = again.backbone.encode_many(CHOOSING, SlotLayout(), "choices")
    assert torch.equal(log_probs(again.tuner, examples), log_probs(prepared.tuner.eval(), examples))
    with pytest.raises(InputError, match=r"prefix for 2 key-value heads"):
        load_kept(tuned, tiny_backbone("gpt2"))


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """The network that makes the prefix is in the checkpoint."""

    class Killed(Exception):
        pass

    def parts() -> Any:
        block = {"name": "prefix-tuning", "length": 4, "projection": True}
        return tiny_prepared(block, "llama", training={"learning_rate": 1e-2, "steps": 8, "checkpoint_every": 4})

    whole = parts()
    tiny_train(whole, tmp_path / "whole")

    def die(tuner: Tuner) -> list[float]:
        raise Killed

    with pytest.raises(Killed):
        tiny_train(parts(), tmp_path / "killed", look=die, evaluate_every=6)
    state = load_safetensors(tmp_path / "killed" / "checkpoints" / "step-4" / "state.safetensors")
    assert "trained.tunable.encoder.transform.2.weight" in state
    again = parts()
    tiny_train(again, tmp_path / "killed", resume=True)
    assert torch.equal(again.tuner.tunable.layer_kv(), whole.tuner.tunable.layer_kv())


def test_before_tuning_the_model_is_plain() -> None:
    prepared = tiny_prepared({"name": "prefix-tuning", "init": "random"}, "llama")
    plain = Tuner(tiny_backbone("llama"), Tunable(prepared.backbone)).eval()
    examples = prepared.backbone.encode_many(CHOOSING, SlotLayout(), "choices")
    with prepared.tuner.tunable.detached():
        assert torch.equal(log_probs(prepared.tuner, examples), log_probs(plain, examples))
    assert not close(log_probs(prepared.tuner, examples), log_probs(plain, examples))


def test_the_prefix_takes_its_places_from_the_row() -> None:
    """GPT-2 here has 128 positions; positions of the text begin behind the prefix."""
    prepared = tiny_prepared({"name": "prefix-tuning", "length": 100}, "gpt2")
    assert prepared.encoder(prepared.task.split("test")).max_tokens == 28
    assert prepared.encoder(prepared.task.split("test"), attached=False).max_tokens == 512
    with pytest.raises(InputError, match=r"a prefix of 128 leaves no room within training.max_tokens \(512\)"):
        long = tiny_prepared({"name": "prefix-tuning", "length": 128}, "gpt2")
        long.encoder(long.task.split("test"))


# ---- generation ----------------------------------------------------------------------------------------------

ASKED = [
    prompt_of(row("the film was good and the story was fine"), ". topic: ", Answer()),
    prompt_of(row("a cat"), ". topic: ", Answer()),
    prompt_of("it was a ", Answer(), " day"),
]


@torch.no_grad()
def by_hand(tuner: Tuner, example: Example, new: int) -> str:
    """A forward pass over everything for each new token."""
    backbone, (view,) = tuner.backbone, example.views
    ids = list(view.decoders[0][0] if view.decoders else view.ids)
    first, ends = len(ids), {backbone.tokenizer.eos_token_id}
    while len(ids) - first < new and not ends & set(ids[first:]):
        if view.decoders:
            view.decoders = [(ids, [-1] * len(ids))]
        else:
            view.ids, view.soft = ids, [-1] * len(ids)
        batch = backbone.collate([example])
        states = backbone.states(batch, None, tuner.tunable.layer_kv())
        ids = [*ids, int(backbone.logits(states[:, -1]).argmax())]
    return backbone.tokenizer.decode(ids[first:], skip_special_tokens=True).strip()


@pytest.mark.parametrize("arch", [*CAUSAL, *SEQ2SEQ])
def test_generation_is_that_of_single_rows(arch: str) -> None:
    backbone = tiny_backbone(arch)
    with torch.no_grad():  # a small random model with a tied head repeats its last token
        for name, weight in backbone.model.named_parameters():
            if weight.dim() == 2 and not any(w in name for w in ("embed", "shared", "wte", "wpe", "lm_head")):
                weight *= 4
    tuner = Tuner(backbone, Deep(backbone)).eval()
    asked = ASKED if arch in SEQ2SEQ else ASKED[:2]
    examples = backbone.encode_many(asked, SlotLayout(), "generate")
    together = tuner.generate(backbone.collate(examples, "left"), 6)
    apart = [tuner.generate(backbone.collate([example], "left"), 6)[0] for example in examples]
    assert together == apart
    assert len(set(together)) > 1
    assert together != Tuner(backbone, Tunable(backbone)).generate(backbone.collate(examples, "left"), 6)
    assert together == [by_hand(tuner, example, 6) for example in examples]


@pytest.mark.parametrize("arch", ["llama", "gpt2", "t5", "bart", "bert"])
def test_in_bf16_it_stays_near(arch: str) -> None:
    found = []
    for precision in ("fp32", "bf16"):
        backbone = tiny_backbone(arch)
        backbone.model.requires_grad_(False)
        tuner = Tuner(backbone, Deep(backbone), precision).eval()  # type: ignore[arg-type]
        found.append(log_probs(tuner, backbone.encode_many(CHOOSING, SlotLayout(), "choices")))
        if arch != "bert":
            asked = backbone.collate(backbone.encode_many(ASKED[:2], SlotLayout(), "generate"), "left")
            assert len(tuner.generate(asked, 3)) == 2
    assert 0 < (found[0] - found[1]).abs().max() < 0.1


def test_a_model_without_a_place_for_it() -> None:
    _, tokenizer = tiny_parts("bert")
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=4, hidden_dim=48)
    backbone = make_backbone(DistilBertForMaskedLM(config), tokenizer, "small", "masked")
    with pytest.raises(InputError, match="small: distilbert models have no equal keys and values in all layers"):
        make_method({"name": "prefix-tuning", "init": "random"}).tune(backbone, SlotLayout(), SETTING)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(InputError, match="init: text and text: WORDS go together"):
        make_method({"name": "prefix-tuning", "init": "text"})
    with pytest.raises(InputError, match="hidden: is the width of the network that projection: true trains"):
        make_method({"name": "prefix-tuning", "hidden": 4})
