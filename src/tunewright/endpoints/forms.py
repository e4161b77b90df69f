"""Prompts as requests of OpenAI's two forms, and what their answers hold."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunewright.backbones.sampling import Sampling
from tunewright.endpoints.cache import Request
from tunewright.endpoints.faults import NoLogProbs
from tunewright.errors import InputError, MachineError
from tunewright.prompts.segments import Answer, Demonstration, Prompt, text_of
from tunewright.recipe import EndpointBlock

TOP = 20  # the most probable first tokens of an answer that a chat endpoint lists at most


@dataclass(frozen=True)
class Asked:
    """A prompt's words before its answer; `spaces` stood between and belong to the answer, as in local models.

    Its in-context examples are `shown` before it (completions), or `turns`: the user's words and the answer (chat).
    """

    before: str
    spaces: str = ""
    shown: str = ""
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """All that stands before the answer of a completion."""
        return self.shown + self.before


def words_before(prompt: Prompt, mode: str) -> Asked:
    """Raises InputError where the answer is not the last thing, or the form is not the endpoint's."""
    if not isinstance(prompt.segments[-1], Answer):
        raise InputError("an endpoint reads left to right: {{ answer }} must be the last thing in the template")
    if prompt.chat and mode != "chat":
        raise InputError("the template asks for a chat, the endpoint is asked for completions: set model.mode: chat")
    text = text_of(prompt.segments)
    before = text.rstrip(" ")
    if mode == "chat":
        turns = tuple(_turn(one) for one in prompt.demonstrations)
        asked = Asked(before, text[len(before) :], turns=turns)
    else:
        shown = "".join(text_of(one.segments) + prompt.separator for one in prompt.demonstrations)
        asked = Asked(before, text[len(before) :], shown=shown)
    if not (before if mode == "chat" else asked.text):
        raise InputError("the prompt has no words before the answer")
    return asked


def _turn(one: Demonstration) -> tuple[str, str]:
    *before, answer = one.segments  # it is last here too: the template is the same
    return text_of(before).rstrip(), text_of([answer])


def generation(
    block: EndpointBlock, asked: Asked, max_tokens: int, name: str, sampling: Sampling | None = None
) -> Request:
    """Ask for the most probable text, or for a drawn one."""
    common: dict[str, Any] = {"model": block.name, "max_tokens": max_tokens, "temperature": 0}
    if sampling is not None:  # the seed also tells the draws apart in the cache
        seed = sampling.seed % 2**31
        common |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": seed}
    if block.mode == "chat":
        return Request("/chat/completions", common | {"messages": _messages(asked)}, name)
    return Request("/completions", common | {"prompt": asked.text}, name)


def generated(answer: dict[str, Any], mode: str) -> str:
    """The text of an answer. Raises MachineError where there is none."""
    first = _choices(answer, 1)[0]
    found = (first.get("message") or {}).get("content") or "" if mode == "chat" else first.get("text")
    if not isinstance(found, str):
        raise MachineError("an answer of the endpoint has no text in it")
    return found.strip()


def whole(answer: dict[str, Any], mode: str) -> tuple[str, bool]:
    """The text, and whether it came to its own end before `max_tokens` did."""
    return generated(answer, mode), _choices(answer, 1)[0].get("finish_reason") != "length"


def first_token(block: EndpointBlock, asked: Asked, name: str) -> Request:
    """Ask a chat for the log probabilities of its answer's first token."""
    body = {"model": block.name, "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": TOP}
    return Request("/chat/completions", body | {"messages": _messages(asked)}, name)


def first_tokens(answer: dict[str, Any]) -> dict[str, float]:
    """The most probable first tokens of a chat's answer and their log probabilities. Raises NoLogProbs."""
    try:
        listed = _choices(answer, 1)[0]["logprobs"]["content"][0]["top_logprobs"]
        return {str(one["token"]): float(one["logprob"]) for one in listed}
    except (KeyError, TypeError, IndexError, ValueError):
        raise NoLogProbs("the endpoint gives no log probabilities (top_logprobs) of a chat's answer") from None


def echo(block: EndpointBlock, texts: Sequence[str], name: str) -> Request:
    """Ask for the log probabilities of given texts, all in one request.

    One token more is asked for and thrown away: some servers take `max_tokens: 0` for no limit.
    """
    body = {"model": block.name, "prompt": list(texts), "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    return Request("/completions", body, name)


EchoReader = Callable[[dict[str, Any]], list[tuple[float, int]]]


def echoed(
    answer: dict[str, Any], asked: Asked, texts: Sequence[str], counted: Sequence[tuple[int, int]] | None
) -> list[tuple[float, int]]:
    """(Σ log p, tokens) of what stands behind `asked.text` in each text.

    `counted`: (tokens of the text, those of them that are the answer's), where the model's tokenizer is at hand.
    Raises NoLogProbs where the answer does not hold them.
    """
    found = []
    for i, (one, text) in enumerate(zip(_choices(answer, len(texts)), texts)):
        try:
            values = one["logprobs"]["token_logprobs"]
            tokens = [str(token) for token in one["logprobs"]["tokens"]]
            offsets = one["logprobs"].get("text_offset")
            if counted is not None:
                mine = _by_count(len(values), *counted[i])
            else:
                mine = _by_place(tokens, offsets, asked.text, text)
            scores = [float(values[t]) for t in mine]
        except (KeyError, TypeError, IndexError, ValueError):
            raise NoLogProbs("the endpoint gives no log probabilities of a given text (echo, logprobs)") from None
        if any(math.isnan(score) for score in scores):
            raise NoLogProbs("the endpoint's log probabilities are no numbers")
        found.append((sum(scores), len(scores)))
    return found


def _by_count(found: int, whole: int, answer: int) -> list[int]:
    if found not in (whole, whole + 1):
        raise NoLogProbs(
            f"the endpoint sees {found} tokens where model.tokenizer counts {whole}: it is not this model's tokenizer"
        )
    return list(range(whole - answer, whole))


def _by_place(tokens: list[str], offsets: Sequence[int] | None, before: str, text: str) -> list[int]:
    """The tokens that spell the answer, also one that begins before it. They are checked by their letters."""
    lead = 0  # a first token that the endpoint put there itself (BOS), where it counts its letters
    if tokens[0] and not text.startswith(tokens[0]):
        lead = len(tokens[0])
    if offsets is None:
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
    elif lead and len(offsets) > 1 and offsets[1] == offsets[0]:
        lead = 0
    start, end = len(before) + lead, len(text) + lead
    ends = [*offsets[1:], offsets[-1] + len(tokens[-1])]
    mine = [i for i, (a, b) in enumerate(zip(offsets, ends)) if a < end and (a >= start or b > start)]
    spelled, wanted = "".join(tokens[i] for i in mine), text[len(before) :]
    whole = "�" in spelled or "bytes:" in spelled or spelled.endswith(wanted)  # part of a letter has no spelling
    if not mine or mine[0] == 0 or not whole:
        raise NoLogProbs(
            f"the endpoint's tokens {spelled!r:.40} do not spell the answer {wanted!r:.40}; model.tokenizer would help"
        )
    return mine


def _messages(asked: Asked) -> list[dict[str, str]]:
    found = []
    for words, answer in asked.turns:
        found += [{"role": "user", "content": words}, {"role": "assistant", "content": answer}]
    return [*found, {"role": "user", "content": asked.before.rstrip()}]


def _choices(answer: dict[str, Any], wanted: int) -> list[dict[str, Any]]:
    """The answer's parts in the order of the texts. Raises MachineError where some are missing."""
    found = [one for one in answer["choices"] if isinstance(one, dict)]
    if len(found) != wanted:
        raise MachineError(f"the endpoint gave {len(found)} answers to a request of {wanted}")
    return sorted(found, key=lambda one: int(one.get("index") or 0))
