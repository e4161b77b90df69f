"""From a block of token ids to what is asked of the model: causal LM, masked LM, span corruption, prefix LM.

Each is a pure function of the block and a generator, so that the k-th example of an epoch needs no other one.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from tunewright.backbones.base import Backbone, Family
from tunewright.backbones.examples import Ask, Example, View
from tunewright.errors import InputError
from tunewright.objectives.documents import documents_in, end_of_document
from tunewright.objectives.masking import masked_lm, word_starts

ObjectiveName = Literal["causal-lm", "mlm", "span-corruption", "prefix-lm"]
Make = Callable[[Sequence[int], np.random.Generator], Example]
FAMILIES: dict[ObjectiveName, tuple[Family, ...]] = {
    "causal-lm": ("causal",),
    "mlm": ("masked",),
    "span-corruption": ("seq2seq",),
    "prefix-lm": ("seq2seq", "causal"),
}


def make_objective(
    name: ObjectiveName,
    backbone: Backbone,
    *,
    share: float = 0.15,
    mean_span: float = 3.0,
    whole_word: bool = False,
    isolate: bool = False,
) -> Make:
    """The objective for a backbone; `isolate`: a document of a block sees none of the others.

    Raises InputError where the backbone's family or its tokenizer cannot do it.
    """
    if backbone.family not in FAMILIES[name]:
        raise InputError(f"objective {name}: for {' and '.join(FAMILIES[name])} models; {backbone.name} is "
                         f"{backbone.family}")  # fmt: skip
    if isolate and name not in ("causal-lm", "mlm"):
        raise InputError(f"packing.isolate: for causal-lm and mlm; {name} reads a block as one text")
    if isolate and not backbone.keeps_apart:
        kind = backbone.model.config.model_type
        raise InputError(f"packing.isolate: {kind} models were not checked to keep the documents of a block apart")
    border = end_of_document(backbone)
    if name == "causal-lm":
        return lambda block, random: causal_lm(block, 0, border if isolate else None)
    if name == "mlm":
        tokenizer = backbone.tokenizer
        if tokenizer.mask_token_id is None:
            raise InputError(f"{backbone.name}: the tokenizer has no mask token")
        starts = word_starts(backbone) if whole_word else None
        before, after, plain = backbone.text.before, backbone.text.after, list(backbone.ordinary_tokens())
        mask = int(tokenizer.mask_token_id)
        return lambda block, random: masked_lm(
            block, random, share, mask, plain, before, after, starts, border, isolate
        )
    if name == "span-corruption":
        sentinels = _sentinels(backbone)
        end, start = _end(backbone), int(backbone.model.config.decoder_start_token_id)
        return lambda block, random: span_corruption(block, random, share, mean_span, sentinels, end, start)
    if backbone.family == "causal":
        return lambda block, random: causal_lm(block, _cut(len(block), random))
    end, start = _end(backbone), int(backbone.model.config.decoder_start_token_id)
    return lambda block, random: prefix_lm(block, _cut(len(block), random), end, start)


def rehearsing(make: Make, earlier: Sequence[Make], share: float) -> Make:
    """`make`, but a block is asked as one of the `earlier` objectives (each as likely) with the chance `share`."""
    if not share:
        return make

    def drawn(block: Sequence[int], random: np.random.Generator) -> Example:
        if random.random() < share:
            return earlier[int(random.integers(len(earlier)))](block, random)
        return make(block, random)

    return drawn


def causal_lm(block: Sequence[int], prefix: int, border: int | None = None) -> Example:
    """Every token behind the first `max(1, prefix)` is asked of what stands before it.

    With `border` the documents it ends are kept apart (`View.branches`): each sees itself alone, its positions start at
    0, and its first token is not asked.
    """
    view = View(list(block), [-1] * len(block))
    numbers = documents_in(block, border) if border is not None else [0] * len(block)
    view.asks = [
        Ask(0, i - 1, token, 0) for i, token in enumerate(block) if i >= max(1, prefix) and numbers[i] == numbers[i - 1]
    ]
    view.branches = numbers if border is not None else None
    return Example([view])


def span_corruption(
    block: Sequence[int],
    random: np.random.Generator,
    share: float,
    mean_span: float,
    sentinels: Sequence[int],
    end: int,
    start: int,
) -> Example:
    """T5's denoising (Raffel et al. 2020, §3.1.4): spans are replaced by sentinels, the decoder writes what they hide.

    Encoder: text with a sentinel for each span, `</s>`. Decoder: sentinel, hidden tokens, next sentinel …, `</s>`.
    """
    noise = spans_noise_mask(len(block), random, share, mean_span)
    source: list[int] = []
    target: list[int] = []
    spans = 0
    for i, token in enumerate(block):
        if not noise[i]:
            source.append(token)
            continue
        if i == 0 or not noise[i - 1]:
            if spans == len(sentinels):
                raise InputError(f"span-corruption: more than {spans} spans; shorten training.max_tokens")
            source.append(sentinels[spans])
            target.append(sentinels[spans])
            spans += 1
        target.append(token)
    return _from_encoder([*source, end], [*target, end], start)


def spans_noise_mask(length: int, random: np.random.Generator, share: float, mean_span: float) -> np.ndarray:
    """Which tokens are hidden, bool [length]: T5's `random_spans_noise_mask`.

    round(share · length) tokens in round(that / mean_span) spans; hidden and open spans take turns, an open one first,
    and their lengths are uniform among all ways of cutting both into so many parts.
    """
    length = max(length, 2)
    hidden = min(max(round(length * share), 1), length - 1)
    spans = min(max(round(hidden / mean_span), 1), length - hidden)
    lengths = zip(_parts(length - hidden, spans, random), _parts(hidden, spans, random))
    mask = [value for open_, noise in lengths for value in [False] * open_ + [True] * noise]
    return np.array(mask, dtype=bool)


def _parts(total: int, count: int, random: np.random.Generator) -> list[int]:
    """`total` cut into `count` parts of at least one, all ways equally likely."""
    edges = sorted(random.choice(total - 1, size=count - 1, replace=False).tolist()) if count > 1 else []
    return [b - a for a, b in pairwise([0, *(edge + 1 for edge in edges), total])]


def prefix_lm(block: Sequence[int], cut: int, end: int, start: int) -> Example:
    """LM adaptation (Raffel et al. 2020 §3.2.3; Lester et al. 2021 §3.2): left to the encoder, right from the decoder.

    The block's end is not the text's, so no end token is asked behind it; those of whole texts stand in the block.
    """
    return _from_encoder([*block[:cut], end], list(block[cut:]), start)


def _cut(length: int, random: np.random.Generator) -> int:
    """A uniform point that leaves a token on either side."""
    return 1 + int(random.integers(length - 1))


def _from_encoder(source: list[int], target: list[int], start: int) -> Example:
    view = View(source, [-1] * len(source))
    view.asks = [Ask(0, i, token, 0) for i, token in enumerate(target)]
    decoder = [start, *target[:-1]]
    view.decoders = [(decoder, [-1] * len(decoder))]
    return Example([view])


def _sentinels(backbone: Backbone) -> list[int]:
    added = backbone.tokenizer.get_added_vocab()
    found = [added[name] for i in range(1000) if (name := f"<extra_id_{i}>") in added]
    if not found:
        raise InputError(
            f"objective span-corruption: the tokenizer of {backbone.name} has no sentinels (<extra_id_0> …)"
        )
    return found


def _end(backbone: Backbone) -> int:
    if backbone.tokenizer.eos_token_id is None:
        raise InputError(f"{backbone.name}: the tokenizer has no end-of-text token")
    return int(backbone.tokenizer.eos_token_id)
