"""The forward pass against transformers' own and PEFT's: the same numbers, alone and in a padded batch."""

from dataclasses import replace

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from tiny import ARCHITECTURES, CAUSAL, WIDTH, prompt_of, row, tiny_backbone, tiny_parts
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPTNeoXConfig,
    MistralConfig,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from tunewright.backbones.base import Backbone
from tunewright.backbones.causal import TREE_READY
from tunewright.backbones.examples import Example, Purpose, View
from tunewright.backbones.load import make_backbone
from tunewright.methods.base import Tunable
from tunewright.objectives.losses import choice_scores
from tunewright.prompts.layout import SlotGroup, SlotLayout
from tunewright.prompts.segments import Answer, Prompt, Sep, Soft
from tunewright.training.tuner import Tuner

LAYOUT = SlotLayout((SlotGroup("p", 0, 4), SlotGroup("d", 4, 2, side="decoder")))
every_architecture = pytest.mark.parametrize("arch", ARCHITECTURES)


class Table(Tunable):
    """A fixed prompt table."""

    def __init__(self, backbone: Backbone, rows: int = 6) -> None:
        super().__init__(backbone)
        self.rows = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(5))

    def table(self) -> Tensor:
        return self.rows


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def log_probs(tuner: Tuner, examples: list[Example]) -> Tensor:
    return tuner(tuner.backbone.collate(examples))


@torch.no_grad()
def own_log_probs(backbone: Backbone, view: View) -> Tensor:
    """What the model itself says of one unpadded view: its logits, a softmax, the asked tokens."""
    model, ids = backbone.model, torch.tensor([view.ids])
    found = []
    for number, (decoder_ids, _) in enumerate(view.decoders or [([], [])]):
        if view.decoders:
            logits = model(input_ids=ids, decoder_input_ids=torch.tensor([decoder_ids])).logits[0]
        elif view.types is not None:
            logits = model(input_ids=ids, token_type_ids=torch.tensor([view.types])).logits[0]
        else:
            logits = model(input_ids=ids).logits[0]
        lines = torch.log_softmax(logits, -1)
        found += [lines[ask.position, ask.token] for ask in view.asks if ask.row == number]
    return torch.stack(found)


PROMPTS = [
    prompt_of(row("the film was good and the story was fine"), ". topic: ", Answer(), target="sport"),
    prompt_of(row("a cat"), ". topic: ", Answer(), target="warm rain and snow"),
    prompt_of(row("who said that"), Sep(), "it is true: ", Answer(), target="no"),
]


@every_architecture
def test_log_probs_are_the_models_own_also_in_a_padded_batch(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Tunable(backbone)).eval()
    examples = backbone.encode_many(PROMPTS, SlotLayout(), "answer")
    expected = torch.cat([own_log_probs(backbone, example.views[0]) for example in examples])
    assert expected.std() > 0.1
    assert close(torch.cat([log_probs(tuner, [example]) for example in examples]), expected)
    assert close(log_probs(tuner, examples), expected)


CHOICES = ("good", "very warm day", "bad rain")


@every_architecture
def test_choices_score_as_each_does_alone(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Tunable(backbone)).eval()
    prompts = [replace(prompt, choices=CHOICES, choice_labels=(0, 1, 2)) for prompt in PROMPTS]
    batch = backbone.collate(backbone.encode_many(prompts, SlotLayout(), "choices"))
    assert (batch.tree is not None) == (arch in CAUSAL)
    with torch.no_grad():
        scores = choice_scores(tuner(batch), batch)
    alone = [
        own_log_probs(backbone, backbone.encode_many([replace(p, choices=(c,))], SlotLayout(), "choices")[0].views[0])
        for p in prompts
        for c in CHOICES
    ]
    assert close(scores, torch.stack([found.sum() for found in alone]).view(3, 3))


_SMALL = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_CONFIGS = {
    "qwen2": Qwen2Config(num_key_value_heads=2, **_SMALL),
    "qwen3": Qwen3Config(num_key_value_heads=2, head_dim=8, **_SMALL),
    "mistral": MistralConfig(num_key_value_heads=2, sliding_window=None, **_SMALL),
    "gpt_neox": GPTNeoXConfig(**_SMALL),
    "phi": PhiConfig(**_SMALL),
    "smollm3": SmolLM3Config(num_key_value_heads=2, pad_token_id=0, **_SMALL),
}


def test_every_architecture_said_to_share_a_context_is_tried() -> None:
    assert {"llama", "gpt2", "opt", *_CONFIGS} == TREE_READY


@pytest.mark.parametrize("kind", sorted(_CONFIGS))
def test_other_architectures_share_a_context_rightly(kind: str) -> None:
    config = _CONFIGS[kind]
    _, tokenizer = tiny_parts("llama")
    config.vocab_size, config.initializer_range = len(tokenizer), 0.1
    config.bos_token_id = config.eos_token_id = config.pad_token_id = tokenizer.eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = make_backbone(AutoModelForCausalLM.from_config(config), tokenizer, kind, "causal")
    tuner = Tuner(backbone, Tunable(backbone)).eval()
    prompts = [replace(prompt, choices=CHOICES, choice_labels=(0, 1, 2)) for prompt in PROMPTS]
    examples = backbone.encode_many(prompts, SlotLayout(), "choices")
    batch = backbone.collate(examples)
    assert batch.tree is not None
    with torch.no_grad():
        together = choice_scores(tuner(batch), batch)
    backbone.model.config.sliding_window = 4096  # one row a choice
    apart = backbone.collate(backbone.encode_many(prompts, SlotLayout(), "choices"))
    assert apart.tree is None
    backbone.model.config.sliding_window = None
    with torch.no_grad():
        assert close(together, choice_scores(tuner(apart), apart))


# ---- soft slots -------------------------------------------------------------------------------------------


def soft_prompt(text: str, target: str = "good day") -> Prompt:
    return prompt_of("it: ", Soft("p", 4), row(text), ". topic: ", Answer(), target=target)


@every_architecture
def test_slots_take_their_vectors_from_the_table(arch: str) -> None:
    """Equal to cutting the word vectors by hand and putting the table's rows between them."""
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Table(backbone)).eval()
    examples = backbone.encode_many([soft_prompt("the film was bad and dull"), soft_prompt("a dog")], LAYOUT, "answer")
    expected = []
    for (view,) in (example.views for example in examples):
        at = view.soft.index(0)
        assert view.soft[at : at + 4] == [0, 1, 2, 3]
        table = tuner.tunable.table()
        assert table is not None
        look = backbone.model.get_input_embeddings()
        x = torch.cat([look(torch.tensor(view.ids[:at])), table[:4], look(torch.tensor(view.ids[at + 4 :]))]).unsqueeze(
            0
        )
        extra = {"decoder_input_ids": torch.tensor([view.decoders[0][0]])} if view.decoders else {}
        with torch.no_grad():
            lines = torch.log_softmax(backbone.model(inputs_embeds=x, **extra).logits[0], -1)
        expected += [lines[ask.position, ask.token] for ask in view.asks]
    assert close(log_probs(tuner, examples), torch.stack(expected))


@pytest.mark.parametrize("arch", ["t5", "t5-untied", "bart"])
def test_slots_in_the_decoder(arch: str) -> None:
    backbone = tiny_backbone(arch)
    tuner = Tuner(backbone, Table(backbone)).eval()
    prompt = prompt_of(Soft("d", 2, side="decoder"), row("the film"), ".", Answer(), target="good day")
    plain = prompt_of(row("a warm day and rain"), ".", Answer(), target="no")
    example, other = backbone.encode_many([prompt, plain], LAYOUT, "answer")
    (view,) = example.views
    ids = view.decoders[0][0]
    table = tuner.tunable.table()
    assert table is not None
    y = torch.cat([table[4:6], backbone.model.get_decoder().get_input_embeddings()(torch.tensor(ids[2:]))]).unsqueeze(0)
    with torch.no_grad():
        logits = backbone.model(input_ids=torch.tensor([view.ids]), decoder_inputs_embeds=y).logits[0]
    lines = torch.log_softmax(logits, -1)
    expected = torch.stack([lines[ask.position, ask.token] for ask in view.asks])
    assert close(log_probs(tuner, [example, other])[: len(view.asks)], expected)


@pytest.mark.parametrize(("arch", "task_type"), [("llama", "CAUSAL_LM"), ("opt", "CAUSAL_LM"), ("t5", "SEQ_2_SEQ_LM")])
def test_slots_in_front_are_pefts_prompt_tuning(arch: str, task_type: str) -> None:
    """In front of everything, BOS too, as PEFT has it: OPT's BOS is taken out of our side's way by hand."""
    backbone = tiny_backbone(arch)
    backbone.text.before = []
    tuner = Tuner(backbone, Table(backbone)).eval()
    example = backbone.encode_many(
        [prompt_of(Soft("p", 4), row("the film was"), ":", Answer(), target=" good")], LAYOUT, "answer"
    )[0]
    ours = log_probs(tuner, [example])
    config = PromptTuningConfig(task_type=task_type, num_virtual_tokens=4, num_transformer_submodules=1)
    theirs = get_peft_model(backbone.model, config).eval()
    table = tuner.tunable.table()
    assert table is not None
    theirs.prompt_encoder["default"].embedding.weight.data = table[:4]
    (view,) = example.views
    extra = {"decoder_input_ids": torch.tensor([view.decoders[0][0]])} if view.decoders else {}
    with torch.no_grad():
        lines = torch.log_softmax(theirs(input_ids=torch.tensor([view.ids[4:]]), **extra).logits[0], -1)
    assert close(ours, torch.stack([lines[ask.position, ask.token] for ask in view.asks]))


def test_bart_scales_words_but_not_slots() -> None:
    backbone = tiny_backbone("bart")
    table = torch.ones(4, WIDTH)
    ids, soft = torch.tensor([[7, 1]]), torch.tensor([[-1, 2]])
    with torch.no_grad():
        x = backbone.embed(ids, soft, table)
    raw = backbone.model.get_input_embeddings().weight[7]
    assert close(x[0, 0], raw * WIDTH**0.5)
    assert torch.equal(x[0, 1], torch.ones(WIDTH))


def test_a_pass_without_slots_still_trains_the_table() -> None:
    """A condition in a template may leave its slots out of every row of a pass."""
    backbone = tiny_backbone("llama")
    backbone.model.requires_grad_(False)
    tunable = Table(backbone)
    tunable.rows.requires_grad_(True)
    tuner = Tuner(backbone, tunable).train()
    batch = backbone.collate(backbone.encode_many(PROMPTS[:1], LAYOUT, "answer"))
    tuner(batch).sum().backward()
    assert tunable.rows.grad is not None and not tunable.rows.grad.any()


@pytest.mark.parametrize("purpose", ["answer", "choices"])
def test_frozen_weights_in_bf16_stay_near(purpose: Purpose) -> None:
    prompts = [replace(prompt, choices=CHOICES, choice_labels=(0, 1, 2)) for prompt in PROMPTS]
    found = []
    for precision in ("fp32", "bf16"):
        backbone = tiny_backbone("llama")
        backbone.model.requires_grad_(False)
        tuner = Tuner(backbone, Tunable(backbone), precision).eval()  # type: ignore[arg-type]
        found.append(log_probs(tuner, backbone.encode_many(prompts, LAYOUT, purpose)))
        assert backbone.model.lm_head.weight.dtype == (torch.float32 if precision == "fp32" else torch.bfloat16)
    assert found[1].dtype == torch.float32
    assert 0 < (found[0] - found[1]).abs().max() < 0.1
