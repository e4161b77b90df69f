"""One measurement in a process of its own: `worker.py SPEC.json RESULT.json` (started by measuring.py)."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from tunewright.process import settle


def main(spec_file: str, result_file: str) -> None:
    """Do what the spec's role ("module:function") does, write what it measured."""
    os.environ["TUNEWRIGHT_ENCODED_MB"] = "0"  # each measurement tokenises its own rows
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    module, _, function = spec["role"].partition(":")
    if not function.startswith("peer"):
        settle()  # as the command `tunewright` does; peers run as a script of theirs would
    result = getattr(import_module(module), function)(spec, Path(spec["folder"]))
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
