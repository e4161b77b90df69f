"""Prompts to a model behind an API: choices scored or named, texts generated."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from tunewright.backbones.sampling import Sampling
from tunewright.console import Bar, say
from tunewright.endpoints import forms
from tunewright.endpoints.cache import Request
from tunewright.endpoints.choices import Choice, Normalisation, by_first_token, by_scores, by_text, never_listed
from tunewright.endpoints.client import Endpoint
from tunewright.endpoints.constrained import question
from tunewright.endpoints.faults import NoLogProbs, Refused
from tunewright.errors import InputError
from tunewright.prompts.segments import Prompt

Way = Literal["logprobs", "text"]


def generate(
    endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str], max_new_tokens: int, bar: Bar | None = None
) -> list[str]:
    """The most probable text of each prompt. `names` are the rows', for messages."""
    block = endpoint.block
    requests = generations(endpoint, prompts, names, max_new_tokens)
    return endpoint.answers(requests, [partial(forms.generated, mode=block.mode)] * len(requests), bar)


def draw(endpoint: Endpoint, prompt: Prompt, name: str, max_new_tokens: int, sampling: Sampling) -> tuple[str, bool]:
    """A text drawn for a prompt, and whether it came to its own end. The same again is the same text (the cache)."""
    block = endpoint.block
    request = forms.generation(block, _words(prompt, block.mode, name), max_new_tokens, name, sampling)
    return endpoint.answer(request, partial(forms.whole, mode=block.mode))


def generations(
    endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str], max_new_tokens: int
) -> list[Request]:
    """The requests that `generate` makes."""
    mode, block = endpoint.block.mode, endpoint.block
    return [
        forms.generation(block, _words(prompt, mode, name), max_new_tokens, name)
        for prompt, name in zip(prompts, names)
    ]


def choose(
    endpoint: Endpoint,
    prompts: Sequence[Prompt],
    names: Sequence[str],
    *,
    normalisation: Normalisation = "none",
    max_new_tokens: int = 64,
    bar: Bar | None = None,
    scores_for: str = "",
) -> list[Choice]:
    """The choice of each prompt, by `choices` of the endpoint's block (see `how`).

    `scores_for`: what cannot do without scores. Raises InputError naming it where the choices are told by the text.
    """
    if not prompts:
        return []
    way, reason = how(endpoint, prompts, names)
    if way == "text":
        need_scores(endpoint, scores_for, reason)
    if reason and reason not in endpoint.said:
        endpoint.said.add(reason)
        say(f"{endpoint.block.shown}: choices are told by the text of an answer, not by log probabilities: {reason}")
    if way == "text":
        requests = questions(endpoint, prompts, names, max_new_tokens)
        texts = endpoint.answers(requests, [partial(forms.generated, mode=endpoint.block.mode)] * len(requests), bar)
        return [by_text(text, prompt) for text, prompt in zip(texts, prompts)]
    requests = scorings(endpoint, prompts, names)
    if endpoint.block.mode == "chat":
        listed = endpoint.answers(requests, [forms.first_tokens] * len(requests), bar)
        if not endpoint.in_parts:
            never_listed(prompts, listed)
        return [by_first_token(tokens, prompt, normalisation) for tokens, prompt in zip(listed, prompts)]
    found = endpoint.answers(requests, [_echo_reader(endpoint, prompt) for prompt in prompts], bar)
    return [by_scores(scores, prompt, normalisation) for scores, prompt in zip(found, prompts)]


def need_scores(endpoint: Endpoint, scores_for: str, reason: str = "") -> None:
    """Raise InputError, for choices are told by the text, where something (`scores_for`) cannot do without scores."""
    if not scores_for:
        return
    block = endpoint.block
    if not reason:
        reason = "model.choices is text" if block.choices == "text" else "it gives no log probabilities for these rows"
    raise InputError(
        f"{scores_for}: it wants log probabilities of the choices, and {block.shown} tells choices by the text of an "
        f"answer: {reason}"
    )


def how(endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str]) -> tuple[Way, str]:
    """How choices are told apart: as the block says, else by log probabilities where the first prompt gets them;
    and why it is the text, where the endpoint made it so.

    A chat gives those of an answer's first token only. So there the choices must be the same in all prompts, and each
    of them one of the tokens listed for the first prompt. Raises InputError where the block asks for the impossible.
    """
    if (given := _given_way(endpoint, prompts)) is not None:
        return given, ""
    block = endpoint.block
    words = prompts[0].choices if block.mode == "chat" else None
    if words not in endpoint.lacks:
        endpoint.lacks[words] = _lack(endpoint, prompts, names)
    reason = endpoint.lacks[words]
    return ("text", reason) if reason else ("logprobs", "")


def _lack(endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str]) -> str:
    """Why the first prompt gets no log probabilities; empty where it does."""
    block = endpoint.block
    (request,) = scorings(endpoint, prompts[:1], names[:1])
    try:
        if block.mode == "chat":
            listed = endpoint.attempt(request, forms.first_tokens)
            missing = [choice for choice in prompts[0].choices or () if choice.strip() not in listed]
            if missing:
                raise NoLogProbs(f"{missing[0]!r} is not among the most probable first tokens that it lists")
        else:
            endpoint.attempt(request, _echo_reader(endpoint, prompts[0]))
    except (NoLogProbs, Refused) as error:
        return str(error)
    return ""


def known_way(endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str]) -> Way | None:
    """`how`, as far as it is known without sending a request."""
    if not prompts:
        return None
    (request,) = scorings(endpoint, prompts[:1], names[:1])
    if _given_way(endpoint, prompts) is None and endpoint.cache.get(endpoint.cache.key(request)) is None:
        return None
    return how(endpoint, prompts, names)[0]


def _given_way(endpoint: Endpoint, prompts: Sequence[Prompt]) -> Way | None:
    block = endpoint.block
    alike = len({prompt.choices for prompt in prompts}) == 1
    if block.choices == "logprobs" and block.mode == "chat" and not alike:
        raise InputError(
            "model.choices: a chat scores the first token of an answer only; for rows with choices of their own "
            "set model.choices: text"
        )
    if block.choices is None and block.mode == "chat" and not alike:
        return "text"
    return block.choices


def scorings(endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str]) -> list[Request]:
    """The requests for log probabilities, one a prompt with all its choices."""
    block, requests = endpoint.block, []
    for prompt, name in zip(prompts, names):
        asked = _words(prompt, block.mode, name)
        if block.mode == "chat":
            requests.append(forms.first_token(block, asked, name))
        else:
            requests.append(forms.echo(block, _texts(asked, prompt), name))
    return requests


def questions(
    endpoint: Endpoint, prompts: Sequence[Prompt], names: Sequence[str], max_new_tokens: int
) -> list[Request]:
    """The requests for answers in words, one a prompt; the options stand behind the in-context examples."""
    block, requests = endpoint.block, []
    for prompt, name in zip(prompts, names):
        asked = _words(prompt, block.mode, name)
        asked = replace(asked, before=question(asked.before, prompt.choices or ()))
        requests.append(forms.generation(block, asked, max_new_tokens, name))
    return requests


def fitted(
    endpoint: Endpoint, prompt: Prompt, name: str, max_tokens: int, room: int, *, choices: bool
) -> tuple[Prompt, bool]:
    """The prompt within `max_tokens - room` tokens of the block's tokenizer, and whether its row's text was cut.

    As it is without one. In-context examples are dropped whole, the least useful first, before anything is cut.
    """
    if endpoint.counter is None:
        return prompt, False
    try:
        return endpoint.counter.fitted(prompt, prompt.choices or () if choices else (), max_tokens - room)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _words(prompt: Prompt, mode: str, name: str) -> forms.Asked:
    try:
        return forms.words_before(prompt, mode)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def _texts(asked: forms.Asked, prompt: Prompt) -> list[str]:
    return [asked.text + asked.spaces + choice for choice in prompt.choices or ()]


def _echo_reader(endpoint: Endpoint, prompt: Prompt) -> "forms.EchoReader":
    asked = forms.words_before(prompt, endpoint.block.mode)
    texts = _texts(asked, prompt)
    counter = endpoint.counter
    counted = None if counter is None else [counter.count(asked.text, text) for text in texts]
    return partial(forms.echoed, asked=asked, texts=texts, counted=counted)
