"""`candidates.jsonl`: results written as they come, read again after a kill."""

import json
from pathlib import Path
from typing import Any

from tunewright.errors import MachineError
from tunewright.files import write_text


class Journal:
    """One JSON object a line. A last line that was cut off by a kill is dropped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if not path.is_file():
            return
        whole, _, rest = path.read_text(encoding="utf-8").rpartition("\n")
        self.lines = [json.loads(text) for text in whole.splitlines()]
        if rest:
            write_text(path, whole + "\n" if whole else "")

    def add(self, line: dict[str, Any]) -> None:
        """Append a line. Raises MachineError when the disk refuses."""
        self.lines.append(line)
        try:
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            raise MachineError(f"{self.path}: cannot be written: {error.strerror}") from error
