"""Tiny random backbones, their tokenizers, and tasks they can learn: made in the test, without any file or network."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_tasks import TEMPLATES, prompt_of, row, tiny_rows, tiny_task, words
from tiny_tokenizers import (
    bert_tokenizer,
    gpt2_tokenizer,
    opt_tokenizer,
    roberta_tokenizer,
    smol_tokenizer,
    t5_tokenizer,
)
from torch import nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)

from tunewright.backbones.base import Backbone
from tunewright.backbones.fetch import hush
from tunewright.backbones.load import make_backbone
from tunewright.methods.registry import make_method
from tunewright.recipe import Recipe
from tunewright.runs.looks import make_validate, objective_of, purpose_in_training
from tunewright.runs.prepare import Prepared, assemble, pick_templates
from tunewright.runs.tuning import make_plan
from tunewright.settings import validate
from tunewright.task_block import Kind
from tunewright.training.batches import Batches
from tunewright.training.loop import Trained, Validate, train

__all__ = [
    "ARCHITECTURES", "CAUSAL", "MASKED", "SEQ2SEQ", "TEMPLATES", "WIDTH", "bert_tokenizer", "gpt2_tokenizer",
    "opt_tokenizer", "prompt_of", "roberta_tokenizer", "row", "smol_tokenizer", "t5_tokenizer", "tiny_backbone",
    "tiny_folder", "tiny_parts", "tiny_prepared", "tiny_rows", "tiny_task", "tiny_train", "words",
]  # fmt: skip

hush()
WIDTH = 32
CAUSAL = ("llama", "gpt2", "opt")
SEQ2SEQ = ("t5", "t5-untied", "bart")
MASKED = ("bert", "roberta")
ARCHITECTURES = (*CAUSAL, *SEQ2SEQ, *MASKED)
_DEFAULT = {"causal": "llama", "seq2seq": "t5", "masked": "bert"}


_T5: dict[str, Any] = {
    "d_model": WIDTH, "d_kv": 8, "num_heads": 4, "d_ff": 48, "num_layers": 2, "dropout_rate": 0.1,
    "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "initializer_factor": 1.0,
}  # fmt: skip


def _llama(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.1, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


def _gpt2(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=128, initializer_range=0.1,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


def _opt(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, word_embed_proj_dim=WIDTH, ffn_dim=48, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=128, init_std=0.1, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def _t5(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return T5ForConditionalGeneration(T5Config(vocab_size=vocabulary, **_T5))


def _t5_untied(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """T5 1.1 and FLAN-T5: gated, the head's own weights, states not scaled."""
    return T5ForConditionalGeneration(
        T5Config(vocab_size=vocabulary, feed_forward_proj="gated-gelu", tie_word_embeddings=False, **_T5)
    )


def _bart(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """`scale_embedding`, so that a word's vector is not the embedding's row."""
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=vocabulary, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=128,
            init_std=0.1, scale_embedding=True, bos_token_id=tokenizer.bos_token_id, forced_eos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


def _bert(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return BertForMaskedLM(
        BertConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=128, initializer_range=0.1, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def _roberta(vocabulary: int, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return RobertaForMaskedLM(
        RobertaConfig(
            vocab_size=vocabulary, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=130, type_vocab_size=1, initializer_range=0.1, bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


_Maker = Callable[[int, PreTrainedTokenizerFast], PreTrainedModel]
_MADE: dict[str, tuple[_Maker, Callable[[], PreTrainedTokenizerFast]]] = {
    "llama": (_llama, smol_tokenizer),
    "gpt2": (_gpt2, gpt2_tokenizer),
    "opt": (_opt, opt_tokenizer),
    "t5": (_t5, t5_tokenizer),
    "t5-untied": (_t5_untied, t5_tokenizer),
    "bart": (_bart, roberta_tokenizer),
    "bert": (_bert, bert_tokenizer),
    "roberta": (_roberta, roberta_tokenizer),
}


def tiny_parts(arch: str, seed: int = 0) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A model with fresh random weights and its (shared) tokenizer; `arch` is an architecture or a family."""
    make, tokenizer = _MADE[_DEFAULT.get(arch, arch)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make(len(tokenizer()), tokenizer())
        with torch.no_grad():  # a bias that is zero hides mistakes
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(std=0.1)
    return model.eval(), tokenizer()


def tiny_backbone(arch: str, seed: int = 0) -> Backbone:
    """A backbone of an architecture (or family) above, with fresh weights."""
    model, tokenizer = tiny_parts(arch, seed)
    return make_backbone(model, tokenizer, f"tiny-{arch}", _family(arch))


def _family(arch: str) -> Any:
    arch = _DEFAULT.get(arch, arch)
    return "causal" if arch in CAUSAL else "seq2seq" if arch in SEQ2SEQ else "masked"


def tiny_folder(path: Path, arch: str, seed: int = 0) -> Path:
    """The same backbone saved in `path` (configuration, tokenizer, safetensors), as `load_backbone` reads it."""
    model, tokenizer = tiny_parts(arch, seed)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def tiny_prepared(
    method: str | dict[str, Any],
    arch: str,
    kind: Kind = "classify",
    *,
    seed: int = 0,
    training: dict[str, Any] | None = None,
    template: Any = None,
) -> Prepared:
    """A recipe made ready without files: `arch`'s backbone (weights of `seed`), `tiny_task(kind)` and a method."""
    block = {"steps": 30, "batch_size": 8, "precision": "fp32", **(training or {})}
    recipe = validate(
        Recipe,
        {"model": f"tiny-{arch}", "task": "tiny", "method": method, "training": block, "template": template},
        "tiny",
    )
    task = tiny_task(kind)
    templates = pick_templates(recipe, task)
    return assemble(recipe, task, templates, make_method(recipe.method), tiny_backbone(arch, seed))


def tiny_train(
    prepared: Prepared, folder: Path | None, *, resume: bool = False, look: Validate | None = None, **changes: Any
) -> Trained:
    """`prepared` trained on its training rows by the loop itself; `look` is called at each look at validation."""
    encoder = prepared.encoder(prepared.task.split("train"))
    objective = objective_of(prepared)
    purpose = purpose_in_training(prepared, objective)
    size = prepared.recipe.training.batch_size
    batches = Batches(24, lambda indices, epoch: encoder.examples(indices, epoch, purpose), seed=0, batch_size=size)
    defaults = prepared.method.defaults_for(prepared.backbone.family)
    assert defaults is not None
    plan = make_plan(prepared, defaults, 24, objective, encoder)
    look = look or make_validate(prepared)
    return train(prepared.tuner, batches, replace(plan, **changes), folder=folder, validate=look, resume=resume)


class Crash(Exception):
    """A run that is killed."""


def killed_and_whole(make: Callable[[], Prepared], folder: Path) -> tuple[Prepared, Prepared]:
    """A training killed at its second look at validation and resumed, and the same one never stopped."""

    def looks(crash_at: int) -> Validate:
        seen = []

        def look(tuner: nn.Module) -> list[float]:
            seen.append(1)
            if len(seen) == crash_at:
                raise Crash
            return [0.0]

        return look

    whole, broken, again = make(), make(), make()
    tiny_train(whole, folder / "whole", look=looks(0))
    with suppress(Crash):
        tiny_train(broken, folder / "run", look=looks(2))
        raise AssertionError("it was not killed")
    tiny_train(again, folder / "run", look=looks(0), resume=True)
    return again, whole
