"""One text for many inputs: a beam search in which a sequence-to-sequence model reads all inputs at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tunewright.backbones.seq2seq import Seq2SeqBackbone
from tunewright.errors import InputError
from tunewright.search.words import texts_of

AT_ONCE = 256  # decoder rows in one forward pass


@dataclass(frozen=True)
class Filled:
    """What stands at the sentinels, one list of ids each, and its joint log probability."""

    parts: tuple[tuple[int, ...], ...]
    log_prob: float


@dataclass(frozen=True)
class _Hypothesis:
    """`ids` follow the first sentinel, ends of parts included; `done`: so many parts have ended."""

    ids: tuple[int, ...]
    log_prob: float
    done: int


def sentinels(backbone: Seq2SeqBackbone, parts: int) -> list[int]:
    """`<extra_id_0>` … `<extra_id_PARTS>`. Raises InputError for a model without them."""
    found = [backbone.sentinel(number) for number in range(parts + 1)]
    known = [token for token in found if token is not None]
    if len(known) != len(found):
        raise InputError(f"lm-bff: {backbone.name} has no sentinels (<extra_id_0> …): a T5-like model wanted")
    return known


def content_tokens(backbone: Seq2SeqBackbone) -> list[int]:
    """What may stand in a part: ordinary tokens but blank ones and rows of four or more dots, as in LM-BFF's code."""
    ids = list(backbone.ordinary_tokens())
    texts = [text.strip() for text in texts_of(backbone, [[i] for i in ids])]
    return [i for i, text in zip(ids, texts) if text and (text.strip(".") or len(text) < 4)]


@torch.no_grad()
def joint_beam(
    backbone: Seq2SeqBackbone,
    inputs: Sequence[Sequence[int]],
    *,
    beam: int,
    max_length: int,
    parts: int = 2,
    content: Sequence[int] | None = None,
) -> list[Filled]:
    """What fills the sentinels of all inputs [rows of ids] together, best first (Gao et al. 2021, section 5.2).

    At each step the raw logits are averaged over the inputs, then turned into log probabilities; a hypothesis's is
    their sum, not divided by its length. Part k ends with sentinel k (the last one with the end token as well), and
    finished hypotheses compete with the others for the `beam` places. `max_length` counts all generated tokens,
    the ends of parts included. As in the authors' code, blank tokens, long rows of dots and two full stops in a row
    are left out, after the softmax. Other than there, the first sentinel is given, not generated; other special
    tokens are left out; what has not ended by `max_length` is dropped. Raises InputError for a model without
    sentinels.
    """
    ends = sentinels(backbone, parts)
    start = backbone.model.config.decoder_start_token_id
    stops = _full_stops(backbone)
    allowed = torch.zeros(backbone.vocabulary, dtype=torch.bool, device=backbone.device)
    allowed[list(content_tokens(backbone) if content is None else content)] = True
    encoded, mask = _encoded(backbone, inputs)
    best = [_Hypothesis((), 0.0, 0)]
    for _ in range(max_length):
        open_ones = [one for one in best if one.done < parts]
        if not open_ones:
            break
        pool = [one for one in best if one.done == parts]
        prefixes = [[start, ends[0], *one.ids] for one in open_ones]  # all as long as there were steps
        for one, logits in zip(open_ones, _mean_logits(backbone, encoded, mask, prefixes)):
            log_probs = torch.log_softmax(logits, -1)  # [V]
            last = one.done == parts - 1
            finish = {ends[one.done + 1], *([backbone.tokenizer.eos_token_id] if last else [])}
            able = allowed.clone()
            able[list(finish)] = True
            if one.ids and one.ids[-1] in stops:
                able[stops] = False
            values, tokens = log_probs.masked_fill(~able, -torch.inf).topk(min(beam, int(able.sum())))
            for value, token in zip(values.tolist(), tokens.tolist()):
                done = one.done + (token in finish)
                pool.append(_Hypothesis((*one.ids, token), one.log_prob + value, done))
        best = sorted(pool, key=lambda one: -one.log_prob)[:beam]
    marks = {*ends, backbone.tokenizer.eos_token_id}
    return [Filled(_split(one.ids, marks), one.log_prob) for one in best if one.done == parts]


def _full_stops(backbone: Seq2SeqBackbone) -> list[int]:
    ids = list(backbone.ordinary_tokens())
    return [i for i, text in zip(ids, texts_of(backbone, [[i] for i in ids])) if text.strip() == "."]


def _split(ids: Sequence[int], marks: set[int]) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = [[]]
    for token in ids:
        if token in marks:
            found.append([])
        else:
            found[-1].append(token)
    return tuple(tuple(part) for part in found[:-1])


def _encoded(backbone: Seq2SeqBackbone, inputs: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Encoder states [R, T, d] of the inputs, and which of them are real [R, T]."""
    width = max(map(len, inputs))
    ids = torch.tensor([[*row, *[backbone.pad] * (width - len(row))] for row in inputs], device=backbone.device)
    lengths = torch.tensor([len(row) for row in inputs], device=backbone.device)
    mask = (torch.arange(width, device=backbone.device) < lengths.unsqueeze(1)).long()
    states = [
        backbone.model.get_encoder()(input_ids=i, attention_mask=m).last_hidden_state
        for i, m in zip(ids.split(AT_ONCE), mask.split(AT_ONCE))
    ]
    return torch.cat(states), mask


def _mean_logits(backbone: Seq2SeqBackbone, encoded: Tensor, mask: Tensor, prefixes: Sequence[Sequence[int]]) -> Tensor:
    """Logits of the token after each of the prefixes [H, U], the mean over all inputs: [H, V], fp32."""
    total = torch.zeros(len(prefixes), backbone.vocabulary, device=backbone.device)
    ids = torch.tensor(prefixes, device=backbone.device)
    for states, seen in zip(encoded.split(AT_ONCE), mask.split(AT_ONCE)):
        rows = len(states)  # R
        together = max(1, AT_ONCE // rows)  # h
        for at in range(0, len(prefixes), together):
            part = ids[at : at + together]
            out = backbone.model.get_decoder()(
                input_ids=part.repeat_interleave(rows, 0),  # [h · R, U]
                encoder_hidden_states=states.repeat(len(part), 1, 1),
                encoder_attention_mask=seen.repeat(len(part), 1),
                use_cache=False,
            ).last_hidden_state
            logits = backbone.logits(out[:, -1]).float()  # [h · R, V]
            total[at : at + together] += logits.view(len(part), rows, -1).sum(1)
    return total / len(encoded)
