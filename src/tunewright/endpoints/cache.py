"""Answers of endpoints on disk: what was asked once is not asked again."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from tunewright.files import read_json, write_text
from tunewright.wheels import cache_folder


@dataclass(frozen=True)
class Request:
    """One request: the path below the endpoint's address, its body, and the row's name for messages."""

    path: str
    body: dict[str, Any]
    name: str = ""


class AnswerCache:
    """A file an answer, in `endpoints/` of the user's cache folder.

    The file's name is the SHA-256 of address, path and body (which names the model); the key has no part in it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder = cache_folder() / "endpoints"

    def key(self, request: Request) -> str:
        """The same for equal requests only."""
        text = json.dumps([self.url, request.path, request.body], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer, None where there is none (or only half a file)."""
        try:
            found = read_json(self.folder / key[:2] / f"{key}.json")
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Keep an answer. Raises MachineError where the disk refuses."""
        write_text(self.folder / key[:2] / f"{key}.json", json.dumps(answer, ensure_ascii=False))
