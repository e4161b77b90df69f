"""A server of OpenAI's form on this machine, around a tiny random causal model, that can be told to fail."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from tiny import tiny_parts


class Server:
    """`fails`: what becomes of the next requests, in order: a status, "hang", "garbage", or None (an answer).

    `requests` are the bodies with their path; `says` is the text of every answer, where the model's own is not wanted.
    `counts_bos`: places are counted with the letters of a first token that the server put there itself, as vLLM does.
    """

    def __init__(self, arch: str = "llama", seed: int = 0) -> None:
        self.model, self.tokenizer = tiny_parts(arch, seed)
        self.requests: list[dict[str, Any]] = []
        self.fails: list[Any] = []
        self.says: str | None = None
        self.logprobs, self.echo, self.places, self.counts_bos = True, True, True, False
        self.key: str | None = None
        self.name = "tiny"
        self.pause = 0.0
        self.retry_after = "0.01"
        self.texts: list[str] = []  # what is said next, in turn, before `says`
        self.times: list[float] = []  # when each request came
        self.most_at_once = 0
        self.url = ""
        self._now = 0
        self._lock = threading.Lock()

    # ---- the model ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def log_probs(self, ids: list[int]) -> torch.Tensor:
        """[T, V]: of the token after each."""
        with self._lock:
            return self.model(torch.tensor([ids])).logits[0].log_softmax(-1)

    def written(self, ids: list[int], body: dict[str, Any]) -> list[int]:
        """The most probable tokens, or drawn ones where the request has a temperature."""
        new: list[int] = []
        draws = torch.Generator().manual_seed(int(body.get("seed", 0)))
        for _ in range(body["max_tokens"]):
            values = self.log_probs([*ids, *new])[-1]
            if body.get("temperature"):
                token = int(torch.multinomial((values / body["temperature"]).softmax(-1), 1, generator=draws))
            else:
                token = int(values.argmax())
            if token == self.tokenizer.eos_token_id:
                break
            new.append(token)
        return new

    def said(self, new: list[int]) -> str:
        if self.texts:
            return self.texts.pop(0)
        return self.tokenizer.decode(new, skip_special_tokens=True) if self.says is None else self.says

    def completion(self, text: str, body: dict[str, Any]) -> dict[str, Any]:
        encoding = self.tokenizer(text, return_offsets_mapping=True)
        ids, offsets = encoding["input_ids"], [start for start, _ in encoding["offset_mapping"]]
        new = self.written(ids, body)
        written = self.said(new)
        if not (body.get("echo") and self.echo):
            return {"text": written, "finish_reason": "length"}
        found: dict[str, Any] = {"text": text + written, "finish_reason": "length"}
        if self.logprobs:
            tables = self.log_probs([*ids, *new])
            whole = [*ids, *new]
            tokens = [self.tokenizer.decode([i]) for i in whole]
            if self.counts_bos:
                offsets = [sum(map(len, tokens[:i])) for i in range(len(whole))]
            else:
                offsets += [len(text)] * len(new)
            found["logprobs"] = {
                "tokens": tokens,
                "token_logprobs": [None, *(float(tables[i, t]) for i, t in enumerate(whole[1:]))],
            }
            if self.places:
                found["logprobs"]["text_offset"] = offsets
        return found

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        asked = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False)
        ids = self.tokenizer(asked, add_special_tokens=False)["input_ids"]
        new = self.written(ids, body)
        written = self.said(new)
        found: dict[str, Any] = {"message": {"role": "assistant", "content": written}, "finish_reason": "length"}
        if body.get("logprobs") and self.logprobs:
            values, tokens = self.log_probs(ids)[-1].topk(min(body["top_logprobs"], len(self.tokenizer)))
            top = [{"token": self.tokenizer.decode([int(t)]), "logprob": float(v)} for v, t in zip(values, tokens)]
            found["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return found

    # ---- the protocol ------------------------------------------------------------------------------------------

    def answer(self, path: str, body: dict[str, Any], authorization: str | None) -> tuple[int, bytes, float]:
        """(status, content, seconds to wait before it)."""
        with self._lock:
            self.requests.append({"path": path, "authorization": authorization, **body})
            self.times.append(time.monotonic())
            fail = self.fails.pop(0) if self.fails else None
        if self.key is not None and authorization != f"Bearer {self.key}":
            return 401, _error(f"Incorrect key provided: {authorization}"), 0
        if path not in ("/v1/completions", "/v1/chat/completions") or body.get("model") != self.name:
            return 404, _error(f"The model {body.get('model')!r} does not exist"), 0
        if fail == "hang":
            return 200, b"{}", 5.0
        if fail == "garbage":
            return 200, b"<html>busy</html>", 0
        if isinstance(fail, int):
            return fail, _error("this request was told to fail"), 0
        if body.get("echo") and self.echo is None:
            return 400, _error("echo is not supported"), 0
        if path.endswith("/chat/completions"):
            choices = [{"index": 0, **self.chat(body)}]
        else:
            prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
            choices = [{"index": i, **self.completion(text, body)} for i, text in enumerate(prompts)]
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        value = {"id": "x", "object": "x", "created": 0, "model": self.name, "choices": choices[::-1], "usage": usage}
        return 200, json.dumps({**value, "you_sent": authorization}).encode(), self.pause


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error", "code": None, "param": None}}).encode()


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """The server on 127.0.0.1 while the block runs; `url` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with server._lock:
                server._now += 1
                server.most_at_once = max(server.most_at_once, server._now)
            try:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content, wait = server.answer(self.path, body, self.headers.get("Authorization"))
                stop.wait(wait)
            finally:
                with server._lock:
                    server._now -= 1
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Retry-After", server.retry_after)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # who asked has gone

        def log_message(self, *_: Any) -> None:
            pass

    stop = threading.Event()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        stop.set()
        http.shutdown()
        http.server_close()
        thread.join()
