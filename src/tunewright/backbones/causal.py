"""GPT- and Llama-like models."""

from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from tunewright.backbones.base import Backbone, Encoded, Family
from tunewright.backbones.batch import Batch
from tunewright.backbones.common_start import states_behind, worth_sharing
from tunewright.backbones.deep import prefix_cache
from tunewright.backbones.examples import Ask, Example, Purpose, View
from tunewright.backbones.greedy import write_greedily
from tunewright.backbones.heads import vocabulary_head
from tunewright.backbones.pieces import AnswerPlace, Separator, Slots, leading_slots
from tunewright.backbones.sampling import GREEDY, Sampling, drawing
from tunewright.backbones.tokens import Run
from tunewright.backbones.words import word_asks
from tunewright.errors import InputError
from tunewright.prompts.layout import SlotLayout


class CausalBackbone(Backbone):
    """BOS where the tokenizer itself adds one, the prompt, the answer, the end token."""

    family: ClassVar[Family] = "causal"
    trains_turns: ClassVar[bool] = True

    def assemble(self, encoded: Encoded, layout: SlotLayout, purpose: Purpose) -> tuple[Example, int]:
        """See Backbone. The answer must be last; the choices of a row are branches behind one context."""
        ids, soft, starts = self._context(encoded)
        prompt, answers = encoded.prompt, encoded.answers
        if purpose == "answer":
            view = View(list(ids), list(soft), self._earlier_asks(encoded, ids, starts))
            tokens = [*answers[0], self.end_token(prompt.chat)]
            for i, token in enumerate(tokens):
                view.asks.append(Ask(0, len(ids) - 1 + i, token, 0))
            view.ids += tokens[:-1]
            view.soft += [-1] * (len(tokens) - 1)
            return Example([view], gold=-1 if prompt.gold is None else prompt.gold), len(view.ids) + 1
        if purpose in ("words", "word-ends"):
            asks = word_asks(prompt, encoded.pieces, starts, self.text, ends=purpose == "word-ends")
            return Example([View(ids, soft, asks)], unread=len(prompt.words) - len(asks)), len(ids)
        if purpose != "choices":
            wanted = [Ask(0, len(ids) - 1, 0, 0)] if purpose == "state" else []
            return Example([View(ids, soft, wanted)], gold=-1 if prompt.gold is None else prompt.gold), len(ids)
        if self.shares_context:
            views = [_tree(ids, soft, answers)]
        else:
            views = [_alone(ids, soft, answer, choice) for choice, answer in enumerate(answers)]
        example = Example(
            views,
            choices=len(answers),
            choice_labels=prompt.choice_labels or tuple(range(len(answers))),
            choice_bytes=tuple(len(text.encode()) for text in prompt.choices or ()),
            gold=-1 if prompt.gold is None else prompt.gold,
        )
        return example, len(ids) + max(map(len, answers))

    def _context(self, encoded: Encoded) -> tuple[list[int], list[int], list[int]]:
        """Ids and soft positions of what stands before the answer, and where each run starts."""
        lead, pieces = leading_slots(encoded.pieces)
        if not isinstance(pieces[-1], AnswerPlace):
            raise InputError("a causal model reads left to right: {{ answer }} must be the last thing in the template")
        ids: list[int] = []
        runs = iter(encoded.runs)
        slots: list[tuple[int, int]] = []
        starts: list[int] = []
        for piece in pieces[:-1]:
            if isinstance(piece, Slots):
                if piece.decoder:
                    raise InputError("a causal model has no decoder of its own: soft(…, side='decoder') has no place")
                slots += [(len(ids) + i, row) for i, row in enumerate(piece.rows)]
                ids += [self.pad] * len(piece.rows)
            elif isinstance(piece, Separator):
                ids += self.text.ids_of_words("\n")
            else:
                starts.append(len(ids))
                ids += next(runs)
        written = isinstance(pieces[0], Run) and ids[: len(self.text.before)] == self.text.before
        before = [] if written else self.text.before  # one BOS, never two (a chat template may write its own)
        ids = [*[self.pad] * len(lead), *before, *ids]
        soft = [*lead, *[-1] * (len(ids) - len(lead))]
        for position, row in slots:
            soft[position + len(lead) + len(before)] = row
        if not ids:
            raise InputError("the prompt has no tokens before the answer")
        return ids, soft, [start + len(lead) + len(before) for start in starts]

    def _earlier_asks(self, encoded: Encoded, ids: list[int], starts: list[int]) -> list[Ask]:
        """The tokens of earlier answers that are trained, each with the end of its turn where a chat writes one."""
        end = self.end_token(True) if encoded.prompt.chat else None
        asks = []
        runs = [piece for piece in encoded.pieces if isinstance(piece, Run)]
        for run, start, mine in zip(runs, starts, encoded.runs):
            if not run.trained:
                continue
            stop = start + len(mine)
            stop += stop < len(ids) and ids[stop] == end
            asks += [Ask(0, i - 1, ids[i], 0) for i in range(start, stop)]
        return asks

    def end_token(self, chat: bool) -> int:
        """What ends an answer: the turn's end in a chat, else the end of text."""
        if chat and self._turn_end is not None:
            return self._turn_end
        if self.tokenizer.eos_token_id is None:
            raise InputError(f"{self.name}: the tokenizer has no end-of-text token")
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def _turn_end(self) -> int | None:
        ids = self.tokenizer(self.frame().end, add_special_tokens=False)["input_ids"]
        special = set(self.tokenizer.get_added_vocab().values())
        return int(next((i for i in ids if i in special), ids[0])) if ids else None  # Llama 2: a space before `</s>`

    @property
    def shares_context(self) -> bool:
        """Whether the model takes a mask of its own, so that the choices of a row share one context."""
        return not self.plain and self.takes_masks

    @property
    def takes_masks(self) -> bool:
        """Whether the architecture was checked to see what a mask of our own shows it, and nothing else."""
        config = self.model.config
        return getattr(config, "sliding_window", None) is None and config.model_type in TREE_READY

    @property
    def keeps_apart(self) -> bool:
        """By the same mask."""
        return self.shares_context

    def states(self, batch: Batch, table: Tensor | None, deep: Tensor | None = None) -> Tensor:
        """[R, T, d]. No mask: real tokens stand left of the padding and never look right."""
        x = self.embed(batch.ids, batch.soft, table)  # [R, T, d]
        if deep is None and self.shares_context and (start := worth_sharing(batch)):
            return states_behind(self.model, batch, x, start)
        past: dict[str, Any] = {}
        if deep is not None:
            past = {"past_key_values": prefix_cache(deep, len(x), x.dtype)}
        if batch.tree is None:
            return self.model.base_model(inputs_embeds=x, use_cache=False, **past).last_hidden_state
        assert batch.positions is not None
        before = 0 if deep is None else len(deep)  # P
        bias = torch.zeros(batch.tree.shape, dtype=x.dtype, device=x.device)
        bias.masked_fill_(~batch.tree, torch.finfo(x.dtype).min)  # [R, 1, T, T]
        return self.model.base_model(
            inputs_embeds=x,
            attention_mask=F.pad(bias, (before, 0)),  # [R, 1, T, P + T]: everyone sees the prefix
            position_ids=batch.positions + before,
            use_cache=False,
            **past,
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
        """The batch is left-padded, so that slots and text stand next to the answer."""
        x = self.embed(batch.ids, batch.soft, table)  # [R, T, d]
        ends = {self.tokenizer.eos_token_id, self.end_token(False)}
        if self.tokenizer.chat_template:
            ends.add(self.end_token(True))
        ends.discard(None)
        if (
            sampling is None and self.shares_context
        ):  # other architectures' caches were not checked to be cut and shared
            cache = DynamicCache(config=self.model.config) if deep is None else prefix_cache(deep, 1, x.dtype)
            out: Any = write_greedily(self.model, batch, x, cache, ends, max_new_tokens)
        else:
            out = self._by_transformers(x, batch.mask.long(), deep, ends, max_new_tokens, sampling)
        return [text.strip() for text in self.tokenizer.batch_decode(out, skip_special_tokens=True)]

    def _by_transformers(
        self, x: Tensor, mask: Tensor, deep: Tensor | None, ends: set[int], most: int, sampling: Sampling | None
    ) -> Tensor:
        """Tokens [R, at most `most`] by transformers: drawn, or the likeliest."""
        past: dict[str, Any] = {}
        if deep is not None:
            past = {"past_key_values": prefix_cache(deep, len(x), x.dtype)}
            # `generate` wants vectors and mask of all it has read, and cuts off those that stand in the cache.
            x, mask = F.pad(x, (0, 0, len(deep), 0)), F.pad(mask, (len(deep), 0), value=1)
        with drawing(sampling, self.device):
            return self.model.generate(  # type: ignore[operator]
                inputs_embeds=x,
                attention_mask=mask,
                max_new_tokens=most,
                num_beams=1,
                eos_token_id=sorted(ends),
                pad_token_id=self.pad,
                **(sampling.settings() if sampling else GREEDY),
                **past,
            )


# Architectures whose choices were checked to score the same in one row as apart (tests/backbones).
TREE_READY = frozenset({"llama", "gpt2", "opt", "qwen2", "qwen3", "smollm3", "gpt_neox", "mistral", "phi"})


def _tree(ids: list[int], soft: list[int], answers: list[list[int]]) -> View:
    """All choices behind one context: each token sees the context and its own choice only."""
    view = View(list(ids), list(soft))
    branches = [-1] * len(ids)
    for choice, tokens in enumerate(answers):
        view.asks.append(Ask(0, len(ids) - 1, tokens[0], choice))
        for i, token in enumerate(tokens[1:]):
            view.asks.append(Ask(0, len(view.ids), token, choice))
            view.ids.append(tokens[i])
            view.soft.append(-1)
            branches.append(choice)
    if len(view.ids) > len(ids):
        view.branches = branches
    return view


def _alone(ids: list[int], soft: list[int], tokens: list[int], choice: int) -> View:
    asks = [Ask(0, len(ids) - 1 + i, token, choice) for i, token in enumerate(tokens)]
    return View([*ids, *tokens[:-1]], [*soft, *[-1] * (len(tokens) - 1)], asks)
