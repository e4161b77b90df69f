"""What every backbone does: the one place that makes ids, soft positions and what is asked of the model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from tunewright.backbones.batch import Batch, collate
from tunewright.backbones.chat import ChatFrame, EarlierTurns, chat_frame, earlier_turns
from tunewright.backbones.deep import read_cache
from tunewright.backbones.examples import Example, Purpose
from tunewright.backbones.pieces import AnswerPlace, Piece, answer_at, pieces_of
from tunewright.backbones.sampling import Sampling
from tunewright.backbones.shorten import TooLong, shortened
from tunewright.backbones.tokens import Run, TextEncoder
from tunewright.errors import InputError
from tunewright.prompts.demonstrations import most_useful
from tunewright.prompts.layout import SlotLayout
from tunewright.prompts.segments import Prompt

Family = Literal["causal", "seq2seq", "masked"]


class Encoded:
    """A prompt's pieces with their ids: what a family assembles into an example."""

    def __init__(self, prompt: Prompt, pieces: list[Piece], runs: list[list[int]], answers: list[list[int]]) -> None:
        self.prompt, self.pieces = prompt, pieces
        self.runs = runs  # ids of each Run among the pieces, in order
        self.answers = answers  # ids of each answer text asked for, without an end token


class Backbone(ABC):
    """A pretrained language model with its tokenizer.

    Attributes: `name`, `model`, `text` (the tokenizer's encoder), `width` (d), `vocabulary` (V).
    """

    family: ClassVar[Family]
    one_stream: ClassVar[bool] = True  # new tokens stand behind the prompt and share its positions
    trains_turns: ClassVar[bool] = False  # answers inside the prompt can have a part in the loss

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.text = TextEncoder(tokenizer)
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
        embeddings: Any = model.get_input_embeddings()
        self.vocabulary, self.width = (int(size) for size in embeddings.weight.shape)
        self.plain = False  # without the fast paths, whose results are the same
        self.headless = False  # a masked model whose files hold no vocabulary head
        self.own_weights = dict(model.named_parameters())  # before anything is put into the model
        self._frame: ChatFrame | None = None
        self._turns: EarlierTurns | None = None

    def ordinary_tokens(self) -> dict[int, str]:
        """Id and spelling of each token that is neither special nor added, in the order of their ids."""
        special = set(self.tokenizer.get_added_vocab().values()) | set(self.tokenizer.all_special_ids)
        known = sorted((i, token) for token, i in self.tokenizer.get_vocab().items())
        return {i: token for i, token in known if i not in special and i < self.vocabulary}

    # ---- text to examples -------------------------------------------------------------------------------

    @abstractmethod
    def assemble(self, encoded: Encoded, layout: SlotLayout, purpose: Purpose) -> tuple[Example, int]:
        """One example from a prompt's encoded pieces, and the length that must not pass the limit."""

    def answer_texts(self, prompt: Prompt, purpose: Purpose) -> tuple[str, ...]:
        """The answers to be encoded for a purpose."""
        if purpose == "answer":
            return (prompt.target,)
        if purpose == "choices":
            if not prompt.choices:
                raise InputError("choices are wanted, the template gives none")
            return prompt.choices
        return ()

    def encode_many(
        self,
        prompts: Sequence[Prompt],
        layout: SlotLayout,
        purpose: Purpose,
        *,
        max_tokens: int = 512,
        room: int = 0,
        names: Sequence[str] | None = None,
        too_long: list[int] | None = None,
    ) -> list[Example]:
        """Encode prompts. Where a prompt passes `max_tokens - room` tokens, its demonstrations are dropped whole, the
        least useful first, and only when none is left the row's own texts are shortened.

        `names` are the rows' names for messages. Raises TooLong (naming the row) where the template's words, slots and
        the answer alone pass the limit (with a list `too_long`, it gets the prompt's place, and the example is left
        out), InputError where the family cannot do what the template asks.
        """
        limit = min(max_tokens, self.positions()) - (room if self.one_stream else 0)
        if limit < 1:
            raise InputError(f"training.max_tokens: {max_tokens} leaves no room for a prompt beside {room} new tokens")
        examples = []
        for i, encoded in enumerate(self._encode(prompts, layout, purpose)):
            name = names[i] if names is not None else f"row {i + 1}"
            try:
                examples.append(self._fitted(prompts[i], encoded, layout, purpose, limit))
            except InputError as error:
                if too_long is not None and isinstance(error, TooLong):
                    too_long.append(i)
                    continue
                raise type(error)(f"{name}: {error}") from None
        return examples

    def _fitted(self, prompt: Prompt, encoded: Encoded, layout: SlotLayout, purpose: Purpose, limit: int) -> Example:
        """The example of one prompt, demonstrations dropped and row text cut until it has at most `limit` tokens."""
        for text, ids in zip(self.answer_texts(prompt, purpose), encoded.answers):
            if not ids:
                raise InputError(f"the answer {text!r} has no tokens")
        example, length = self.assemble(encoded, layout, purpose)
        given = len(prompt.demonstrations)
        if length > limit and given:
            prompt = self._with_what_fits(prompt, layout, purpose, limit)
            encoded = self._encode([prompt], layout, purpose)[0]
            example, length = self.assemble(encoded, layout, purpose)
        cut = length > limit
        while length > limit:
            longest = max((len(ids) for ids in encoded.answers), default=0)
            if longest >= limit:
                raise TooLong(f"the target has {longest} tokens, the limit is {limit} (training.max_tokens)")
            prompt = shortened(prompt, length - limit, length, limit, self.text)
            encoded = self._encode([prompt], layout, purpose)[0]
            example, length = self.assemble(encoded, layout, purpose)
        example.shortened = cut
        example.demonstrations = len(prompt.demonstrations)
        example.dropped = given - example.demonstrations
        return example

    def _with_what_fits(self, prompt: Prompt, layout: SlotLayout, purpose: Purpose, limit: int) -> Prompt:
        """The prompt with as many of its demonstrations as fit into `limit` tokens, fewer than it has."""
        low, high = 0, len(prompt.demonstrations) - 1
        while low < high:
            middle = (low + high + 1) // 2
            encoded = self._encode([most_useful(prompt, middle)], layout, purpose)[0]
            if self.assemble(encoded, layout, purpose)[1] <= limit:
                low = middle
            else:
                high = middle - 1
        return most_useful(prompt, low)

    def _encode(self, prompts: Sequence[Prompt], layout: SlotLayout, purpose: Purpose) -> list[Encoded]:
        """Tokenise all runs and answers of all prompts in one call."""
        jobs: list[Run] = []
        plans = []
        for prompt in prompts:
            turns = self.turns() if prompt.chat and prompt.demonstrations else None
            frame = self.frame() if prompt.chat else None
            pieces = pieces_of(prompt, layout, frame, turns, trains_turns=self.trains_turns)
            first = len(jobs)
            jobs += [_with_before(pieces, i) for i, piece in enumerate(pieces) if isinstance(piece, Run)]
            wholes = [self.whole(pieces, text) for text in self.answer_texts(prompt, purpose)]
            middle = len(jobs)
            jobs += wholes
            plans.append((prompt, pieces, first, middle, len(jobs)))
        ids = self.text.ids(jobs)
        encoded = []
        for prompt, pieces, first, middle, end in plans:
            runs = _alone(pieces, ids[first:middle])
            skip = self.answer_offset(pieces, runs)
            encoded.append(Encoded(prompt, pieces, runs, [whole[skip:] for whole in ids[middle:end]]))
        return encoded

    def whole(self, pieces: list[Piece], answer: str) -> Run:
        """The text that an answer is tokenised with: the run before it and the answer, as lm-eval does."""
        at = answer_at(pieces)
        place, before = pieces[at], pieces[at - 1] if at else None
        assert isinstance(place, AnswerPlace)
        return (before if isinstance(before, Run) else Run(())).plus(place.spaces + answer)

    def answer_offset(self, pieces: list[Piece], runs: list[list[int]]) -> int:
        """How many ids of `whole` belong to the run before the answer."""
        at = answer_at(pieces)
        if not at or not isinstance(pieces[at - 1], Run):
            return 0
        return len(runs[sum(isinstance(piece, Run) for piece in pieces[:at]) - 1])

    def frame(self) -> ChatFrame:
        """The model's chat frame (made once)."""
        if self._frame is None:
            self._frame = chat_frame(self.tokenizer)
        return self._frame

    def turns(self) -> EarlierTurns:
        """How the model's chat template writes earlier turns (made once)."""
        if self._turns is None:
            self._turns = earlier_turns(self.tokenizer, self.frame())
        return self._turns

    @property
    def keeps_apart(self) -> bool:
        """Whether the model takes a mask that keeps parts of one row apart (`View.branches`)."""
        return False

    def positions(self) -> int:
        """How many positions the model has at most."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 1_000_000)

    def collate(self, examples: Sequence[Example], side: Literal["left", "right"] = "right") -> Batch:
        """Pad examples into a batch on the model's device."""
        return collate(examples, self.pad, side=side).to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    # ---- the forward pass -------------------------------------------------------------------------------

    def embed(self, ids: Tensor, soft: Tensor, table: Tensor | None) -> Tensor:
        """Word vectors, and the prompt table's at soft positions: [R, T] → [R, T, d].

        `torch.nn.functional.embedding`, not `table[soft]`, whose gradient on the CPU differs from run to run.
        """
        words: Tensor = self.model.get_input_embeddings()(ids)  # [R, T, d]
        if table is None:
            return words
        slots = F.embedding(soft.clamp(min=0), table).to(words.dtype)  # [R, T, d]
        return torch.where((soft >= 0).unsqueeze(-1), slots, words)

    @abstractmethod
    def states(self, batch: Batch, table: Tensor | None, deep: Tensor | None = None) -> Tensor:
        """Last hidden states, those that the vocabulary head reads: [R, T, d] (encoder-decoder: [D, U, d]).

        `deep` [P, layers, 2, heads, head_dim] are keys and values that stand before the input in every layer (before
        the decoder's, where there is one): positions count on from P, as in PEFT.
        """

    @property
    def reader(self) -> nn.Module:
        """The part of the model that makes `encoder_states`."""
        return self.model.base_model

    def encoder_states(self, batch: Batch, table: Tensor | None) -> Tensor:
        """States of the input itself, [R, T, d] (for heads and sentence vectors)."""
        return self.states(batch, table)

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """The vocabulary head: [N, d] → [N, V]."""

    @abstractmethod
    def generate(
        self,
        batch: Batch,
        table: Tensor | None,
        max_new_tokens: int,
        deep: Tensor | None = None,
        sampling: Sampling | None = None,
    ) -> list[str]:
        """Answers for a batch made with `purpose="generate"`, greedy or drawn; special tokens left out, stripped."""

    @torch.no_grad()
    def key_values(self, vectors: Tensor) -> Tensor:
        """What input vectors [T, d] leave in every layer: keys and values [T, layers, 2, heads, head_dim], fp32.

        Of a decoder that reads them, where there is one (its encoder reads them too). Raises InputError for a model
        that takes no keys and values from outside, or whose layers differ in them.
        """
        cache = DynamicCache()
        self.read_into(cache, vectors.to(self.device, self.model.dtype).unsqueeze(0))
        found = read_cache(cache)
        if found is None or found.shape[0] != len(vectors):
            kind = self.model.config.model_type
            raise InputError(f"{self.name}: {kind} models have no equal keys and values in all layers to put before")
        return found

    def read_into(self, cache: DynamicCache, x: Tensor) -> None:
        """One pass over x [1, T, d] that fills the cache."""
        self.model.base_model(inputs_embeds=x, past_key_values=cache, use_cache=True)


def _with_before(pieces: Sequence[Piece], i: int) -> Run:
    """What piece `i`, a run, is tokenised with: a trained answer with the run before it, as the last answer is."""
    run, before = pieces[i], pieces[i - 1] if i else None
    assert isinstance(run, Run)
    return Run((*before.parts, *run.parts)) if run.trained and isinstance(before, Run) else run


def _alone(pieces: Sequence[Piece], ids: list[list[int]]) -> list[list[int]]:
    """The ids of each run by itself, where `_with_before` has put one before it."""
    runs = [(i, piece) for i, piece in enumerate(pieces) if isinstance(piece, Run)]
    found = []
    for number, (i, run) in enumerate(runs):
        behind = run.trained and i > 0 and isinstance(pieces[i - 1], Run)
        found.append(ids[number][len(ids[number - 1]) :] if behind else ids[number])
    return found
