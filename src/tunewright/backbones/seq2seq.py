"""T5- and BART-like models."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from tunewright.backbones.base import Backbone, Encoded, Family
from tunewright.backbones.batch import Batch
from tunewright.backbones.constant_encodings import ConstantEncodings
from tunewright.backbones.deep import decoder_cache
from tunewright.backbones.examples import Ask, Example, Purpose, View
from tunewright.backbones.heads import vocabulary_head
from tunewright.backbones.pieces import AnswerPlace, Piece, Separator, Slots, answer_at, leading_slots
from tunewright.backbones.sampling import GREEDY, Sampling, drawing
from tunewright.backbones.shared_start import can_share, shared_states
from tunewright.backbones.tokens import Run
from tunewright.backbones.words import word_asks
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout


class Seq2SeqBackbone(Backbone):
    """The prompt and EOS go into the encoder, the answer and EOS come from the decoder.

    An answer in mid-text becomes a sentinel where the model has them (T5); the target is then
    `<extra_id_0> answer <extra_id_1>` as in its pretraining.
    """

    family: ClassVar[Family] = "seq2seq"

    one_stream: ClassVar[bool] = False
    encodings: ConstantEncodings | None = None  # while training, where rows come again

    def whole(self, pieces: list[Piece], answer: str) -> Run:
        """The decoder starts afresh: an answer is tokenised by itself."""
        return Run(((answer.strip(), True),))

    def answer_offset(self, pieces: list[Piece], runs: list[list[int]]) -> int:
        """Nothing stands before the answer in the decoder."""
        return 0

    def sentinel(self, number: int) -> int | None:
        """The id of `<extra_id_NUMBER>`, None where the model has none."""
        return self.tokenizer.get_added_vocab().get(f"<extra_id_{number}>")

    def assemble(self, encoded: Encoded, layout: SlotLayout, purpose: Purpose) -> tuple[Example, int]:
        """See Backbone. One encoder row; a decoder row for each answer."""
        prompt, (lead, pieces) = encoded.prompt, leading_slots(encoded.pieces)
        behind = pieces[answer_at(pieces) + 1 :]
        middle = any(not (isinstance(piece, Slots) and piece.decoder) for piece in behind)
        first, second = self.sentinel(0), self.sentinel(1)
        cloze = middle and first is not None and second is not None
        ids: list[int] = []
        soft: list[int] = []
        decoder_slots: list[int] = []
        runs = iter(encoded.runs)
        starts: list[int] = []
        for piece in pieces:
            new: list[int] = []
            if isinstance(piece, Slots):
                if piece.decoder:
                    decoder_slots += piece.rows
                    continue
                ids += [self.pad] * len(piece.rows)
                soft += piece.rows
                continue
            if isinstance(piece, AnswerPlace):
                new = [first] if cloze and first is not None else []
            elif isinstance(piece, Separator):
                new = self.text.between or self.text.ids_of_words("\n")
            else:
                starts.append(len(lead) + len(self.text.before) + len(ids))
                new = next(runs)
            ids += new
            soft += [-1] * len(new)
        ids = [*[self.pad] * len(lead), *self.text.before, *ids, *self.text.after]
        soft = [*lead, *[-1] * len(self.text.before), *soft, *[-1] * len(self.text.after)]
        start = self.model.config.decoder_start_token_id
        if start is None:
            raise InputError(f"{self.name}: the model's configuration names no decoder_start_token_id")
        opening = [first] if cloze and first is not None else self.text.before  # BART writes `</s><s>answer</s>`
        head_ids = [*[self.pad] * len(decoder_slots), start, *opening]
        head_soft = [*decoder_slots, *[-1] * (len(head_ids) - len(decoder_slots))]
        end = second if cloze and second is not None else self.tokenizer.eos_token_id
        assert end is not None
        view = View(ids, soft)
        if purpose in ("words", "word-ends"):  # the encoder alone is read
            view.asks = word_asks(prompt, encoded.pieces, starts, self.text, ends=purpose == "word-ends")
            return Example([view], unread=len(prompt.words) - len(view.asks)), len(ids)
        gold = -1 if prompt.gold is None else prompt.gold
        for choice, answer in enumerate(encoded.answers):
            tokens = [*answer, end] if purpose == "answer" else answer
            at = len(head_ids) - 1
            view.asks += [Ask(choice, at + i, token, choice) for i, token in enumerate(tokens)]
            view.decoders.append(([*head_ids, *tokens[:-1]], [*head_soft, *[-1] * (len(tokens) - 1)]))
        if purpose == "choices":
            example = Example(
                [view],
                choices=len(encoded.answers),
                choice_labels=prompt.choice_labels or tuple(range(len(encoded.answers))),
                choice_bytes=tuple(len(text.encode()) for text in prompt.choices or ()),
                gold=gold,
            )
        else:
            if purpose != "answer":
                view.decoders.append((head_ids, head_soft))
            if purpose == "state":
                view.asks.append(Ask(0, len(head_ids) - 1, 0, 0))
            example = Example([view], gold=gold)
        return example, max(len(ids), *(len(row) for row, _ in view.decoders))

    def collate(self, examples: Sequence[Example], side: Literal["left", "right"] = "right") -> Batch:
        """Padded on the right, always: BART counts the encoder's positions from the left, padding included."""
        return super().collate(examples, "right")

    @property
    def reader(self) -> nn.Module:
        """The encoder."""
        encoder: nn.Module = self.model.get_encoder()
        return encoder

    def encoder_states(self, batch: Batch, table: Tensor | None) -> Tensor:
        """[R, T, d]."""
        if self.encodings is not None and (kept := self.encodings.states(batch)) is not None:
            return kept
        x = self.embed(batch.ids, batch.soft, table)
        return self.model.get_encoder()(inputs_embeds=x, attention_mask=batch.mask.long()).last_hidden_state

    def read_into(self, cache: DynamicCache, x: Tensor) -> None:
        """The decoder's own attention, once the encoder has read the same."""
        encoded = self.model.get_encoder()(inputs_embeds=x).last_hidden_state
        past = EncoderDecoderCache(cache, DynamicCache())
        self.model.get_decoder()(inputs_embeds=x, encoder_hidden_states=encoded, past_key_values=past, use_cache=True)

    def states(self, batch: Batch, table: Tensor | None, deep: Tensor | None = None) -> Tensor:
        """Decoder states [D, U, d]; the encoder reads each row once, however many answers are asked."""
        encoded = self.encoder_states(batch, table)  # [R, T, d]
        assert batch.decoder_ids is not None and batch.decoder_soft is not None and batch.decoder_of is not None
        x = self.embed(batch.decoder_ids, batch.decoder_soft, table)  # [D, U, d]
        if not self.plain and can_share(self.model.config.model_type, batch):
            past = None if deep is None else decoder_cache(deep, len(encoded), x.dtype)
            return shared_states(self.model.get_decoder(), encoded, batch.mask.long(), batch.decoder_of, x, past)
        return self.model.get_decoder()(
            inputs_embeds=x,
            encoder_hidden_states=encoded[batch.decoder_of],
            encoder_attention_mask=batch.mask[batch.decoder_of].long(),
            past_key_values=None if deep is None else decoder_cache(deep, len(x), x.dtype),
            use_cache=False,
        ).last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """[N, d] → [N, V]."""
        return vocabulary_head(self.model, states)

    @torch.no_grad()
    def generate(
        self,
        batch: Batch,
        table: Tensor | None,
        max_new_tokens: int,
        deep: Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> list[str]:
        """The rows whose decoder starts in the same form (slots, sentinel) are generated together."""
        encoded = self.encoder_states(batch, table)
        assert batch.decoder_soft is not None and batch.decoder_mask is not None
        forms = list(zip((batch.decoder_soft >= 0).sum(1).tolist(), batch.decoder_mask.sum(1).tolist()))
        texts = [""] * len(forms)
        for form in sorted(set(forms)):
            rows = [i for i, other in enumerate(forms) if other == form]
            for i, text in zip(
                rows, self._generate_alike(batch, encoded, table, rows, *form, max_new_tokens, deep, sampling)
            ):
                texts[i] = text
        return texts

    def _generate_alike(
        self,
        batch: Batch,
        encoded: Tensor,
        table: Tensor | None,
        rows: list[int],
        slots: int,
        length: int,
        max_new_tokens: int,
        deep: Tensor | None,
        sampling: Sampling | None,
    ) -> list[str]:
        """Decoder slots are read first (their keys and values are the prefix), then the start token."""
        assert batch.decoder_ids is not None and batch.decoder_soft is not None
        ids, soft = batch.decoder_ids[rows, :length], batch.decoder_soft[rows, :length]  # [rows, length]
        encoded, mask = encoded[rows], batch.mask[rows].long()
        past = None if deep is None else decoder_cache(deep, len(rows), encoded.dtype)
        if slots:
            past = self.model.get_decoder()(
                inputs_embeds=self.embed(ids[:, :slots], soft[:, :slots], table),
                encoder_hidden_states=encoded,
                encoder_attention_mask=mask,
                past_key_values=past,
                use_cache=True,
            ).past_key_values
        start = ids[:, slots:]
        ends = [self.tokenizer.eos_token_id, self.sentinel(1)]
        with drawing(sampling, self.device):
            out = self.model.generate(  # type: ignore[operator]
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
                attention_mask=mask,
                decoder_input_ids=start,
                max_new_tokens=max_new_tokens,
                num_beams=1,
                eos_token_id=[end for end in ends if end is not None],
                pad_token_id=self.pad,
                **(sampling.settings() if sampling else GREEDY),
                **({"past_key_values": past} if past is not None else {}),
            )
        return [
            text.strip() for text in self.tokenizer.batch_decode(out[:, start.shape[1] :], skip_special_tokens=True)
        ]
