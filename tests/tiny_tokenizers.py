"""Tokenizers of the usual kinds, made in the test from a few sentences: the words in them become one token each."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

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
