"""Starts of a prompt table (Lester et al. 2021, section 3.1; ALGORITHMS of the paper's released code)."""

import re
from typing import Literal

import torch
from torch import Tensor

from tunewright.backbones.base import Backbone
from tunewright.errors import InputError
from tunewright.seeds import numpy_random, seed_of

Start = Literal["random-uniform", "sampled-vocab", "class-label", "text"]


def word_vectors(backbone: Backbone, ids: list[int]) -> Tensor:
    """Input vectors [len(ids), d] in fp32, through the model's embedding module (BART scales them)."""
    with torch.no_grad():
        at = torch.tensor(ids, dtype=torch.long, device=backbone.device)
        return backbone.model.get_input_embeddings()(at).float()


def words_to_ids(backbone: Backbone, words: str) -> list[int]:
    """Ids of words as they stand in running text, after a space where the tokenizer marks one."""
    plain = backbone.text.ids_of_words(words)
    spaced = backbone.text.ids_of_words(" " + words)
    return spaced if len(spaced) <= len(plain) else plain


def common_tokens(backbone: Backbone, count: int = 5000) -> list[int]:
    """Ids of the `count` most common tokens.

    Special and added ids are left out, the rest is taken in the order of the ids. SentencePiece (T5): that of
    frequency. Byte-level BPE: that of the merges (GPT-2, SmolLM2, Llama), or of fairseq's counts (RoBERTa, BART, OPT);
    the single bytes are left out. WordPiece: whole words, by frequency behind the unused and single-character entries.
    """
    vocabulary = list(backbone.ordinary_tokens().items())
    kind = type(backbone.tokenizer.backend_tokenizer.model).__name__
    if kind == "WordPiece":
        vocabulary = [(i, t) for i, t in vocabulary if len(t) > 1 and not t.startswith("##") and not _UNUSED.match(t)]
    elif kind == "BPE":
        vocabulary = [(i, t) for i, t in vocabulary if len(t) > 1 and not _BYTE.match(t)]
    return [i for i, _ in vocabulary][:count]


_UNUSED = re.compile(r"\[unused\d+\]")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def random_uniform(length: int, width: int, bound: float, seed: int, key: str) -> Tensor:
    """[length, width] uniform in [-bound, bound] (0.5 in the paper; its released code draws from [0, 0.5))."""
    generator = torch.Generator().manual_seed(seed_of("random-uniform", seed, key) % 2**63)
    return (torch.rand(length, width, generator=generator) * 2 - 1) * bound


def sampled_vocab(backbone: Backbone, length: int, seed: int, key: str) -> Tensor:
    """[length, d]: vectors of common tokens drawn without replacement (with, where the slots outnumber them)."""
    known = common_tokens(backbone)
    drawn = numpy_random("sampled-vocab", seed, key).choice(known, size=length, replace=length > len(known))
    return word_vectors(backbone, [int(i) for i in drawn])


def class_label(backbone: Backbone, length: int, labels: tuple[str, ...], seed: int, key: str) -> Tensor:
    """[length, d]: one slot a label, the mean of its sub-tokens' vectors; the rest from sampled vocabulary.

    Raises InputError where there are no labels or more labels than slots.
    """
    if not labels:
        raise InputError("init: class-label wants a task with labels; use sampled-vocab or text")
    if len(labels) > length:
        raise InputError(f"init: class-label: {len(labels)} labels do not fit {length} slots: set method.length")
    rows = [word_vectors(backbone, words_to_ids(backbone, label)).mean(0) for label in labels]
    if length > len(labels):
        rows += list(sampled_vocab(backbone, length - len(labels), seed, key))
    return torch.stack([row.cpu() for row in rows])


def from_text(backbone: Backbone, length: int, text: str) -> Tensor:
    """[length, d]: the vectors of the text's tokens, repeated or cut to the length (as PEFT does)."""
    ids = words_to_ids(backbone, text)
    if not ids:
        raise InputError("init: text: the text has no tokens")
    return word_vectors(backbone, (ids * (length // len(ids) + 1))[:length])
