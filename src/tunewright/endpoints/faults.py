"""What goes wrong with an endpoint, as one line for the user."""

from typing import TYPE_CHECKING, Any

from tunewright.errors import InputError, MachineError, TunewrightError
from tunewright.recipe import EndpointBlock

if TYPE_CHECKING:
    from openai import OpenAIError

_LONGEST = 200


class Ended(InputError):
    """Nothing more can be asked: the budget is spent, or the endpoint refuses the key, the model or the address."""


class Refused(InputError):
    """The endpoint does not take this request (400, 422, 501)."""


class NoLogProbs(MachineError):
    """An answer without the log probabilities that were asked for."""


def clean(text: Any, secret: str | None) -> str:
    """One line of at most 200 characters, the key blotted out."""
    line = " ".join(str(text).split())
    line = line.replace(secret, "***") if secret else line
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def told(error: "OpenAIError", block: EndpointBlock, tries: int, secret: str | None, name: str) -> TunewrightError:
    """The user's error for what the client raised after `tries` attempts; `name` is the row's."""
    import openai

    after = f" ({tries} tries)" if tries > 1 else ""
    if isinstance(error, openai.APITimeoutError):
        return MachineError(f"{block.endpoint}: no answer within {block.timeout:g} s{after}")
    if isinstance(error, openai.APIConnectionError):
        reason = error.__cause__ or error
        return MachineError(f"{block.endpoint}: cannot be reached: {clean(reason, secret)}{after}")
    if not isinstance(error, openai.APIStatusError):
        return MachineError(f"{block.endpoint}: {clean(error, secret)}")
    code, said = error.status_code, clean(_message(error), secret)
    if code in (401, 403):
        held = f"the key in the environment variable {block.key}" if block.key else "requests without a key (model.key)"
        return Ended(f"{block.endpoint}: it refuses {held} ({code}: {said})")
    if code == 404:
        return Ended(f"{block.endpoint}: it knows no model {block.name!r}, or the address is wrong (404: {said})")
    if code in (400, 413, 422, 501):
        return Refused(f"{name + ': ' if name else ''}{block.endpoint} refuses the request ({code}: {said})")
    if code == 429:
        return MachineError(
            f"{block.endpoint}: too many requests, or its quota is used up (429: {said}){after}; what was answered is "
            "kept; a smaller model.per_minute asks more slowly"
        )
    return MachineError(f"{block.endpoint}: it fails ({code}: {said}){after}")


def _message(error: Any) -> str:
    """What the server says, without the client's own words around it."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(body) if body and isinstance(body, str) else str(error.message)
