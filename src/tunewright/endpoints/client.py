"""A model behind an API: requests through the `openai` client, kept on disk, a few at once, within a budget."""

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from tunewright.console import Bar
from tunewright.endpoints.allowance import Allowance, BudgetSpent
from tunewright.endpoints.cache import AnswerCache, Request
from tunewright.endpoints.counting import TokenCounter
from tunewright.endpoints.faults import Ended, NoLogProbs, Refused, told
from tunewright.errors import InputError, MachineError
from tunewright.recipe import EndpointBlock

if TYPE_CHECKING:
    import openai

RETRIES = 4  # the client's own: after 0.5, 1, 2, 4 seconds, or when the endpoint says
REFUSED = "refused"  # the key of a kept refusal
TOKENS = ("prompt_tokens", "completion_tokens")

Read = TypeVar("Read")
Answer = dict[str, Any]


class _Halted(Exception):
    """Not asked, for another request has failed."""


class Endpoint:
    """An endpoint that can be asked. Nothing is sent before the first request that the cache does not answer.

    Raises InputError where the environment has no key, MachineError without the package `openai`.
    """

    def __init__(self, block: EndpointBlock) -> None:
        self.block = block
        self.lacks: dict[tuple[str, ...] | None, str] = {}  # why choices (None: any) have no log probabilities
        self.said: set[str] = set()  # such reasons that the user has heard
        self.in_parts = False  # rows come a few at a time: what a whole set lacks cannot be seen
        self._asked: set[str] = set()
        self._usage: dict[str, Counter[str]] = {}
        self._models: set[str] = set()
        self.cache = AnswerCache(block.endpoint)
        self.allowance = Allowance(block.requests, block.per_minute)
        self._secret = _secret(block)
        if importlib.util.find_spec("openai") is None:
            raise MachineError("a model behind an API wants the package openai (the extra `api`): pip install openai")

    def used(self) -> dict[str, Any]:
        """Different answers so far, those of them from the cache, requests sent (repeated ones too); the tokens that
        the endpoint says it read and wrote for all these answers, and what it calls the models that gave them."""
        tokens = sum(self._usage.values(), Counter(dict.fromkeys(TOKENS, 0)))
        return {
            "answers": len(self._usage),
            "from_cache": len(self._usage.keys() - self._asked),
            "requests": self.allowance.used,
            **{name: tokens[name] for name in TOKENS},
            "models": sorted(self._models),
        }

    def known(self, requests: Sequence[Request]) -> tuple[int, int]:
        """(different requests among these, those of them that the cache answers)."""
        keys = {self.cache.key(request) for request in requests}
        return len(keys), sum(self.cache.get(key) is not None for key in keys)

    def answer(self, request: Request, read: Callable[[Answer], Read]) -> Read:
        """`read` of the answer. One that `read` finds fault with is not kept. Raises InputError, MachineError."""
        return self.answers([request], [read])[0]

    def attempt(self, request: Request, read: Callable[[Answer], Read]) -> Read:
        """The same; that the endpoint refuses this request is kept too, so that it is not tried again.

        Raises Refused.
        """
        key = self.cache.key(request)
        kept = self.cache.get(key)
        if kept is not None and REFUSED in kept:
            raise Refused(kept[REFUSED])
        try:
            return self.answer(request, read)
        except Refused as error:
            self.cache.put(key, {REFUSED: str(error)})
            raise

    def answers(
        self, requests: Sequence[Request], reads: Sequence[Callable[[Answer], Read]], bar: Bar | None = None
    ) -> list[Read]:
        """The answers in the order of the requests; equal requests are asked once.

        At the first that fails no other is begun, those under way are waited for and kept. Raises InputError where
        the budget ends first.
        """
        keys = [self.cache.key(request) for request in requests]
        times = Counter(keys)
        halt = Event()
        found: dict[str, Answer] = {}
        with ThreadPoolExecutor(self.block.at_once) as pool:
            waiting: dict[str, Future[tuple[Answer, bool]]] = {}
            for key, request, read in zip(keys, requests, reads):
                if key not in waiting:
                    waiting[key] = pool.submit(self._one, key, request, read, halt)
            names = {future: key for key, future in waiting.items()}
            try:
                for future in as_completed(names):
                    found[names[future]] = future.result()[0]
                    if bar is not None:
                        bar.advance(times[names[future]])
            except BaseException as error:
                halt.set()
                if isinstance(error, KeyboardInterrupt):
                    self.allowance.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                if not isinstance(error, Exception):
                    raise
        self._raise_first(waiting, times)
        for key, future in waiting.items():
            answer, fresh = future.result()
            self._asked |= {key} if fresh else set()
            self._models |= {str(answer["model"])} if answer.get("model") else set()
            usage = answer.get("usage") or {}
            self._usage[key] = Counter({name: int(usage.get(name) or 0) for name in TOKENS})
        return [read(found[key]) for key, read in zip(keys, reads)]

    def _raise_first(self, waiting: "Mapping[str, Future[tuple[Answer, bool]]]", times: Mapping[str, int]) -> None:
        """Raise what ended the asking, if anything: an error before the end of the budget, in the rows' order."""
        errors = {key: None if future.cancelled() else future.exception() for key, future in waiting.items()}
        real = [error for error in errors.values() if error and not isinstance(error, BudgetSpent | _Halted)]
        if real:
            raise real[0]
        if any(isinstance(error, BudgetSpent) for error in errors.values()):
            done = sum(times[key] for key, future in waiting.items() if not future.cancelled() and not errors[key])
            raise Ended(
                f"model.requests: the budget of {self.block.requests} requests is spent; {done} of "
                f"{sum(times.values())} answers are there and kept: the same command goes on from there (tune, "
                "compare, search and sensitivity with --resume), or give a larger model.requests"
            )

    def _one(self, key: str, request: Request, read: Callable[[Answer], Any], halt: Event) -> tuple[Answer, bool]:
        """(the answer, whether it was asked for now); read once before it is kept, so that only sound ones are."""
        found = self.cache.get(key)
        if found is not None and REFUSED not in found:
            return found, False
        if halt.is_set():
            raise _Halted
        try:
            found = self._send(request)
            with suppress(NoLogProbs):  # a sound answer all the same: whoever asked decides what to do
                read(found)
            self.cache.put(key, found)
        except BaseException:
            halt.set()
            raise
        return found, True

    def _send(self, request: Request) -> Answer:
        import openai

        with self.allowance.attempts(1 + RETRIES) as tries:
            client = self._client.with_options(max_retries=tries.granted - 1)
            create: Any = client.chat.completions if request.path.startswith("/chat") else client.completions
            try:
                text: str = create.with_raw_response.create(**request.body).http_response.text
            except openai.OpenAIError as error:
                raise told(error, self.block, tries.made, self._secret, request.name) from None
        return self._parsed(text)

    def _parsed(self, text: str) -> Answer:
        if self._secret:
            text = text.replace(self._secret, "***")  # an endpoint that repeats what it was sent
        try:
            value = json.loads(text)
        except ValueError:
            start = " ".join(text.split())[:80]
            raise MachineError(f"{self.block.endpoint}: an answer is not JSON: {start!r}") from None
        if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
            raise MachineError(f"{self.block.endpoint}: an answer has not OpenAI's form: no list `choices` in it")
        return value

    @cached_property
    def counter(self) -> TokenCounter | None:
        """The block's tokenizer, if it names one."""
        return TokenCounter(self.block.tokenizer) if self.block.tokenizer else None

    @cached_property
    def _client(self) -> "openai.OpenAI":
        import openai

        return openai.OpenAI(
            api_key=self._secret or "none",
            admin_api_key="",
            base_url=self.block.endpoint,
            timeout=self.block.timeout,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._starts]}),
        )

    def _starts(self, request: Any) -> None:
        """Before each attempt, repeated ones too: only the recipe's key goes out; budget and pace."""
        for header in ("OpenAI-Organization", "OpenAI-Project", *(() if self._secret else ("Authorization",))):
            request.headers.pop(header, None)
        self.allowance.count()


def _secret(block: EndpointBlock) -> str | None:
    """The key itself. Raises InputError where the recipe names a variable that is not set."""
    if block.key is None:
        return None
    value = os.environ.get(block.key, "").strip()
    if not value:
        raise InputError(f"model.key: the environment variable {block.key} is not set")
    return value
