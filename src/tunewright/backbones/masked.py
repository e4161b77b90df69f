"""BERT- and RoBERTa-like models."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewright.backbones.base import Backbone, Encoded, Family
from tunewright.backbones.batch import Batch
from tunewright.backbones.deep import prefix_cache
from tunewright.backbones.examples import Ask, Example, Purpose, View
from tunewright.backbones.heads import vocabulary_head
from tunewright.backbones.pieces import AnswerPlace, Separator, Slots, leading_slots
from tunewright.backbones.sampling import Sampling
from tunewright.backbones.words import word_asks
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout


class MaskedBackbone(Backbone):
    """CLS, the prompt, SEP; the answer is k masks, k = the tokens of the label word being asked.

    Choices of different lengths are each scored with their own number of masks, all masks in parallel
    (Schick & Schütze 2021 fill them one after the other).
    """

    family: ClassVar[Family] = "masked"

    def assemble(self, encoded: Encoded, layout: SlotLayout, purpose: Purpose) -> tuple[Example, int]:
        """See Backbone. A view for each number of masks."""
        prompt, answers = encoded.prompt, encoded.answers
        gold = -1 if prompt.gold is None else prompt.gold
        if purpose == "generate":
            raise InputError(f"{self.name}: a masked language model fills in label words, it cannot generate text")
        if purpose == "pool":
            view, _, _ = self._view(encoded, 0)
            return Example([view], gold=gold), len(view.ids)
        if purpose in ("words", "word-ends"):
            view, _, starts = self._view(encoded, 0)
            view.asks = word_asks(prompt, encoded.pieces, starts, self.text, ends=purpose == "word-ends")
            return Example([view], unread=len(prompt.words) - len(view.asks)), len(view.ids)
        if purpose == "state":
            view, first, _ = self._view(encoded, 1)
            view.asks.append(Ask(0, first, 0, 0))
            return Example([view], gold=gold), len(view.ids)
        views = []
        for masks in sorted({len(answer) for answer in answers}):
            view, first, _ = self._view(encoded, masks)
            for choice, answer in enumerate(answers):
                if len(answer) == masks:
                    view.asks += [Ask(0, first + i, token, choice) for i, token in enumerate(answer)]
            views.append(view)
        length = max(len(view.ids) for view in views)
        if purpose == "answer":
            return Example(views, gold=gold), length
        example = Example(
            views,
            choices=len(answers),
            choice_labels=prompt.choice_labels or tuple(range(len(answers))),
            choice_bytes=tuple(len(text.encode()) for text in prompt.choices or ()),
            gold=gold,
        )
        return example, length

    def _view(self, encoded: Encoded, masks: int) -> tuple[View, int, list[int]]:
        """The ids with `masks` mask tokens at the answer, where the first of them stands, and where each run starts."""
        mask = self.tokenizer.mask_token_id
        if mask is None:
            raise InputError(f"{self.name}: the tokenizer has no mask token")
        lead, pieces = leading_slots(encoded.pieces)
        ids = [*[self.pad] * len(lead), *self.text.before]
        soft = [*lead, *[-1] * len(self.text.before)]
        types = [0] * len(ids)
        first, second_text = 0, 0
        runs = iter(encoded.runs)
        starts: list[int] = []
        for piece in pieces:
            rows: list[int] = []
            if isinstance(piece, Slots):
                if piece.decoder:
                    raise InputError("a masked model has no decoder: soft(…, side='decoder') has no place")
                new, rows = [self.pad] * len(piece.rows), list(piece.rows)
            elif isinstance(piece, AnswerPlace):
                first, new = len(ids), [mask] * masks
            elif isinstance(piece, Separator):
                new = list(self.text.between)
            else:
                starts.append(len(ids))
                new = next(runs)
            ids += new
            soft += rows or [-1] * len(new)
            types += [second_text] * len(new)
            if isinstance(piece, Separator) and not piece.earlier:
                second_text = 1
        ids += self.text.after
        soft += [-1] * len(self.text.after)
        types += [second_text] * len(self.text.after)
        return View(ids, soft, types=types if second_text and self._has_types() else None), first, starts

    def _has_types(self) -> bool:
        return int(getattr(self.model.config, "type_vocab_size", 0) or 0) > 1

    def positions(self) -> int:
        """RoBERTa's positions start behind its pad id."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1_000_000) - self._first_position()

    @property
    def keeps_apart(self) -> bool:
        """Those that were checked (tests/pretraining)."""
        return self.model.config.model_type in {"bert", "roberta"}

    def _first_position(self) -> int:
        return self.pad + 1 if self.model.config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0

    def states(self, batch: Batch, table: Tensor | None, deep: Tensor | None = None) -> Tensor:
        """[R, T, d]."""
        x = self.embed(batch.ids, batch.soft, table)
        mask = batch.mask.long()  # [R, T]
        extra: dict[str, Any] = {"token_type_ids": batch.types} if batch.types is not None else {}
        if deep is not None:
            first = self._first_position() + len(deep)  # said, for RoBERTa counts the past for ids only
            extra["position_ids"] = torch.arange(first, first + x.shape[1], device=x.device).unsqueeze(0)  # [1, T]
            extra["past_key_values"] = prefix_cache(deep, len(x), x.dtype)
            seen = F.pad(batch.mask, (len(deep), 0), value=True)[:, None, None]  # [R, 1, 1, P + T]
            mask = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill(~seen, torch.finfo(x.dtype).min)
            mask = mask.expand(-1, -1, x.shape[1], -1)  # [R, 1, T, P + T]
        if batch.tree is not None:
            assert deep is None and batch.positions is not None
            seen = batch.tree | batch.tree.transpose(-1, -2)  # [R, 1, T, T]: each document sees itself alone
            mask = torch.zeros(seen.shape, dtype=x.dtype, device=x.device).masked_fill(~seen, torch.finfo(x.dtype).min)
            extra["position_ids"] = batch.positions + self._first_position()
        return self.model.base_model(inputs_embeds=x, attention_mask=mask, **extra).last_hidden_state

    def logits(self, states: Tensor) -> Tensor:
        """[N, d] → [N, V]."""
        return vocabulary_head(self.model, states)

    def generate(
        self,
        batch: Batch,
        table: Tensor | None,
        max_new_tokens: int,
        deep: Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> list[str]:
        """Never reached: encoding for generation is refused first."""
        raise InputError(f"{self.name}: a masked language model cannot generate text")
