"""Tiny random backbones, their tokenizers, and tasks they can learn: made in the test, without any file or network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, product
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
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
from tunewright.prompts.segments import Prompt, Segment, Text
from tunewright.recipe import Kind, Recipe, TemplateBlock
from tunewright.runs.prepare import Prepared, assemble, pick_templates
from tunewright.runs.tuning import make_plan, make_validate, objective_of
from tunewright.settings import validate
from tunewright.tasks.task import LabelName, Rows, Task
from tunewright.training.batches import Batches
from tunewright.training.loop import Trained, Validate, train

hush()
WIDTH = 32
SENTENCES = (
    "the film was good and the story was fine",
    "the film was bad and the end was dull",
    "it was a great night and a warm day",
    "it was a very bad day with rain and snow",
    "who said that the cat sat on the mat",
    "a dog ran over the green field to the sea",
    "review: the food was good. sentiment: positive",
    "review: the food was bad. sentiment: negative",
    "topic: sport, team, goal, match",
    "topic: money, bank, price, trade",
    "topic: weather, rain, snow, wind",
    "question: is it true? answer: yes or no, maybe",
    "this is the topic of the review and the answer",
)
CHAT = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nyou help<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CAUSAL = ("llama", "gpt2", "opt")
SEQ2SEQ = ("t5", "t5-untied", "bart")
MASKED = ("bert", "roberta")
ARCHITECTURES = (*CAUSAL, *SEQ2SEQ, *MASKED)
_DEFAULT = {"causal": "llama", "seq2seq": "t5", "masked": "bert"}


# ---- tokenizers -----------------------------------------------------------------------------------------


def _words() -> list[str]:
    return sorted({word.strip(".,:?") for sentence in SENTENCES for word in sentence.split()})


def _byte_bpe(special: Sequence[str | AddedToken], **names: Any) -> PreTrainedTokenizerFast:
    """Byte-level BPE (GPT-2, SmolLM2, RoBERTa): trained here; the words above become one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([s for s in SENTENCES for _ in range(3)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@cache
def smol_tokenizer() -> PreTrainedTokenizerFast:
    """Like SmolLM2-Instruct's: no BOS added, ChatML."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = _byte_bpe(special, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.chat_template = CHAT
    return tokenizer


@cache
def gpt2_tokenizer() -> PreTrainedTokenizerFast:
    """One special token, no padding token, no chat."""
    return _byte_bpe(["<|endoftext|>"], bos_token="<|endoftext|>", eos_token="<|endoftext|>")


@cache
def opt_tokenizer() -> PreTrainedTokenizerFast:
    """Like OPT's: `</s>` is put in front of a text."""
    tokenizer = _byte_bpe(["<pad>", "</s>"], bos_token="</s>", eos_token="</s>", pad_token="<pad>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", tokenizer.eos_token_id)]
    )
    return tokenizer


@cache
def roberta_tokenizer() -> PreTrainedTokenizerFast:
    """RoBERTa's and BART's: `<s> text </s>`, pairs as `<s> a </s></s> b </s>`, a mask that eats the space before it."""
    mask = AddedToken("<mask>", lstrip=True, special=True)
    tokenizer = _byte_bpe(
        ["<s>", "<pad>", "</s>", "<unk>", mask],
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token=mask,
    )  # fmt: skip
    ids = tokenizer.convert_tokens_to_ids
    tokenizer.backend_tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", ids("</s>")), ("<s>", ids("<s>")), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


@cache
def t5_tokenizer() -> PreTrainedTokenizerFast:
    """Like T5's: Unigram with `▁`, `</s>` at the end, ten sentinels. The whole words above are pieces."""
    letters = [chr(c) for c in chain(range(ord("a"), ord("z") + 1), range(ord("0"), ord("9") + 1))]
    pieces = [("▁", -4.0), *((f"▁{word}", -5.0) for word in _words()), *((c, -9.0) for c in letters)]
    pieces += [(c, -9.0) for c in ".,:?!'\"<>/_[]|()-"]
    sentinels = [f"<extra_id_{i}>" for i in range(10)]  # pieces of the vocabulary too, as in T5's own file
    vocabulary = [(name, 0.0) for name in ("<pad>", "</s>", "<unk>")] + pieces + [(name, 0.0) for name in sentinels]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.normalizer = normalizers.Replace("\n", " ")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        additional_special_tokens=sentinels,
    )  # fmt: skip


@cache
def bert_tokenizer() -> PreTrainedTokenizerFast:
    """Like BERT's: lower-cased WordPiece, `[CLS] a [SEP] b [SEP]` with token types 0 and 1."""
    marks = list(".,:?!'\"<>/_[]|()-")
    letters = [chr(c) for c in chain(range(ord("a"), ord("z") + 1), range(ord("0"), ord("9") + 1))]
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", *marks, *letters, *(f"##{c}" for c in letters)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys([*names, *_words()]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


# ---- models ---------------------------------------------------------------------------------------------

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


# ---- tasks ----------------------------------------------------------------------------------------------

_KEYWORDS = {
    "sport": ("team", "goal", "match"),
    "money": ("bank", "price", "trade"),
    "weather": ("rain", "snow", "wind"),
}
_PLACES = ("the film", "the dog", "a day", "the sea")


def tiny_rows(kind: Kind) -> list[dict[str, Any]]:
    """36 rows as they would stand in a JSONL file: the keyword in the text gives the answer."""
    words = [(label, word) for label, group in _KEYWORDS.items() for word in group]
    rows = []
    for (label, word), place in product(words, _PLACES):
        text = f"{place} and the {word}"
        if kind == "classify":
            rows.append({"text": text, "label": label})
        elif kind == "choose":
            rows.append({"text": text, "choices": list(_KEYWORDS), "answer": list(_KEYWORDS).index(label)})
        elif kind == "regress":
            rows.append({"text": text, "score": float(list(_KEYWORDS).index(label))})
        elif kind == "generate":
            rows.append({"text": text, "target": f"{word} {label}"})
        else:
            tokens = text.split()
            rows.append({"tokens": tokens, "tags": ["O"] * (len(tokens) - 1) + [f"B-{label}"]})
    return rows


TEMPLATES: dict[Kind, str] = {
    "classify": "review: {{ text }}. topic:{{ ' ' }}{{ answer }}",
    "choose": "{{ text }}. topic:{{ ' ' }}{{ answer }}",
    "regress": "{{ text }}. answer:{{ ' ' }}{{ answer }}",
    "generate": "{{ text }}. answer:{{ ' ' }}{{ answer }}",
    "tag": "{{ tokens | join(' ') }}. answer:{{ ' ' }}{{ answer }}",
}
_TARGETS: dict[Kind, str] = {
    "classify": "label", "choose": "answer", "regress": "score", "generate": "target", "tag": "tags",
}  # fmt: skip
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classify": ("accuracy",), "choose": ("accuracy",), "regress": ("mae",), "generate": ("rouge-1",),
    "tag": ("entity-f1",),
}  # fmt: skip


def tiny_task(kind: Kind, **templates: str | TemplateBlock) -> Task:
    """An open task of 24 training, 6 validation and 6 test rows; `templates` beside (and before) its own `plain`."""
    rows = tiny_rows(kind)
    labels = tuple(_KEYWORDS) if kind == "classify" else None
    if kind == "tag":
        labels = ("O", *(f"B-{label}" for label in _KEYWORDS))
    for row in rows:
        if kind == "classify":
            row["label"] = LabelName(row["label"], list(_KEYWORDS).index(row["label"]))
        elif kind == "choose":
            row["answer"] = LabelName(row["choices"][row["answer"]], row["answer"])
        elif kind == "tag" and labels:
            row["tags"] = [LabelName(tag, labels.index(tag)) for tag in row["tags"]]
    order = [i for first in range(6) for i in range(first, 36, 6)]
    parts = {"train": order[:24], "validation": order[24:30], "test": order[30:]}
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole = Rows(columns, [f"row-{i}" for i in range(36)])
    splits = {
        name: Rows(whole.take(indices).columns, [f"{name}-{i}" for i in range(len(indices))])
        for name, indices in parts.items()
    }
    blocks = {**templates, "plain": TEMPLATES[kind]}
    return Task(
        name=f"tiny-{kind}",
        kind=kind,
        fields=tuple(columns),
        target=_TARGETS[kind],
        references=None,
        labels=labels,
        label_words={label: (label,) for label in _KEYWORDS} if kind == "classify" else {},
        templates={
            n: TemplateBlock.model_validate({"jinja": b}) if isinstance(b, str) else b for n, b in blocks.items()
        },
        default_template=next(iter(blocks)),
        metrics=_METRICS[kind],
        splits=splits,
    )


def words(backbone: Backbone, ids: Sequence[int]) -> str:
    """Ids as tokens joined by blanks; `Ġ` and `▁` mark the space before a word."""
    return " ".join(backbone.tokenizer.convert_ids_to_tokens(list(ids)))


def prompt_of(*segments: Segment | str, target: str = "", **rest: Any) -> Prompt:
    """A prompt from segments; a bare string is the template's own words."""
    return Prompt(tuple(Text(s) if isinstance(s, str) else s for s in segments), target, **rest)


def row(text: str, field: str = "text") -> Text:
    """Text that came from a row."""
    return Text(text, field)


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
    purpose: Any = {"answer": "answer", "choice": "choices"}.get(objective, "pool")
    size = prepared.recipe.training.batch_size
    batches = Batches(24, lambda indices, epoch: encoder.examples(indices, epoch, purpose), seed=0, batch_size=size)
    assert prepared.method.defaults is not None
    plan = make_plan(prepared, prepared.method.defaults, 24, objective, encoder)
    look = look or make_validate(prepared)
    return train(prepared.tuner, batches, replace(plan, **changes), folder=folder, validate=look, resume=resume)
